"""What is read of `kpis` besides series: the calendar, the catalogue, and the state of payments at this moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from analytics.models import Calendar as CalendarRow
from analytics.models import Job
from analytics.periods import Calendar
from analytics.tenancy import tenant_context
from kpis.base import Metric, measures
from kpis.catalogue import Catalogue, definition_version
from kpis.mapping import rows_named
from kpis.needs import measures_in, parts_of
from kpis.series.context import NoCalendar


def calendar_read(*, tenant_id: int) -> Calendar:
    """The live calendar of the tenant. Raises NoCalendar."""
    with tenant_context(tenant_id):
        row = CalendarRow.objects.filter(tenant_id=tenant_id, state=CalendarRow.State.LIVE).first()
    if row is None:
        raise NoCalendar("The tenant has no live calendar; nothing was counted yet.")
    return Calendar(row.zone, row.week_start, row.base_currency)


@dataclass(frozen=True, slots=True)
class CalendarState:
    """How the tenant's numbers are cut now, and the zone that history is being counted for, with its job."""

    zone: str
    week_start: int
    base_currency: str
    version: int
    building: str | None = None
    job: UUID | None = None


def calendar_state(*, tenant_id: int) -> CalendarState:
    """The live calendar and the next one. Raises NoCalendar."""
    with tenant_context(tenant_id):
        rows = CalendarRow.objects.filter(tenant_id=tenant_id)
        live = rows.filter(state=CalendarRow.State.LIVE).first()
        if live is None:
            raise NoCalendar("The tenant has no live calendar; nothing was counted yet.")
        state = CalendarState(live.zone, live.week_start, live.base_currency, live.version)
        building = rows.filter(state=CalendarRow.State.BUILDING).exclude(zone=live.zone).order_by("-version").first()
        if building is None:
            return state
        job = Job.objects.filter(tenant_id=tenant_id, params__calendar_id=building.pk).first()
        return replace(state, building=building.zone, job=job.pk if job else None)


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

STATUSES = ("created", "verifying", "verified", "pending", "settled", "failed", "expired", "refunded")
STATUS_NAMES = tuple(f"payment_{status}" for status in STATUSES)
ALL = {"names": STATUS_NAMES}
ATTEMPTS = ("payment_settled", "payment_failed", "payment_expired")
FAILED = ("payment_failed",)
SETTLED = ("payment_settled",)
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
    found = dict.fromkeys(STATUSES, 0)
    rows, means = rows_named(tenant_id=tenant_id, query=_NOW, names=ALL, start=start, end=end)
    for name, count in rows:
        found[_status(means[name])] += count
    return found


def payments_latest(*, tenant_id: int, start: datetime, end: datetime, limit: int = 20) -> list[LatestPayment]:
    """The newest events of payments, newest first."""
    rows, means = rows_named(tenant_id=tenant_id, query=_LATEST, names=ALL, start=start, end=end, limit=limit)
    return [LatestPayment(row[0], row[1], _status(means[row[2]]), *row[3:]) for row in rows]


def payments_retries(*, tenant_id: int, start: datetime, end: datetime) -> list[Retries]:
    """Purchases by number of attempts. The attempts of one purchase share a parent (the order), else their payment."""
    names = {"names": ATTEMPTS, "settled": SETTLED}
    rows, _ = rows_named(tenant_id=tenant_id, query=_RETRIES, names=names, start=start, end=end)
    return [Retries(*row) for row in rows]


def payments_by_hour(*, tenant_id: int, start: datetime, end: datetime, failed: bool = False) -> dict[int, int]:
    """Payments that came to an end (or only the failed ones) by local hour of the day: 0 to 23, all of them."""
    zone = calendar_read(tenant_id=tenant_id).zone
    names = {"names": FAILED if failed else ATTEMPTS}
    rows, _ = rows_named(tenant_id=tenant_id, query=_HOURS, names=names, start=start, end=end, zone=zone)
    return dict.fromkeys(range(24), 0) | dict(rows)


# --- Webhooks ---------------------------------------------------------------------------------------------------------

_WAITING = f"""
SELECT count(*) FROM (
       SELECT DISTINCT ON (object_id) name FROM bw_event
        WHERE {_COUNTED} AND name = ANY(%(names)s) AND object_id IS NOT NULL
        ORDER BY object_id, ts DESC, id DESC
       ) latest
 WHERE name = ANY(%(waiting)s)"""


def webhooks_pending(*, tenant_id: int, start: datetime, end: datetime) -> int:
    """Deliveries (the objects of their events) ordered or moved in [start, end) that have not come to an end."""
    names = {"names": ("webhook_queued", "webhook_delivered", "webhook_failed"), "waiting": ("webhook_queued",)}
    rows, _ = rows_named(tenant_id=tenant_id, query=_WAITING, names=names, start=start, end=end)
    return int(rows[0][0])


def _status(event: str) -> str:
    return event.removeprefix("payment_")
