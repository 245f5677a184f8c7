"""Registers the app under a label that cannot collide with a host project's own."""

from __future__ import annotations

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "reports"
    label = "bellwether_reports"
    verbose_name = "Bellwether reports"
    default_auto_field = "django.db.models.BigAutoField"
