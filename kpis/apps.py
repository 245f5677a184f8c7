"""Registers the app under a label that cannot collide with a host project's own, and finds every metric."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from analytics.signals import counting_due, subject_erased, subject_erasing


def leave(sender: Any, *, tenant_id: int, subjects: list[int], names: list[str], now: Any, using: str, **_: Any) -> int:
    """Take people who are being erased out of what cannot be counted again; how many buckets."""
    from analytics.retention import floors_read

    if floors_read(tenant_id, using=using).kept_from is None:
        return 0
    from kpis.rollup.frozen import people_leave

    return people_leave(tenant_id=tenant_id, subjects=subjects, names=names, now=now, using=using)


def count(sender: Any, *, tenant_id: int, now: Any, **_: Any) -> None:
    """Count what is dirty, before events of it go."""
    from kpis.rollup.refresh import refresh_tenant

    refresh_tenant(tenant_id, now=now)


class KpisConfig(AppConfig):
    name = "kpis"
    label = "bellwether_kpis"
    verbose_name = "Bellwether KPIs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Our own `kpis/metrics/` is found like any host app's `metrics.py`."""
        autodiscover_modules("metrics")
        from kpis import answers, checks, forgetting, jobs, starters, warming  # noqa: F401  register checks, kinds of jobs and what may be ordered
        from kpis.segments import jobs as segments_jobs  # noqa: F401  registers the nightly refresh

        subject_erased.connect(forgetting.answers, dispatch_uid="kpis.answers.forget")
        subject_erased.connect(forgetting.segments, dispatch_uid="kpis.segments.forget")
        subject_erasing.connect(forgetting.mentions, dispatch_uid="kpis.mentions.forget")
        subject_erasing.connect(leave, dispatch_uid="kpis.rollup.leave")
        counting_due.connect(count, dispatch_uid="kpis.rollup.count")
        answers.listen()
