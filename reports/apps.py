"""Registers the app under a label that cannot collide with a host project's own."""

from __future__ import annotations

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "reports"
    label = "bellwether_reports"
    verbose_name = "Bellwether reports"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """System checks; workers ring the live sockets of the web processes."""
        from analytics.signals import buckets_refreshed, subject_erasing
        from reports import checks, forgetting  # noqa: F401 - the system checks register themselves
        from reports.live.doorbell import ring_refreshed

        subject_erasing.connect(forgetting.mentions, dispatch_uid="reports.mentions.forget")
        buckets_refreshed.connect(ring_refreshed, dispatch_uid="reports.live")
