"""The wiring itself as an app, so that its commands and checks are found."""

from __future__ import annotations

from django.apps import AppConfig


class BellwetherConfig(AppConfig):
    name = "config"
    label = "bellwether_config"
    verbose_name = "Bellwether"

    def ready(self) -> None:
        from django.conf import settings

        from analytics.cache import cache
        from config import celery, checks, logs, queries, telemetry  # noqa: F401 - tasks ring through this Celery app

        queries.listen()
        telemetry.watch_cache(cache())
        logs.track_errors(settings.SENTRY_DSN)
