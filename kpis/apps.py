"""Registers the app under a label that cannot collide with a host project's own."""

from __future__ import annotations

from django.apps import AppConfig


class KpisConfig(AppConfig):
    name = "kpis"
    label = "bellwether_kpis"
    verbose_name = "Bellwether KPIs"
    default_auto_field = "django.db.models.BigAutoField"
