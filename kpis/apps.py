"""Registers the app under a label that cannot collide with a host project's own, and finds every metric."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class KpisConfig(AppConfig):
    name = "kpis"
    label = "bellwether_kpis"
    verbose_name = "Bellwether KPIs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Our own `kpis/metrics/` is found like any host app's `metrics.py`."""
        autodiscover_modules("metrics")
        from kpis import answers, checks, jobs, starters, warming  # noqa: F401  register checks, kinds of jobs and what may be ordered

        answers.listen()
