"""Registers the app under a label that cannot collide with a host project's own."""

from __future__ import annotations

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "analytics"
    label = "bellwether_analytics"
    verbose_name = "Bellwether analytics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listens on behalf of the host project, and reads what its apps declare in `analytics_events.py`."""
        from django.utils.module_loading import autodiscover_modules

        from analytics import checks, imports, retention_jobs, upkeep  # noqa: F401  they register checks and kinds of jobs
        from analytics.cache.listening import listen
        from analytics.capture import celery, forward, signals  # noqa: F401  forward registers its kind of job

        listen()
        celery.connect()
        signals.connect_logins()
        autodiscover_modules("analytics_events")
