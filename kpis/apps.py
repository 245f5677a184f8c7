"""Registers the app under a label that cannot collide with a host project's own, and finds every metric."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from analytics.signals import subject_erased


def forget(sender: Any, *, tenant_id: int, subject_ids: list[int], **_: Any) -> None:
    """Take erased people out of the segments that are kept, and what they wrote out of answers that are."""
    from kpis.explore.services import answers_forget
    from kpis.segments.services import people_forget

    answers_forget(tenant_id=tenant_id)
    people_forget(tenant_id=tenant_id, people=subject_ids)


class KpisConfig(AppConfig):
    name = "kpis"
    label = "bellwether_kpis"
    verbose_name = "Bellwether KPIs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Our own `kpis/metrics/` is found like any host app's `metrics.py`."""
        autodiscover_modules("metrics")
        from kpis import answers, checks, jobs, starters, warming  # noqa: F401  register checks, kinds of jobs and what may be ordered
        from kpis.segments import jobs as segments_jobs  # noqa: F401  registers the nightly refresh

        subject_erased.connect(forget, dispatch_uid="kpis.segments.forget")
        answers.listen()
