"""Registers the app under a label that cannot collide with a host project's own."""

from __future__ import annotations

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "analytics"
    label = "bellwether_analytics"
    verbose_name = "Bellwether analytics"
    default_auto_field = "django.db.models.BigAutoField"
