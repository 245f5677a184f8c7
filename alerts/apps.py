"""Registers the app under a label that cannot collide with a host project's own."""

from __future__ import annotations

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "alerts"
    label = "bellwether_alerts"
    verbose_name = "Bellwether alerts"
    default_auto_field = "django.db.models.BigAutoField"
