"""Dirty marks: which minutes of a tenant must be counted again.

Marks are append-only rows, deleted in the recompute's own transaction before its reading statement (READ COMMITTED): an
event that commits later leaves a mark of its own, so nothing is ever skipped. Two reasons are the roll-up's own:
`derived` says that the minute's sessions are up to date already and its buckets are not; `session`, that a session
which starts in it has changed, so that only measures of sessions are to be counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections, transaction

from analytics.locks import COUNTING, hold
from analytics.models import DirtyMark
from analytics.periods import Calendar, from_micros, to_micros
from analytics.tenancy import tenant_context
from kpis.models import Bucket

EVENT, DERIVED, SESSION = "event", "derived", "session"
MINUTE = 60_000_000

EXPAND = """
WITH taken AS (
    DELETE FROM bw_dirty_mark WHERE tenant_id = %(tenant)s AND subject_id IS NOT NULL RETURNING subject_id, reason)
INSERT INTO bw_dirty_mark (tenant_id, minute, reason, created_at)
SELECT DISTINCT %(tenant)s, date_trunc('minute', e.ts, 'UTC'), t.reason, now()
  FROM (SELECT DISTINCT subject_id, reason FROM taken) t
  JOIN bw_event e ON e.tenant_id = %(tenant)s AND e.subject_id = t.subject_id
 ORDER BY 2"""


@dataclass(frozen=True, slots=True)
class DirtyMinutes:
    """Minutes taken for recomputing, in microseconds since 1970, by what is to be done for them."""

    reasons: Mapping[int, frozenset[str]]

    @property
    def events(self) -> set[int]:
        """Minutes whose events are to be counted."""
        return {minute for minute, reasons in self.reasons.items() if reasons != {SESSION}}

    @property
    def sessions(self) -> set[int]:
        """Minutes whose sessions are to be counted, whatever deriving them will find."""
        return {minute for minute, reasons in self.reasons.items() if reasons != {EVENT}}

    @property
    def underived(self) -> list[int]:
        """Minutes whose sessions are to be derived first."""
        return [minute for minute, reasons in self.reasons.items() if reasons - {DERIVED, SESSION}]

    @property
    def restated(self) -> list[int]:
        """Of these, the minutes whose events may also have gone or changed hands."""
        return [minute for minute, reasons in self.reasons.items() if reasons - {DERIVED, SESSION, EVENT}]


def lock_tenant(tenant_id: int, *, shared: bool = False, using: str = "default") -> None:
    """Until the end of the transaction: one refresh of a tenant, or any number of backfill's parts (shared)."""
    hold(COUNTING, tenant_id, shared=shared, using=using)


def expand_subjects(tenant_id: int, *, using: str = "default") -> None:
    """Replace marks of subjects by marks of the minutes that hold their events, of the same reason."""
    with connections[using].cursor() as cursor:
        cursor.execute(EXPAND, {"tenant": tenant_id})


def dirty_days(
    tenant_id: int, calendar: Calendar, *, since: datetime | None = None, using: str = "default"
) -> list[tuple[datetime, datetime]]:
    """The local days that hold marks, as half-open spans, ascending; with `since` only its own day and later ones."""
    marks = DirtyMark.objects.using(using).filter(tenant_id=tenant_id, minute__isnull=False)
    if since is not None:
        marks = marks.filter(minute__gte=calendar.day_start(calendar.local_date(since)))
    days = sorted(
        {calendar.local_date(minute) for minute in marks.values_list("minute", flat=True).distinct() if minute}
    )
    return [(calendar.day_start(day), calendar.day_start(day + timedelta(days=1))) for day in days]


def take(
    tenant_id: int, start: datetime, end: datetime, *, only_derived: bool = False, using: str = "default"
) -> DirtyMinutes:
    """Delete the marks of the minutes in [start, end) and return those minutes."""
    query = "DELETE FROM bw_dirty_mark WHERE tenant_id = %s AND minute >= %s AND minute < %s"
    with connections[using].cursor() as cursor:
        if only_derived:
            cursor.execute(
                f"{query} AND reason = ANY (%s) RETURNING minute, reason", [tenant_id, start, end, [DERIVED, SESSION]]
            )
        else:
            cursor.execute(f"{query} RETURNING minute, reason", [tenant_id, start, end])
        found: dict[int, set[str]] = defaultdict(set)
        for minute, reason in cursor.fetchall():
            found[to_micros(minute)].add(reason)
    return DirtyMinutes({minute: frozenset(reasons) for minute, reasons in found.items()})


def mark(tenant_id: int, minutes: Iterable[int], *, reason: str, now: datetime, using: str = "default") -> None:
    """Add marks for these minutes (microseconds since 1970)."""
    rows = [
        DirtyMark(tenant_id=tenant_id, minute=from_micros(m), reason=reason, created_at=now) for m in sorted(minutes)
    ]
    DirtyMark.objects.using(using).bulk_create(rows, batch_size=5000)


def mark_derived(tenant_id: int, start: datetime, end: datetime, *, using: str = "default") -> None:
    """Before the sessions of a whole range are derived: marks that are already there will need no second derivation."""
    with transaction.atomic(using=using):
        marks = DirtyMark.objects.using(using).filter(tenant_id=tenant_id, minute__gte=start, minute__lt=end)
        marks.exclude(reason__in=(DERIVED, SESSION)).update(reason=DERIVED)


def spans_of(starts: Sequence[int], width: int = MINUTE) -> list[tuple[datetime, datetime]]:
    """Adjacent buckets of one width joined into half-open spans."""
    spans: list[tuple[int, int]] = []
    for start in sorted(starts):
        if spans and spans[-1][1] >= start:
            spans[-1] = (spans[-1][0], start + width)
        else:
            spans.append((start, start + width))
    return [(from_micros(a), from_micros(b)) for a, b in spans]


def dirty_tenants(*, using: str = "default") -> list[int]:
    """Tenants with marks, the one that has waited longest first."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT tenant_id FROM bw_dirty_tenants() ORDER BY oldest")
        return [row[0] for row in cursor.fetchall()]


def is_counted(tenant_id: int, *, using: str = "default") -> bool:
    """Whether anything of the tenant was ever counted. What the planner takes an empty tenant to be costs minutes."""
    with tenant_context(tenant_id, using=using):
        return Bucket.objects.using(using).filter(tenant_id=tenant_id).exists()


MARK_RANGE = """
INSERT INTO bw_dirty_mark (tenant_id, minute, reason, created_at)
SELECT DISTINCT %(tenant)s, minute, 'command', %(now)s::timestamptz FROM (
    SELECT date_trunc('minute', ts, 'UTC') AS minute FROM bw_event
     WHERE tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(end)s
     UNION SELECT date_trunc('minute', start, 'UTC') FROM bw_session
     WHERE tenant_id = %(tenant)s AND start >= %(start)s AND start < %(end)s
     UNION SELECT generate_series(%(start)s::timestamptz, %(end)s::timestamptz - interval '1 minute', interval '1 hour')
) touched ORDER BY 2"""


def mark_range(tenant_id: int, start: datetime, end: datetime, *, now: datetime, using: str = "default") -> None:
    """Mark the range dirty, empty hours too: rows of theirs would be wrong ones."""
    with connections[using].cursor() as cursor:
        cursor.execute(MARK_RANGE, {"tenant": tenant_id, "start": start, "end": end, "now": now})
