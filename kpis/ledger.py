"""The ledger of published values: as reported at a time, as known now, and why they differ.

Bitemporal: a row says which time it is about (`start`, `end`) and when it was published (`computed_at`). Rows are only
ever added; equal values are not added twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from analytics.tenancy import tenant_context
from kpis.catalogue import Catalogue
from kpis.contracts import Number, Series
from kpis.models import MetricValue
from kpis.rollup.dirty import lock_tenant
from kpis.series import metrics_series
from kpis.series.context import context_read

PLACES = Decimal("1e-10")
FIRST, COMPLETED, REDEFINED, RESTATED = "first", "completed", "redefined", "restated"
CALENDAR = "calendar"
FROZEN_DAYS = 32
"""How long a day is published again when it moves: 30-day retention is final only then."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One published value, with the one before it and the reason for the change.

    `first`; `completed`: the period was still open; `redefined`: the definition changed; `calendar`: zone or base
    currency changed; `restated`: late events, merged persons, erasures or new rates.
    """

    value: Number
    previous: Number
    reason: str
    definition_version: str
    is_complete: bool
    computed_at: datetime


def ledger_record(*, tenant_id: int, series: Series, reason: str | None = None) -> MetricValue | None:
    """Publish the total of a series; None when the last row already says the same.

    The reason is worked out by comparing with the last row, unless one is given.
    """
    with tenant_context(tenant_id):
        last = _rows(series.metric, series.granularity, series.start).order_by("-computed_at", "-id").first()
        value = None if series.total is None else series.total.quantize(PLACES)
        row = MetricValue(
            tenant_id=tenant_id,
            metric=series.metric,
            grain=series.granularity,
            start=series.start,
            end=series.end,
            value=value,
            definition_version=_version(series),
            data_through=series.data_through,
            is_complete=series.is_complete,
            computed_at=series.computed_at,
        )
        if last is not None and _same(last, row):
            return None
        row.reason = reason or _reason(last, row)
        row.save(force_insert=True)
        return row


def _version(series: Series) -> str:
    """Zone and currency belong to the meaning of a number as its formula does."""
    return f"{series.definition_version} {series.timezone} {series.currency}"


def _same(last: MetricValue, row: MetricValue) -> bool:
    names = ("value", "definition_version", "is_complete", "end")
    return all(getattr(last, name) == getattr(row, name) for name in names)


def _reason(last: MetricValue | None, row: MetricValue) -> str:
    if last is None:
        return FIRST
    before, now = last.definition_version.split(" "), row.definition_version.split(" ")
    if before[0] != now[0]:
        return REDEFINED
    if before[1:] != now[1:]:
        return CALENDAR
    return RESTATED if last.is_complete else COMPLETED


def ledger_history(*, tenant_id: int, metric: str, start: datetime, grain: str = "total") -> list[Revision]:
    """Every value ever published for the period that starts at `start`, oldest first."""
    with tenant_context(tenant_id):
        rows = list(_rows(metric, grain, start).order_by("computed_at", "id"))
    before: list[Number] = [None, *(row.value for row in rows)]
    return [
        Revision(row.value, previous, row.reason, row.definition_version, row.is_complete, row.computed_at)
        for row, previous in zip(rows, before, strict=False)
    ]


def ledger_as_reported(
    *, tenant_id: int, metric: str, start: datetime, at: datetime, grain: str = "total"
) -> Revision | None:
    """What was the published value at that time; None when nothing had been published yet."""
    revisions = ledger_history(tenant_id=tenant_id, metric=metric, start=start, grain=grain)
    return next((row for row in reversed(revisions) if row.computed_at <= at), None)


def _rows(metric: str, grain: str, start: datetime):  # type: ignore[no-untyped-def]  # a queryset of MetricValue
    return MetricValue.objects.filter(metric=metric, grain=grain, start=start, dimension="", key="")


def day_freeze(*, tenant_id: int, day: date | None = None, now: datetime) -> int:
    """Publish every metric of a closed local day (yesterday, if none is given); returns how many rows were added.

    Running it again adds only what has moved since. No refresh comes in between, so that what it changes later is
    written down as a change of what was published here.
    """
    with tenant_context(tenant_id):
        lock_tenant(tenant_id)
        calendar = context_read(tenant_id=tenant_id, now=now).calendar
        chosen = day or calendar.local_date(now) - timedelta(days=1)
        period = calendar.day(chosen)
        names = list(Catalogue(tenant_id))
        found = metrics_series(
            tenant_id=tenant_id, metrics=names, start=period.start, end=period.end, grain="day", compare=None, now=now
        )
        return sum(ledger_record(tenant_id=tenant_id, series=series) is not None for series in found)


def days_freeze(
    *, tenant_id: int, until: datetime, now: datetime, progress: Callable[[int, int], None] = lambda done, total: None
) -> int:
    """Publish the FROZEN_DAYS local days before `until`, oldest first; returns how many rows were added."""
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
    last = context.calendar.local_date(until)
    first = context.calendar.local_date(context.first_day) if context.first_day else last
    days = [day for day in (last - timedelta(days=back) for back in range(FROZEN_DAYS, 0, -1)) if day >= first]
    added = 0
    for number, day in enumerate(days, start=1):
        added += day_freeze(tenant_id=tenant_id, day=day, now=now)
        progress(number, len(days))
    return added
