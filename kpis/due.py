"""What local period is due, from our own ledger: one row for each (tenant, schedule, due instant), so that it runs
once.

Beat only ticks, in UTC, every few seconds. A tick lists the instants that have become due since the last one in the
ledger and inserts them; the unique row decides between several schedulers, and the insert and its job are one
transaction. A local time that a day does not have (02:30 at the start of summer time) is due at the next that it has;
one that it has twice is due the first time. After an outage `catch_up` says what to do with the missed ones: all, the
latest, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from django.db import connections, transaction

from analytics.jobs import enqueue
from analytics.models import Calendar as CalendarRow
from analytics.models import DuePeriod
from analytics.periods import Calendar, Granularity
from analytics.registry import Registry
from analytics.tenancy import tenant_context, tenant_ids

HORIZON = timedelta(days=35)
"""How far back a schedule that was never run, or long ago, looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the tenant's local clock reads `at` (plus `delay`) at the start of each `every`, enqueue a job of `kind`.

    With `every` HOUR, each local hour; `at` is ignored. The job's params hold `due_at` and the schedule's `params`.
    """

    id: str
    kind: str
    every: Granularity
    at: time = time(0, 0)
    delay: timedelta = timedelta(0)
    catch_up: Literal["all", "latest", "none"] = "latest"
    params: dict[str, Any] = field(default_factory=dict, hash=False)


schedules: Registry[Schedule] = Registry(Schedule)

INSERT = """
INSERT INTO bw_due_period (tenant_id, schedule, due_at, state, created_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, schedule, due_at) DO NOTHING RETURNING id"""


def local_instant(calendar: Calendar, day: date, at: time) -> datetime:
    """The instant of a local time: the first of two, and for a skipped one the end of the gap."""
    wall = datetime.combine(day, at, tzinfo=calendar.tz)
    instant = wall.astimezone(UTC)
    if instant.astimezone(calendar.tz).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    # In a gap, fold=0 counts with the offset before it and fold=1 with the one after: the jump lies between the two.
    early = wall.replace(fold=1).astimezone(UTC)
    return calendar.first_change(early, instant) or instant


def due_instants(schedule: Schedule, calendar: Calendar, after: datetime, until: datetime) -> Iterator[datetime]:
    """The instants t with after < t <= until at which the schedule is due, ascending."""
    start, end = after - schedule.delay, until - schedule.delay
    if schedule.every is Granularity.HOUR:
        edges = calendar.starts_between(start, end, Granularity.HOUR)
    else:
        first = start - timedelta(days=2)
        units = calendar.starts_between(first, end, schedule.every)
        edges = [local_instant(calendar, calendar.local_date(unit), schedule.at) for unit in units]
    yield from (edge + schedule.delay for edge in edges if start < edge <= end)


def enqueue_due(tenant_id: int, schedule: Schedule, *, now: datetime, using: str = "default") -> int:
    """Enqueue what has become due for this tenant; how many jobs."""
    with tenant_context(tenant_id, using=using):
        row = CalendarRow.objects.using(using).get(tenant_id=tenant_id, state=CalendarRow.State.LIVE)
        calendar = Calendar(row.zone, row.week_start, row.base_currency)
        known = DuePeriod.objects.using(using).filter(tenant_id=tenant_id, schedule=schedule.id)
        last = known.order_by("-due_at").values_list("due_at", flat=True).first()
        after = max(last, now - HORIZON) if last else max(row.created_at, now - HORIZON)
        instants = list(due_instants(schedule, calendar, after, now))
        chosen = {
            "all": instants,
            "latest": instants[-1:],
            "none": [t for t in instants[-1:] if now - t < timedelta(minutes=5)],
        }
        return sum(
            _enqueue_once(tenant_id, schedule, at, at in chosen[schedule.catch_up], now, using) for at in instants
        )


def _enqueue_once(tenant_id: int, schedule: Schedule, at: datetime, runs: bool, now: datetime, using: str) -> int:
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(INSERT, [tenant_id, schedule.id, at, "queued" if runs else "skipped", now])
        row = cursor.fetchone()
        if row is None or not runs:
            return 0
        params = schedule.params | {"due_at": at.isoformat(), "schedule": schedule.id}
        job = enqueue(kind=schedule.kind, tenant_id=tenant_id, params=params, created_by="schedule", using=using)
        DuePeriod.objects.using(using).filter(pk=row[0]).update(job_id=job.pk)
        return 1


def tick(*, now: datetime, using: str = "default") -> int:
    """Enqueue everything that has become due for every tenant; how many jobs. Any number of schedulers may tick."""
    return sum(
        enqueue_due(tenant_id, schedule, now=now, using=using)
        for tenant_id in (tenant_ids(using=using) if len(schedules) else ())
        for schedule in schedules
    )
