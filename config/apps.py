"""The wiring itself as an app, so that its commands and checks are found."""

from __future__ import annotations

from django.apps import AppConfig


class BellwetherConfig(AppConfig):
    name = "config"
    label = "bellwether_config"
    verbose_name = "Bellwether"

    def ready(self) -> None:
        from config import celery  # noqa: F401 - shared tasks ring through this app, not through an unconfigured one
