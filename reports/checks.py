"""System checks of the pages: a metric or dimension that does not exist fails `manage.py check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core import checks

from kpis.base import check_dimension, measures, metrics
from kpis.needs import measures_in
from reports.dashboard.areas import AREAS, OVERVIEW, PLATFORMS, Area
from reports.dashboard.realtime import METRICS


@checks.register("bellwether")
def areas_check(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Every page refers to metrics that exist, and breaks them down by columns that they have."""
    pages = {"overview": OVERVIEW, **AREAS, **{f"platforms/{slug}": area for slug, area in PLATFORMS.items()}}
    found: list[checks.CheckMessage] = [problem for slug, area in pages.items() for problem in _problems(slug, area)]
    return found + [_error("realtime", name) for name in METRICS if name not in metrics]


def _problems(slug: str, area: Area) -> Iterator[checks.CheckMessage]:
    for name in (*area.tiles, *area.charts):
        if name not in metrics:
            yield _error(slug, name)
    for name, by in area.tables:
        if name not in metrics:
            yield _error(slug, name)
        elif problem := _misfit(name, by):
            yield checks.Error(f"page {slug}: {problem}", obj=slug, id="reports.E002")


def _error(slug: str, name: str) -> checks.Error:
    return checks.Error(f"page {slug}: there is no metric {name}", obj=slug, id="reports.E001")


def _misfit(name: str, by: str) -> str:
    catalogue = {item.id: item for item in metrics}
    try:
        for measure in measures_in(metrics[name], catalogue):
            check_dimension(by, measures[measure].source, owner=name)
    except ValueError as error:
        return str(error)
    return ""
