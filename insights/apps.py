"""Registers the app under a label that cannot collide with a host project's own, and listens for erasures."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig

from analytics.signals import subject_erased


class InsightsConfig(AppConfig):
    name = "insights"
    label = "bellwether_insights"
    verbose_name = "Bellwether insights"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from insights import jobs, segments, starters  # noqa: F401  registers kinds of jobs, schedules, sources, starters

        subject_erased.connect(forget, dispatch_uid="insights.forget")


def forget(sender: Any, *, tenant_id: int, subject_ids: list[int], **_: Any) -> None:
    """Take erased people out of the segments that are kept. Imported here, because fits bring scipy along."""
    from insights.customers.forgetting import person_forget

    person_forget(tenant_id=tenant_id, people=subject_ids)
