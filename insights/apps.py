"""Registers the app under a label that cannot collide with a host project's own."""

from __future__ import annotations

from django.apps import AppConfig


class InsightsConfig(AppConfig):
    name = "insights"
    label = "bellwether_insights"
    verbose_name = "Bellwether insights"
    default_auto_field = "django.db.models.BigAutoField"
