"""Lets go of what a tenant does not keep: months as a whole, days in batches, and what belongs to them.

Each step may be killed and repeated, and nothing is remembered but the floors: what is below them goes, whoever comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connections

from analytics.failpoints import failpoint
from analytics.models import EventRetention, LakePiece
from analytics.partitions import month_after, partitions_retire
from analytics.retention import (
    Floors,
    Rule,
    calendar_live,
    cut,
    floors_due,
    floors_raise,
    floors_read,
    rule_read,
)
from analytics.tenancy import tenant_context

BATCH: Final = 10_000
"""Rows of one transaction: some 100 ms, so that writers of the tenant never wait for it."""

Progress = Callable[[str, int], None]
"""Called after each transaction with what was removed, and how many."""

# Where the batch after this one begins, so that one batch is a range of the index.
EDGE: Final = """
SELECT ts FROM bw_event WHERE tenant_id = %(tenant)s AND ts >= %(since)s AND ts < %(before)s{named}
 ORDER BY ts OFFSET %(batch)s LIMIT 1"""
FIRST: Final = """
SELECT min(ts) FROM bw_event WHERE tenant_id = %(tenant)s AND ts >= %(since)s AND ts < %(before)s{named}"""
EVENTS: Final = "DELETE FROM bw_event WHERE tenant_id = %(tenant)s AND ts >= %(since)s AND ts < %(before)s"
# The lake still has the other events of these hours: they are written again.
NAMED_EVENTS: Final = """
WITH gone AS (
    DELETE FROM bw_event WHERE tenant_id = %(tenant)s AND ts >= %(since)s AND ts < %(before)s AND name = %(name)s
    RETURNING ts), marked AS (
    INSERT INTO bw_lake_mark (tenant_id, hour, reason, created_at)
    SELECT DISTINCT %(tenant)s, date_trunc('hour', ts, 'UTC'), 'retention', %(now)s::timestamptz FROM gone)
SELECT count(*) FROM gone"""
NAMED: Final = " AND name = %(name)s"

# What belongs to events that are gone: name, table, which rows. Sessions that reach over the floor stay.
BELONGINGS: Final[tuple[tuple[str, str, str], ...]] = (
    ("sessions", "bw_session", 'start < %(gone)s AND "end" < %(gone)s'),
    ("quarantine", "bw_quarantine", "received_at < %(gone)s"),
    ("outbox", "bw_outbox", "event_ts < %(gone)s"),
)
SOME: Final = """
DELETE FROM {table} WHERE tenant_id = %(tenant)s AND id = ANY (ARRAY(
    SELECT id FROM {table} WHERE tenant_id = %(tenant)s AND {which} LIMIT %(batch)s))"""

# Keys have no index by time, so all of the tenant's are passed once, by key, when there is an old one at all.
OLD_KEYS: Final = "SELECT EXISTS (SELECT 1 FROM bw_event_key WHERE tenant_id = %(tenant)s AND ts < %(gone)s)"
KEY_EDGE: Final = """
SELECT key FROM bw_event_key WHERE tenant_id = %(tenant)s AND key >= %(since)s ORDER BY key OFFSET %(batch)s LIMIT 1"""
KEYS: Final = """
DELETE FROM bw_event_key
 WHERE tenant_id = %(tenant)s AND key >= %(since)s AND key {until} AND ts < %(gone)s"""
FIRST_KEY, LAST_KEY = UUID(int=0), UUID(int=2**128 - 1)
BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)

# Traits of people of whom no event is kept, passed by id. Those written within the hour wait for the next time: the
# event that they came with may still be on its way to COMMIT.
QUIET: Final = timedelta(hours=1)
NOBODYS: Final = """
FROM bw_profile p
 WHERE p.tenant_id = %(tenant)s AND p.id > %(since)s AND p.id <= %(until)s AND p.updated_at < %(quiet)s
   AND NOT EXISTS (
       SELECT FROM bw_subject s
         JOIN bw_subject m ON m.tenant_id = s.tenant_id AND m.person_id = s.person_id
         JOIN bw_event e ON e.tenant_id = m.tenant_id AND e.subject_id = m.id AND e.ts >= %(gone)s
        WHERE s.tenant_id = p.tenant_id AND s.id = p.subject_id)"""
PROFILE_EDGE: Final = """
SELECT id FROM bw_profile WHERE tenant_id = %(tenant)s AND id > %(since)s ORDER BY id OFFSET %(batch)s LIMIT 1"""
LAST_PROFILE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What went, by store; `months` are partitions that were dropped."""

    tenant_id: int
    floors: Floors
    rows: Mapping[str, int] = field(default_factory=dict)
    months: tuple[str, ...] = ()
    pieces: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        gone, kept = self.floors.gone_before, self.floors.kept_from
        return {
            "gone_before": gone.isoformat() if gone else None,
            "kept_from": kept.isoformat() if kept else None,
            "rows": dict(self.rows),
            "months": list(self.months),
            "lake_pieces": self.pieces,
        }


def retention_plan(*, tenant_id: int, now: datetime, using: str = "default", rule: Rule | None = None) -> Cleaned:
    """What a clean-up by the rule (the tenant's own) would remove; changes nothing. `months` go as a whole if no other
    tenant keeps them.
    """
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        rule = rule or rule_read(tenant_id, using=using)
        calendar = calendar_live(tenant_id, using=using)
        floors = floors_read(tenant_id, using=using).risen(floors_due(rule, calendar, now))
        parameters: dict[str, Any] = {"tenant": tenant_id, "gone": floors.gone_before}
        rows: dict[str, int] = {}
        if floors.gone_before is not None:
            for name, table, which in (
                ("events", "bw_event", "ts < %(gone)s"),
                ("event_keys", "bw_event_key", "ts < %(gone)s"),
                *BELONGINGS,
            ):
                cursor.execute(f"SELECT count(*) FROM {table} WHERE tenant_id = %(tenant)s AND {which}", parameters)
                rows[name] = cursor.fetchone()[0]
            if settings.ANALYTICS_RETENTION_PROFILES:
                passed = {"since": 0, "until": LAST_PROFILE, "quiet": now - QUIET}
                cursor.execute(f"SELECT count(*) {NOBODYS}", parameters | passed)
                rows["profiles"] = cursor.fetchone()[0]
        for name, days in rule.names.items():
            span = {"since": floors.gone_before or BEGINNING, "before": cut(calendar, days, now), "name": name}
            cursor.execute(f"SELECT count(*) {EVENTS.removeprefix('DELETE ')}{NAMED}", parameters | span)
            rows[f"events: {name}"] = cursor.fetchone()[0]
    gone = floors.gone_before
    past = [f"{month:%Y-%m}" for month in _months_attached(using) if gone is not None and _month_end(month) <= gone]
    return Cleaned(tenant_id, floors, {name: count for name, count in rows.items() if count}, tuple(past))


def retention_apply(
    *, tenant_id: int, now: datetime, progress: Progress | None = None, using: str = "default"
) -> Cleaned:
    """Let go of everything that the tenant does not keep. Safe to kill anywhere and to repeat.

    Raises RetentionPostponed before anything was removed.
    """
    tell = progress or (lambda what, count: None)
    floors = floors_raise(tenant_id=tenant_id, now=now, using=using)
    failpoint("retention.after_floors")
    months = tuple(partitions_retire(using=using))
    tell("months", len(months))
    rows: dict[str, int] = {}
    for store, count in _removals(tenant_id, floors, now, using):
        rows[store] = rows.get(store, 0) + count
        tell(store, count)
    failpoint("retention.after_rows")
    pieces = _trim_lake(tenant_id, floors, now, using)
    failpoint("retention.after_lake")
    return Cleaned(tenant_id, floors, {name: count for name, count in rows.items() if count}, months, pieces)


def _removals(tenant_id: int, floors: Floors, now: datetime, using: str) -> Iterator[tuple[str, int]]:
    """Removes batch by batch, each in a transaction of its own; yields the store and how many."""
    with tenant_context(tenant_id, using=using):
        rule = rule_read(tenant_id, using=using)
        calendar = calendar_live(tenant_id, using=using)
    if floors.gone_before is not None:
        for count in _events(tenant_id, _since(rule, floors.gone_before, using), floors.gone_before, now, using):
            yield "events", count
    for name, days in sorted(rule.names.items()):
        for count in _named(tenant_id, name, cut(calendar, days, now), floors, now, using):
            yield f"events: {name}", count
    failpoint("retention.after_events")
    if settings.ANALYTICS_RETENTION_PROFILES and floors.kept_from is not None:
        for count in _profiles(tenant_id, floors.gone_before or BEGINNING, now, using):
            yield "profiles", count
    if floors.gone_before is None:
        return
    for count in _keys(tenant_id, floors.gone_before, using):
        yield "event_keys", count
    for store, table, which in BELONGINGS:
        statement = SOME.format(table=table, which=which)
        while count := _removed(tenant_id, statement, {"gone": floors.gone_before, "batch": BATCH}, using):
            yield store, count


def _since(rule: Rule, gone_before: datetime, using: str) -> datetime:
    """From when on events are removed one by one. What lies in a month that waits for other tenants goes with it,
    unless the tenant keeps less than the platform does.
    """
    if rule.own_days is not None:
        return BEGINNING
    past = [month for month in _months_attached(using) if _month_end(month) <= gone_before]
    return max((_month_end(month) for month in past), default=BEGINNING)


def _months_attached(using: str) -> list[date]:
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT to_date(right(name, 6), 'YYYYMM') FROM bw_partitions() WHERE name ~ '^bw_event_[0-9]{6}$'"
        )
        return [row[0] for row in cursor.fetchall()]


def _month_end(month: date) -> datetime:
    after = month_after(month)
    return datetime(after.year, after.month, 1, tzinfo=UTC)


def _events(
    tenant_id: int, since: datetime, before: datetime, now: datetime, using: str, name: str = ""
) -> Iterator[int]:
    """Removes the events of [since, before), of one name or of all, oldest first."""
    named, statement = (NAMED, NAMED_EVENTS) if name else ("", EVENTS)
    while True:
        parameters: dict[str, Any] = {"tenant": tenant_id, "since": since, "before": before, "batch": BATCH}
        parameters |= {"name": name, "now": now}
        with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
            cursor.execute(FIRST.format(named=named), parameters)
            (first,) = cursor.fetchone()
            if first is None:
                return
            cursor.execute(EDGE.format(named=named), parameters | {"since": first})
            edge = cursor.fetchone()
            # More than a batch in one microsecond go together.
            until = max(edge[0], first + timedelta.resolution) if edge else None
            cursor.execute(statement, parameters | {"since": first, "before": until or before})
            count = int(cursor.fetchone()[0]) if name else cursor.rowcount
        failpoint("retention.after_batch")
        yield count
        if until is None:
            return
        since = until


def _named(tenant_id: int, name: str, before: datetime, floors: Floors, now: datetime, using: str) -> Iterator[int]:
    """Removes the old events of a name that goes sooner than the others, from where the last clean-up ended."""
    with tenant_context(tenant_id, using=using):
        rows = EventRetention.objects.using(using).filter(tenant_id=tenant_id, name=name)
        known = rows.values_list("gone_before", flat=True).first()
    since = max((each for each in (known, floors.gone_before) if each is not None), default=BEGINNING)
    if since >= before or floors.kept_from is None or before > floors.kept_from:
        return
    yield from _events(tenant_id, since, before, now, using, name)
    with tenant_context(tenant_id, using=using):
        rows.update(gone_before=before)


def _keys(tenant_id: int, gone_before: datetime, using: str) -> Iterator[int]:
    """Removes the keys of events that are gone: what comes under them again is refused by its time."""
    parameters: dict[str, Any] = {"tenant": tenant_id, "gone": gone_before, "batch": BATCH, "since": FIRST_KEY}
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        cursor.execute(OLD_KEYS, parameters)
        (is_there,) = cursor.fetchone()
    while is_there:
        with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
            cursor.execute(KEY_EDGE, parameters)
            edge = cursor.fetchone()
            cursor.execute(
                KEYS.format(until="< %(until)s" if edge else "<= %(until)s"),
                parameters | {"until": edge[0] if edge else LAST_KEY},
            )
            count = cursor.rowcount
        yield count
        is_there, parameters = edge is not None, parameters | {"since": edge[0] if edge else LAST_KEY}


def _profiles(tenant_id: int, gone_before: datetime, now: datetime, using: str) -> Iterator[int]:
    """Removes the traits of people of whom no event is left. Their ids stay: who comes back is the same person."""
    since: int = 0
    while since < LAST_PROFILE:
        parameters: dict[str, Any] = {"tenant": tenant_id, "gone": gone_before, "quiet": now - QUIET, "batch": BATCH}
        with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
            cursor.execute(PROFILE_EDGE, parameters | {"since": since})
            edge = cursor.fetchone()
            until = edge[0] if edge else LAST_PROFILE
            cursor.execute(f"DELETE {NOBODYS}", parameters | {"since": since, "until": until})
            count = cursor.rowcount
        yield count
        since = until


def _removed(tenant_id: int, statement: str, parameters: Mapping[str, Any], using: str) -> int:
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        cursor.execute(statement, {"tenant": tenant_id, **parameters})
        return int(cursor.rowcount)


def _trim_lake(tenant_id: int, floors: Floors, now: datetime, using: str) -> int:
    """Pieces of the lake that went or were written again."""
    if floors.kept_from is None:
        return 0
    with tenant_context(tenant_id, using=using):
        if not LakePiece.objects.using(using).filter(tenant_id=tenant_id).exists():
            return 0
    from analytics.lake.forgetting import lake_trim  # brings Arrow along, which few processes need
    from analytics.lake.sealing import seal_tenant

    gone = floors.gone_before
    trimmed = lake_trim(tenant_id=tenant_id, before=gone, now=now, using=using) if gone is not None else 0
    # The days that events of some names left, and nothing else: younger ones are the sealer's own business.
    return trimmed + seal_tenant(tenant_id, now=now, end=floors.kept_from, using=using).pieces
