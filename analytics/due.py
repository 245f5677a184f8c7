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
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from django.db import connections, transaction
from django.db.models import Max

from analytics.jobs import enqueue
from analytics.models import Calendar as CalendarRow
from analytics.models import DuePeriod, Job, ScheduleChoice
from analytics.periods import Calendar, Granularity
from analytics.registry import Registry
from analytics.tenancy import tenant_context, tenant_ids

HORIZON = timedelta(days=35)
"""How far back a schedule that was never run, or long ago, looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the tenant's local clock reads `at` (plus `delay`) at the start of each `every`, enqueue a job of `kind`.

    With `every` HOUR, each local hour; `at` is ignored. `weekday` (Monday is 0) keeps one day of each week. The job's
    params hold `due_at` and the schedule's `params`. `help` says in words what it does.
    """

    id: str
    kind: str
    every: Granularity
    help: str = ""
    at: time = time(0, 0)
    weekday: int | None = None
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
        days = [calendar.local_date(unit) for unit in units]
        kept = [day for day in days if schedule.weekday in (None, day.weekday())]
        edges = [local_instant(calendar, day, schedule.at) for day in kept]
    yield from (edge + schedule.delay for edge in edges if start < edge <= end)


def enqueue_due(tenant_id: int, *wanted: Schedule, now: datetime, using: str = "default") -> int:
    """Enqueue what of these schedules has become due for this tenant; how many jobs."""
    with tenant_context(tenant_id, using=using):
        row = CalendarRow.objects.using(using).get(tenant_id=tenant_id, state=CalendarRow.State.LIVE)
        calendar = Calendar(row.zone, row.week_start, row.base_currency)
        choices = _choices(tenant_id, using)
        known = DuePeriod.objects.using(using).filter(tenant_id=tenant_id, schedule__in=[each.id for each in wanted])
        lasts = dict(known.values_list("schedule").annotate(Max("due_at")))
        enqueued = 0
        for schedule in wanted:
            choice, last = choices.get(schedule.id), lasts.get(schedule.id)
            if choice is not None and choice.is_paused:
                continue
            after = max(last or row.created_at, now - HORIZON)
            # What was missed while it was paused, or would have been due at another time, is not caught up.
            after = max(after, choice.changed_at) if choice is not None else after
            instants = list(due_instants(as_chosen(schedule, choice), calendar, after, now))
            chosen = _caught_up(schedule, instants, now)
            enqueued += sum(_enqueue_once(tenant_id, schedule, at, at in chosen, now, using) for at in instants)
        return enqueued


def _caught_up(schedule: Schedule, instants: list[datetime], now: datetime) -> list[datetime]:
    """Those of the due instants that are run; the others are written down as skipped."""
    if schedule.catch_up == "all":
        return instants
    if schedule.catch_up == "latest":
        return instants[-1:]
    return [at for at in instants[-1:] if now - at < timedelta(minutes=5)]


def _choices(tenant_id: int, using: str = "default") -> dict[str, ScheduleChoice]:
    return {choice.schedule: choice for choice in ScheduleChoice.objects.using(using).filter(tenant_id=tenant_id)}


def as_chosen(schedule: Schedule, choice: ScheduleChoice | None) -> Schedule:
    """The schedule at the time that the tenant chose."""
    return schedule if choice is None or choice.at is None else replace(schedule, at=choice.at)


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
    if not len(schedules):
        return 0
    return sum(enqueue_due(tenant_id, *schedules, now=now, using=using) for tenant_id in tenant_ids(using=using))


# --- What operators see and choose ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """A schedule as it stands for a tenant: `next_due` is null while it is paused."""

    schedule: Schedule
    is_paused: bool
    next_due: datetime | None
    last_due: datetime | None
    job: Job | None

    @property
    def seconds(self) -> float | None:
        """How long the last run took, or has taken so far."""
        if self.job is None or self.job.started_at is None or self.job.finished_at is None:
            return None
        return (self.job.finished_at - self.job.started_at).total_seconds()


def standings(*, tenant_id: int, now: datetime) -> list[Standing]:
    """Every schedule of the tenant with its last run and its next."""
    with tenant_context(tenant_id):
        row = CalendarRow.objects.get(tenant_id=tenant_id, state=CalendarRow.State.LIVE)
        choices = _choices(tenant_id)
        calendar = Calendar(row.zone, row.week_start, row.base_currency)
        return [_standing(tenant_id, each, choices.get(each.id), calendar, now) for each in schedules]


def _standing(
    tenant_id: int, schedule: Schedule, choice: ScheduleChoice | None, calendar: Calendar, now: datetime
) -> Standing:
    found, is_paused = as_chosen(schedule, choice), choice is not None and choice.is_paused
    last = DuePeriod.objects.filter(tenant_id=tenant_id, schedule=schedule.id).order_by("-due_at").first()
    ran = Job.objects.filter(tenant_id=tenant_id, kind=schedule.kind, params__schedule=schedule.id)
    upcoming = due_instants(found, calendar, now, now + HORIZON)
    return Standing(
        schedule=found,
        is_paused=is_paused,
        next_due=None if is_paused else next(upcoming, None),
        last_due=last.due_at if last else None,
        job=ran.order_by("-created_at").first(),
    )


def schedule_choose(
    *, tenant_id: int, schedule: str, actor: str, now: datetime, is_paused: bool | None = None, at: time | None = None
) -> None:
    """Pause or resume a schedule, or give it another local time. Raises UnknownName, ValueError for an hourly one."""
    declared = schedules[schedule]
    if at is not None and declared.every is Granularity.HOUR:
        raise ValueError("It runs every hour, so it has no time of its own.")
    changes: dict[str, Any] = {"changed_at": now, "changed_by": actor}
    if is_paused is not None:
        changes["is_paused"] = is_paused
    if at is not None:
        changes["at"] = at
    with tenant_context(tenant_id):
        ScheduleChoice.objects.update_or_create(tenant_id=tenant_id, schedule=declared.id, defaults=changes)


def schedule_run(*, tenant_id: int, schedule: str, actor: str, now: datetime) -> Job:
    """Run it now, besides its times; the same job when it is waiting or running. Raises UnknownName."""
    declared = schedules[schedule]
    params = declared.params | {"due_at": now.isoformat(), "schedule": declared.id}
    return enqueue(
        kind=declared.kind,
        tenant_id=tenant_id,
        params=params,
        dedupe_key=f"by hand:{declared.id}",
        created_by=actor,
    )
