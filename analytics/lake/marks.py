"""Marks of the lake: which hours of a tenant are behind its events. Always in the tenant's context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.contrib.postgres.aggregates import BoolOr
from django.db import connections
from django.db.models import Min, Q

from analytics.models import LakeMark

RECENT: Final = timedelta(hours=48)
SETTLE: Final = timedelta(minutes=30)
"""Hours of the last two days are sealed at every tick; older ones so long after their first mark, because late events
come in swarms and every one would have its day written again."""

ERASURE, RETENTION = "erasure", "retention"
NO_GRACE: Final = frozenset({ERASURE, RETENTION})
"""Reasons for which former files go at once, whoever reads them."""

EXPAND: Final = """
WITH taken AS (
    DELETE FROM bw_lake_mark WHERE tenant_id = %(tenant)s AND subject_id IS NOT NULL
    RETURNING subject_id, reason, created_at)
INSERT INTO bw_lake_mark (tenant_id, hour, reason, created_at)
SELECT %(tenant)s, date_trunc('hour', e.ts, 'UTC'),
       CASE WHEN bool_or(t.reason = 'erasure') THEN 'erasure' ELSE 'subject' END, min(t.created_at)
  FROM taken t
  JOIN bw_event e ON e.tenant_id = %(tenant)s AND e.subject_id = t.subject_id
 GROUP BY 2 ORDER BY 2"""

TAKE: Final = """
WITH taken AS (
    DELETE FROM bw_lake_mark WHERE tenant_id = %s AND hour >= %s AND hour < %s RETURNING reason)
SELECT DISTINCT reason FROM taken"""

MARK_RANGE: Final = """
INSERT INTO bw_lake_mark (tenant_id, hour, reason, created_at)
SELECT %(tenant)s, hour, %(reason)s, %(now)s::timestamptz FROM (
    SELECT date_trunc('hour', ts, 'UTC') AS hour FROM bw_event
     WHERE tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(end)s
     UNION SELECT start FROM bw_lake_piece
     WHERE tenant_id = %(tenant)s AND retired_at IS NULL AND start < %(end)s AND "end" > %(start)s
) touched ORDER BY 2"""


@dataclass(frozen=True, slots=True)
class MarkedHour:
    """An hour that is to be sealed again. `is_urgent`: somebody in it was erased."""

    hour: datetime
    since: datetime
    is_urgent: bool

    def is_due(self, now: datetime) -> bool:
        return self.is_urgent or self.hour >= now - RECENT or self.since <= now - SETTLE

    @property
    def day(self) -> datetime:
        return day_of(self.hour)


def day_of(instant: datetime) -> datetime:
    """The UTC midnight at or before it."""
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def hour_of(instant: datetime) -> datetime:
    """The full UTC hour at or before it."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def expand_subjects(tenant_id: int, *, using: str = "default") -> None:
    """Replace marks of subjects by marks of the hours that hold their events."""
    with connections[using].cursor() as cursor:
        cursor.execute(EXPAND, {"tenant": tenant_id})


def marked_hours(tenant_id: int, *, using: str = "default") -> list[MarkedHour]:
    """Ascending. Marks of subjects are not among them: expand them first."""
    marks = LakeMark.objects.using(using).filter(tenant_id=tenant_id, hour__isnull=False)
    found = marks.values_list("hour").annotate(since=Min("created_at"), urgent=BoolOr(Q(reason=ERASURE)))
    return [MarkedHour(hour, since, urgent) for hour, since, urgent in found.order_by("hour") if hour is not None]


def take(tenant_id: int, start: datetime, end: datetime, *, using: str = "default") -> list[str]:
    """Delete the marks of [start, end); their reasons, empty when there were none."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            TAKE,
            [tenant_id, start, end],
        )
        return [row[0] for row in cursor.fetchall()]


def mark_range(
    tenant_id: int, start: datetime, end: datetime, *, reason: str, now: datetime, using: str = "default"
) -> None:
    """Mark every hour of [start, end) that has events or is sealed."""
    parameters: dict[str, Any] = {"tenant": tenant_id, "start": start, "end": end, "reason": reason, "now": now}
    with connections[using].cursor() as cursor:
        cursor.execute(MARK_RANGE, parameters)


def mark_hours(
    tenant_id: int, hours: Sequence[datetime], *, reason: str, now: datetime, using: str = "default"
) -> None:
    """Mark these full hours."""
    LakeMark.objects.using(using).bulk_create(
        LakeMark(tenant_id=tenant_id, hour=hour, reason=reason, created_at=now) for hour in hours
    )
