"""What is due, by the tenant's clock, once: through both changes of the clock, with three schedulers, after an
outage.
"""

from __future__ import annotations

import multiprocessing
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connections

from analytics import due
from analytics.due import (
    Schedule,
    due_instants,
    enqueue_due,
    local_instant,
    schedule_choose,
    schedule_run,
    standings,
    tick,
)
from analytics.due import schedules as due_schedules
from analytics.jobs import JobKind, RunningJob, kinds
from analytics.models import Calendar as CalendarRow
from analytics.models import DuePeriod, Job, Tenant
from analytics.periods import Calendar, Granularity
from analytics.registry import Registry
from analytics.tenancy import tenant_context

pytestmark = pytest.mark.django_db


def nothing(job: RunningJob) -> None:
    return None


kinds.register(JobKind("test.nothing", nothing))


def schedule(every: Granularity = Granularity.DAY, **values: Any) -> Schedule:
    return Schedule(id="test.daily", kind="test.nothing", every=every, **values)


@pytest.fixture
def daily(monkeypatch: pytest.MonkeyPatch) -> Schedule:
    """The only schedule there is: each local day at 02:30."""
    one = schedule(at=time(2, 30), catch_up="all")
    registry: Registry[Schedule] = Registry(Schedule)
    registry.register(one)
    monkeypatch.setattr(due, "schedules", registry)
    return one


def since(tenant: Tenant, moment: datetime) -> None:
    """As if the tenant had been made at that moment."""
    with tenant_context(tenant.pk):
        CalendarRow.objects.update(created_at=moment)


def due_of(tenant: Tenant) -> list[datetime]:
    with tenant_context(tenant.pk):
        return list(DuePeriod.objects.order_by("due_at").values_list("due_at", flat=True))


def test_a_local_time_that_a_day_lacks_is_due_when_the_clock_has_jumped() -> None:
    paris = Calendar("Europe/Paris")
    # 02:30 is skipped on 2026-03-29: 03:00 CEST is 01:00 UTC. On 2026-10-25 it comes twice, first at 00:30 UTC.
    assert local_instant(paris, date(2026, 3, 29), time(2, 30)) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert local_instant(paris, date(2026, 10, 25), time(2, 30)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert local_instant(paris, date(2026, 7, 1), time(2, 30)) == datetime(2026, 7, 1, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("at", [time(0, 0), time(1, 45), time(2, 15), time(23, 59)])
def test_a_year_has_365_daily_instants_in_every_zone_whatever_the_ticks(zone: str, at: time) -> None:
    calendar, one = Calendar(zone), schedule(at=at)
    start = calendar.day_start(date(2026, 1, 1)) - timedelta(microseconds=1)
    end = calendar.day_start(date(2027, 1, 1)) - timedelta(microseconds=1)
    whole = list(due_instants(one, calendar, start, end))
    assert len(whole) == len(set(whole)) == 365
    pieces: list[datetime] = []
    at_last = start
    while at_last < end:
        now = min(at_last + timedelta(hours=7, minutes=11), end)
        pieces += due_instants(one, calendar, at_last, now)
        at_last = now
    assert pieces == whole


def test_hours_follow_the_tenants_clock(t0: datetime) -> None:
    found = list(due_instants(schedule(Granularity.HOUR), Calendar("Asia/Kathmandu"), t0, t0 + timedelta(hours=2)))
    assert found == [t0 + timedelta(minutes=15), t0 + timedelta(hours=1, minutes=15)]


def test_ticks_enqueue_each_day_once_for_each_tenant(
    acme: Tenant, globex: Tenant, t0: datetime, daily: Schedule
) -> None:
    since(acme, t0)
    since(globex, t0)
    for minutes in range(0, 60 * 48, 7):
        tick(now=t0 + timedelta(minutes=minutes))
    tick(now=t0 + timedelta(hours=48))
    assert due_of(acme) == [t0 + timedelta(hours=1.5), t0 + timedelta(hours=25.5)]
    assert due_of(globex) == [t0 + timedelta(hours=20.75), t0 + timedelta(hours=44.75)]
    with tenant_context(acme.pk):
        jobs = sorted(params["due_at"] for params in Job.objects.values_list("params", flat=True))
    assert jobs == [instant.isoformat() for instant in due_of(acme)]


@pytest.mark.parametrize(("catch_up", "jobs"), [("all", 3), ("latest", 1), ("none", 0)])
def test_after_three_days_of_outage_the_schedule_says_what_to_catch_up(
    acme: Tenant, globex: Tenant, t0: datetime, catch_up: Any, jobs: int
) -> None:
    since(acme, t0)
    one = schedule(at=time(9), catch_up=catch_up)
    assert enqueue_due(acme.pk, one, now=t0 + timedelta(days=3)) == jobs
    assert len(due_of(acme)) == 3
    assert enqueue_due(acme.pk, one, now=t0 + timedelta(days=3)) == 0


@pytest.mark.django_db(transaction=True)
def test_three_schedulers_enqueue_once(acme: Tenant, globex: Tenant, t0: datetime, daily: Schedule) -> None:
    since(acme, t0)
    since(globex, t0)
    connections.close_all()
    children = [multiprocessing.get_context("fork").Process(target=_ticks, args=(t0,)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    for tenant in (acme, globex):
        with tenant_context(tenant.pk):
            assert (DuePeriod.objects.count(), Job.objects.count()) == (20, 20)


def _ticks(t0: datetime) -> None:
    for hours in range(0, 24 * 20 + 1, 6):
        tick(now=t0 + timedelta(hours=hours))


# --- What operators choose --------------------------------------------------------------------------------------------


def test_a_paused_schedule_runs_nothing_and_what_it_missed_is_not_caught_up(
    acme: Tenant, globex: Tenant, daily: Schedule
) -> None:
    for tenant in (acme, globex):
        since(tenant, datetime(2026, 3, 1, tzinfo=UTC))
    schedule_choose(tenant_id=acme.pk, schedule=daily.id, actor="olga", now=FIRST, is_paused=True)

    assert tick(now=FIRST + timedelta(days=3)) == 4  # only the neighbour's
    schedule_choose(tenant_id=acme.pk, schedule=daily.id, actor="olga", now=FIRST + timedelta(days=3), is_paused=False)
    tick(now=FIRST + timedelta(days=4))

    assert due_of(acme) == [datetime(2026, 3, 6, 1, 30, tzinfo=UTC)]
    assert len(due_of(globex)) == 5


FIRST = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_another_time_holds_from_when_it_was_chosen(acme: Tenant, daily: Schedule) -> None:
    since(acme, datetime(2026, 3, 2, tzinfo=UTC))
    tick(now=FIRST)
    schedule_choose(tenant_id=acme.pk, schedule=daily.id, actor="olga", now=FIRST, at=time(18, 15))

    tick(now=FIRST + timedelta(days=1))
    (standing,) = standings(tenant_id=acme.pk, now=FIRST + timedelta(days=1))

    assert due_of(acme) == [datetime(2026, 3, 2, 1, 30, tzinfo=UTC), datetime(2026, 3, 2, 17, 15, tzinfo=UTC)]
    assert standing.next_due == datetime(2026, 3, 3, 17, 15, tzinfo=UTC)
    assert standing.last_due == datetime(2026, 3, 2, 17, 15, tzinfo=UTC)


def test_a_schedule_is_run_by_hand_once_at_a_time(acme: Tenant, daily: Schedule) -> None:
    first = schedule_run(tenant_id=acme.pk, schedule=daily.id, actor="olga", now=FIRST)
    again = schedule_run(tenant_id=acme.pk, schedule=daily.id, actor="olga", now=FIRST)

    assert (again.pk, first.kind, first.created_by) == (first.pk, "test.nothing", "olga")
    assert due_of(acme) == []
    (standing,) = standings(tenant_id=acme.pk, now=FIRST)
    assert standing.job is not None
    assert (standing.job.pk, standing.seconds) == (first.pk, None)


def test_an_hourly_schedule_has_no_time_of_its_own(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[Schedule] = Registry(Schedule)
    registry.register(schedule(every=Granularity.HOUR))
    monkeypatch.setattr(due, "schedules", registry)

    with pytest.raises(ValueError, match="every hour"):
        schedule_choose(tenant_id=acme.pk, schedule="test.daily", actor="olga", now=FIRST, at=time(3))


def test_a_weekly_schedule_is_due_on_its_local_weekday(acme: Tenant, globex: Tenant) -> None:
    """Sunday 03:00: in Paris across the spring change, in Kathmandu at another instant."""
    weekly = schedule(at=time(3), weekday=6)
    start, end = datetime(2026, 3, 16, tzinfo=UTC), datetime(2026, 4, 6, tzinfo=UTC)

    assert list(due_instants(weekly, Calendar("Europe/Paris"), start, end)) == [
        datetime(2026, 3, 22, 2, tzinfo=UTC),
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 4, 5, 1, tzinfo=UTC),
    ]
    assert next(due_instants(weekly, Calendar("Asia/Kathmandu"), start, end)) == datetime(
        2026, 3, 21, 21, 15, tzinfo=UTC
    )


def test_the_product_schedules_only_what_somebody_handles() -> None:
    from django.apps import apps

    from analytics.jobs import kind_named

    assert apps.ready
    declared = {each.id: kind_named(each.kind).id for each in due_schedules}
    assert {"metrics.hourly", "statistics.daily", "rollup.daily", "ledger.freeze", "upkeep.weekly"} <= set(declared)
