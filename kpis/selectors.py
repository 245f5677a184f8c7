"""What is read of `kpis` besides series: the calendar, the catalogue, and the state of payments at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from analytics.models import Calendar as CalendarRow
from analytics.periods import Calendar
from analytics.tenancy import tenant_context
from kpis.base import Metric, measures
from kpis.catalogue import Catalogue, definition_version
from kpis.needs import measures_in, parts_of
from kpis.series.context import NoCalendar
from kpis.taxonomy import named


def calendar_read(*, tenant_id: int) -> Calendar:
    """The live calendar of the tenant. Raises NoCalendar."""
    with tenant_context(tenant_id):
        row = CalendarRow.objects.filter(tenant_id=tenant_id, state=CalendarRow.State.LIVE).first()
    if row is None:
        raise NoCalendar("The tenant has no live calendar; nothing was counted yet.")
    return Calendar(row.zone, row.week_start, row.base_currency)


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A metric with what can be asked of it: `dimensions` are rolled up, any other column is counted from events."""

    metric: Metric
    definition_version: str
    measures: tuple[str, ...]
    parts: tuple[str, ...]
    dimensions: tuple[str, ...]
    is_own: bool


def metrics_list(*, tenant_id: int) -> list[MetricInfo]:
    """Every metric the tenant can ask for, built-in ones first."""
    with tenant_context(tenant_id):
        catalogue = Catalogue(tenant_id)
        return [metric_info(catalogue[name], catalogue) for name in catalogue]


def metric_info(metric: Metric, catalogue: Catalogue) -> MetricInfo:
    behind = sorted(measures_in(metric, catalogue))
    shared = set.intersection(*(set(measures[name].dimensions) for name in behind)) if behind else set()
    return MetricInfo(
        metric=metric,
        definition_version=definition_version(metric, catalogue),
        measures=tuple(behind),
        parts=parts_of(metric),
        dimensions=tuple(sorted(shared)),
        is_own=metric.id in catalogue.own(),
    )


# --- Payments ---------------------------------------------------------------------------------------------------------

STATUS_OF = {
    name: status
    for status in ("created", "verifying", "verified", "pending", "settled", "failed", "expired", "refunded")
    for name in named(f"payment_{status}")
}
STATUS_NAMES = list(STATUS_OF)
ATTEMPTS = list(named("payment_settled", "payment_failed", "payment_expired"))
FAILED = list(named("payment_failed"))
SETTLED = list(named("payment_settled"))
_COUNTED = "tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(end)s AND NOT is_bot AND NOT is_internal"

# A payment is the object of its events; its status is that of the last one.
_NOW = f"""
SELECT name, count(*) FROM (
       SELECT DISTINCT ON (object_id) name FROM bw_event
        WHERE {_COUNTED} AND name = ANY(%(names)s) AND object_id IS NOT NULL
        ORDER BY object_id, ts DESC, id DESC
       ) latest
 GROUP BY name"""

_LATEST = f"""
SELECT id, ts, name, object_id, method, country, reason, amount, currency, amount_base, duration_ms FROM bw_event
 WHERE {_COUNTED} AND name = ANY(%(names)s) ORDER BY ts DESC, id DESC LIMIT %(limit)s"""

_RETRIES = f"""
WITH attempts AS (
     SELECT coalesce(parent_id, object_id) AS purchase, count(*) AS tries,
            bool_or(name = ANY(%(settled)s)) AS is_settled
       FROM bw_event WHERE {_COUNTED} AND name = ANY(%(names)s) AND coalesce(parent_id, object_id) IS NOT NULL
      GROUP BY 1)
SELECT tries, count(*), count(*) FILTER (WHERE is_settled) FROM attempts GROUP BY tries ORDER BY tries"""

_HOURS = f"""
SELECT extract(hour FROM ts AT TIME ZONE %(zone)s)::int, count(*) FROM bw_event
 WHERE {_COUNTED} AND name = ANY(%(names)s) GROUP BY 1 ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class LatestPayment:
    """The last things that happened to payments. Amounts are minor units of `currency` and of the base currency."""

    id: Any
    at: datetime
    status: str
    payment: str | None
    method: str | None
    country: str | None
    reason: str | None
    amount: int | None
    currency: str | None
    amount_base: int | None
    duration_ms: float | None


@dataclass(frozen=True, slots=True)
class Retries:
    """How many purchases took `tries` attempts, and how many of them were settled in the end."""

    tries: int
    purchases: int
    settled: int


def payments_now(*, tenant_id: int, start: datetime, end: datetime) -> dict[str, int]:
    """How many payments opened or moved in [start, end) stand at each status now ("verifying", "pending" …)."""
    found = dict.fromkeys(dict.fromkeys(STATUS_OF.values()), 0)
    for name, count in _rows(tenant_id, _NOW, start=start, end=end, names=STATUS_NAMES):
        found[STATUS_OF[name]] += count
    return found


def payments_latest(*, tenant_id: int, start: datetime, end: datetime, limit: int = 20) -> list[LatestPayment]:
    """The newest events of payments, newest first."""
    rows = _rows(tenant_id, _LATEST, start=start, end=end, names=STATUS_NAMES, limit=limit)
    return [LatestPayment(row[0], row[1], STATUS_OF[row[2]], *row[3:]) for row in rows]


def payments_retries(*, tenant_id: int, start: datetime, end: datetime) -> list[Retries]:
    """Purchases by number of attempts. The attempts of one purchase share a parent (the order), else their payment."""
    return [Retries(*row) for row in _rows(tenant_id, _RETRIES, start=start, end=end, names=ATTEMPTS, settled=SETTLED)]


def payments_by_hour(*, tenant_id: int, start: datetime, end: datetime, failed: bool = False) -> dict[int, int]:
    """Payments that came to an end (or only the failed ones) by local hour of the day: 0 to 23, all of them."""
    zone = calendar_read(tenant_id=tenant_id).zone
    names = FAILED if failed else ATTEMPTS
    rows = _rows(tenant_id, _HOURS, start=start, end=end, names=names, zone=zone)
    return dict.fromkeys(range(24), 0) | dict(rows)


def _rows(tenant_id: int, query: str, **parameters: Any) -> list[Any]:
    with tenant_context(tenant_id), connection.cursor() as cursor:
        cursor.execute(query, {"tenant": tenant_id, **parameters})
        return list(cursor.fetchall())
