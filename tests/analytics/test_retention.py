"""Events go when they are due, and not a day sooner; neighbours keep theirs (G6)."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connections
from django.utils import timezone

from analytics.contracts import CapturedEvent, IdentityLink, LinkKind, PersonChange
from analytics.due import due_instants, schedules
from analytics.identity import person_of
from analytics.jobs import enqueue, run_due
from analytics.models import Calendar as CalendarRow
from analytics.models import DirtyMark, EventRetention, Job, Outbox, Quarantine, Session, Tenant
from analytics.partitions import partitions_between, partitions_list, partitions_past
from analytics.periods import Calendar
from analytics.retention import Floors, RetentionPostponed, floors_read
from analytics.retention_run import retention_apply, retention_plan
from analytics.tenancy import tenant_context
from analytics.writing.lateness import kept_from_of
from config.doctor import examine
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, ledger, rows, told, write
from tests.analytics.lake.lakes import event_ids, live, seal

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
NOW = START + 400 * DAY  # 2025-02-04 12:00 UTC
PARIS, KATHMANDU = Calendar("Europe/Paris"), Calendar("Asia/Kathmandu")


@pytest.fixture
def lake(settings: Any, tmp_path: Path) -> Path:
    """A lake of the test's own."""
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    return tmp_path / "lake"


def keep(tenant: Tenant, days: int | None = None, **names: int) -> None:
    """The tenant keeps its events for so many days, and those of some names for fewer."""
    with tenant_context(tenant.pk):
        Tenant.objects.filter(pk=tenant.pk).update(retention_days=days)
        for name, each in names.items():
            EventRetention.objects.create(tenant_id=tenant.pk, name=name, days=each)


def on(tenant: Tenant, at: datetime, name: str = "page_viewed", **fields: Any) -> CapturedEvent:
    return event(tenant, f"{name}-{at:%Y%m%d%H%M}", name=name, timestamp=at, received_at=at, **fields)


def daily(tenant: Tenant, first: datetime, days: int, **fields: Any) -> None:
    """One event a day, written when it happens."""
    for number in range(days):
        at = first + number * DAY
        write(tenant, [on(tenant, at, **fields)], now=at)


def days_kept(tenant: Tenant) -> list[date]:
    return [row[0] for row in rows(tenant, "SELECT DISTINCT (ts AT TIME ZONE 'UTC')::date FROM bw_event ORDER BY 1")]


def count(tenant: Tenant, table: str) -> int:
    return int(rows(tenant, f"SELECT count(*) FROM {table}")[0][0])


# --- What goes --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_over_400_days_nothing_is_overdue_nothing_goes_early_and_numbers_stay(
    acme: Tenant, globex: Tenant, settings: Any
) -> None:
    """Acme keeps 30 days, Globex what the platform keeps: whole months older than 120. A clean-up a week."""
    settings.ANALYTICS_RETENTION_DAYS = 120
    keep(acme, 30)
    partitions_between(START.date(), NOW.date())
    overdue, early, stories = 0, 0, set[datetime]()
    for week in range(58):
        days = [START + (week * 7 + day) * DAY for day in (0, 4)]
        stories.update(days)
        now = START + (week * 7 + 6) * DAY + timedelta(hours=3)
        for tenant in (acme, globex):
            write(tenant, [on(tenant, at, "order_completed", amount=100, currency="EUR") for at in days], now=now)
            refresh_tenant(tenant.pk, now=now)
        for tenant, calendar, limit, grace in ((acme, PARIS, 30, 0), (globex, KATHMANDU, 120, 31)):
            retention_apply(tenant_id=tenant.pk, now=now)
            kept = {row[0] for row in rows(tenant, "SELECT ts FROM bw_event")}
            oldest = calendar.local_date(now) - timedelta(days=limit)
            early += sum(calendar.local_date(at) >= oldest for at in stories - kept)
            # A month of the platform waits until it is older as a whole, so for 31 days at most.
            overdue += sum(calendar.local_date(at) < oldest - timedelta(days=grace) for at in kept)
        repeated = retention_apply(tenant_id=acme.pk, now=now)
        assert (repeated.rows, repeated.months, repeated.pieces) == ({}, (), 0)
    assert (overdue, early) == (0, 0)
    for tenant in (acme, globex):
        counted = rows(
            tenant,
            "SELECT start, n FROM bw_bucket WHERE measure = 'orders.count' AND dimension = '' AND grain = 3",
        )
        assert (len(counted), {n for _, n in counted}) == (116, {1}), "every day that was counted still is"
    months = [name[-6:] for name, *_ in partitions_list() if name[-6:].isdigit() and name < "bw_event_202503"]
    # The last clean-up was on the 9th of February 2025: the 12th of October is kept, and with it its month.
    assert months == ["202410", "202411", "202412", "202501", "202502"]


@pytest.mark.django_db
def test_what_belongs_to_gone_events_goes_and_the_neighbours_stays(acme: Tenant, globex: Tenant, lake: Path) -> None:
    keep(acme, 30)
    old, young = NOW - 31 * DAY, NOW - 30 * DAY
    for tenant in (acme, globex):
        for at in (old, young):
            write(tenant, [on(tenant, at, distinct_id="ann")], now=at)
            with tenant_context(tenant.pk):
                Quarantine.objects.create(
                    tenant_id=tenant.pk, received_at=at, outcome="quarantined", reason="x", payload=b"x"
                )
                Outbox.objects.create(tenant_id=tenant.pk, destination="posthog", event_ts=at)
        refresh_tenant(tenant.pk, now=NOW)
        seal(tenant, now=NOW)

    planned = retention_plan(tenant_id=acme.pk, now=NOW)
    expected = {"events": 1, "event_keys": 1, "sessions": 1, "quarantine": 1, "outbox": 1}
    assert (planned.rows, count(acme, "bw_event")) == (expected, 2)
    done = retention_apply(tenant_id=acme.pk, now=NOW)

    tables = ("bw_event", "bw_event_key", "bw_session", "bw_quarantine", "bw_outbox")
    assert (done.rows, done.pieces) == (expected, 1)
    assert [count(acme, table) for table in tables] == [1] * 5
    assert [count(globex, table) for table in tables] == [2] * 5
    assert (days_kept(acme), len(live(acme)), len(live(globex))) == ([young.date()], 1, 2)
    assert retention_apply(tenant_id=acme.pk, now=NOW).rows == {}
    assert ledger(acme) == {"stored": 2}, "what was received stays in the ledger"


def with_traits(tenant: Tenant) -> None:
    """Ann was there long ago, Bob long ago and lately, Carol long ago and lately under the id she has since signed in
    with; each has told an e-mail address."""
    keep(tenant, 30)
    old, young = NOW - 40 * DAY, NOW - 10 * DAY
    for who in ("ann", "bob", "anonymous-carol"):
        told = PersonChange(set={"email": f"{who}@example.org", "plan": "pro"})
        write(tenant, [on(tenant, old, f"came_{who}", distinct_id=who, person=told)], now=old)
    link = (IdentityLink(LinkKind.IDENTIFY, "anonymous-carol"),)
    write(tenant, [on(tenant, young, "came_bob", distinct_id="bob")], now=young)
    write(tenant, [on(tenant, young, "signed_in", distinct_id="carol", links=link)], now=young)
    refresh_tenant(tenant.pk, now=NOW)


@pytest.mark.django_db
def test_traits_of_people_go_with_the_last_of_their_events(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        with_traits(tenant)
    assert retention_plan(tenant_id=acme.pk, now=NOW).rows["profiles"] == 1

    assert retention_apply(tenant_id=acme.pk, now=NOW).rows["profiles"] == 1

    assert person_of(tenant_id=acme.pk, distinct_id="ann").traits == {}
    assert person_of(tenant_id=acme.pk, distinct_id="bob").traits["email"] == "bob@example.org"
    assert person_of(tenant_id=acme.pk, distinct_id="carol").traits["email"] == "anonymous-carol@example.org"
    assert (count(acme, "bw_profile"), count(globex, "bw_profile")) == (2, 3)
    assert count(acme, "bw_identity") == count(globex, "bw_identity"), "who comes back is the same person"


@pytest.mark.django_db
def test_traits_of_people_stay_where_the_operator_keeps_them(acme: Tenant, globex: Tenant, settings: Any) -> None:
    settings.ANALYTICS_RETENTION_PROFILES = False
    with_traits(acme)
    assert "profiles" not in retention_plan(tenant_id=acme.pk, now=NOW).rows
    assert "profiles" not in retention_apply(tenant_id=acme.pk, now=NOW).rows
    assert count(acme, "bw_profile") == 3


@pytest.mark.django_db
def test_traits_of_this_hour_wait_because_their_event_may_not_be_committed_yet(acme: Tenant, globex: Tenant) -> None:
    keep(acme, 30)
    old = NOW - 40 * DAY
    told = PersonChange(set={"plan": "pro"})
    write(acme, [on(acme, old, distinct_id="ann", person=told)], now=NOW - timedelta(minutes=59))
    refresh_tenant(acme.pk, now=NOW)
    assert "profiles" not in retention_apply(tenant_id=acme.pk, now=NOW).rows
    assert retention_apply(tenant_id=acme.pk, now=NOW + timedelta(minutes=2)).rows == {"profiles": 1}


@pytest.mark.django_db
def test_traits_are_passed_in_batches(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.retention_run.BATCH", 3)
    keep(acme, 30)
    old, told = NOW - 40 * DAY, PersonChange(set={"plan": "pro"})
    people = [event(acme, f"e{n}", timestamp=old, received_at=old, distinct_id=f"p{n}", person=told) for n in range(8)]
    write(acme, people, now=old)
    write(acme, [on(acme, NOW, distinct_id="p4")], now=NOW)
    refresh_tenant(acme.pk, now=NOW)
    assert retention_apply(tenant_id=acme.pk, now=NOW).rows["profiles"] == 7
    assert count(acme, "bw_profile") == 1


@pytest.mark.django_db
def test_events_go_in_batches_however_many_share_an_instant(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.retention_run.BATCH", 3)
    keep(acme, 30)
    old = NOW - 40 * DAY
    write(acme, [event(acme, f"e{n}", timestamp=old, received_at=old) for n in range(8)], now=old)
    write(acme, [event(acme, f"f{n}", timestamp=old + n * DAY / 4, received_at=old) for n in range(11)], now=old)
    refresh_tenant(acme.pk, now=NOW)
    heard: list[tuple[str, int]] = []
    retention_apply(tenant_id=acme.pk, now=NOW, progress=lambda store, n: heard.append((store, n)))
    assert sum(n for store, n in heard if store == "events") == 19
    assert max(n for store, n in heard if store == "event_keys") <= 3
    assert (count(acme, "bw_event"), count(acme, "bw_event_key")) == (0, 0)


@pytest.mark.django_db
def test_events_of_a_name_may_go_sooner_than_the_others(acme: Tenant, globex: Tenant, lake: Path) -> None:
    keep(acme, 90, page_viewed=10)
    for tenant in (acme, globex):
        for at in (NOW - 100 * DAY, NOW - 50 * DAY, NOW - 11 * DAY, NOW - 10 * DAY):
            write(tenant, [on(tenant, at), on(tenant, at, "order_completed")], now=at)
        refresh_tenant(tenant.pk, now=NOW)
        seal(tenant, now=NOW)
    assert retention_plan(tenant_id=acme.pk, now=NOW).rows["events: page_viewed"] == 2

    assert retention_apply(tenant_id=acme.pk, now=NOW).rows["events: page_viewed"] == 2

    left = rows(acme, "SELECT name, ts FROM bw_event ORDER BY ts, name")
    orders = [("order_completed", NOW - days * DAY) for days in (50, 11, 10)]
    assert left == sorted([*orders, ("page_viewed", NOW - 10 * DAY)], key=lambda row: (row[1], row[0]))
    assert count(globex, "bw_event") == 8
    with tenant_context(acme.pk):
        assert EventRetention.objects.get().gone_before == datetime(2025, 1, 24, 23, tzinfo=UTC)
    assert sum(piece.rows for piece in live(acme)) == 4, "the lake has written those days again"
    assert retention_apply(tenant_id=acme.pk, now=NOW).rows == {}


# --- What comes too late ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_event_of_a_day_that_is_gone_is_refused_with_its_reason(acme: Tenant, globex: Tenant) -> None:
    keep(acme, 30)
    retention_apply(tenant_id=acme.pk, now=NOW)
    edge = datetime(2025, 1, 4, 23, tzinfo=UTC)
    late = [
        event(acme, "late", timestamp=edge - timedelta(microseconds=1), received_at=NOW, distinct_id="zoe"),
        event(acme, "edge", timestamp=edge, received_at=NOW),
        event(acme, "young", timestamp=NOW, received_at=NOW),
    ]
    verdicts = write(acme, late, now=NOW)
    assert told(verdicts) == ["rejected/older_than_kept", "stored", "stored"]
    assert verdicts[0].detail == "events before 2025-01-04T23:00:00+00:00 are not kept any more"
    assert ledger(acme) == {"rejected/older_than_kept": 1, "stored": 2}
    assert count(acme, "bw_identity") == 0, "nobody is made known by it"
    assert told(write(globex, [event(globex, "late", timestamp=START, received_at=NOW)], now=NOW)) == ["stored"]


@pytest.mark.django_db
def test_young_events_cost_no_look_at_the_tenant(acme: Tenant, globex: Tenant) -> None:
    no_cursor: Any = None  # asking would raise
    assert kept_from_of(no_cursor, [on(acme, NOW - 4 * DAY)], NOW) == {}


# --- Months -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_month_is_detached_only_when_no_tenant_keeps_any_of_it(acme: Tenant, globex: Tenant, settings: Any) -> None:
    partitions_between(date(2024, 11, 1), date(2025, 3, 1))
    for tenant in (acme, globex):
        daily(tenant, datetime(2024, 11, 1, 12, tzinfo=UTC), 60)
        refresh_tenant(tenant.pk, now=NOW)
    with pytest.raises(ProgrammingError, match="still kept by a tenant"), connections["default"].cursor() as cursor:
        cursor.execute("SELECT bw_partition_detach('2024-11-01')")
    settings.ANALYTICS_RETENTION_DAYS = 60
    first = retention_apply(tenant_id=acme.pk, now=NOW)
    assert first.months == ()
    assert first.floors.gone_before == datetime(2024, 12, 1, 23, tzinfo=UTC)
    # November waits for Globex and is left alone; the rest of the day it ended in goes.
    assert (first.rows["events"], count(acme, "bw_event")) == (1, 59)
    second = retention_apply(tenant_id=globex.pk, now=NOW)
    assert second.months[-1] == "2024-11"
    assert (count(acme, "bw_event"), count(globex, "bw_event")) == (29, 29)
    assert "bw_event_202411" not in [name for name, *_ in partitions_list()]
    assert partitions_past() == []
    assert retention_apply(tenant_id=acme.pk, now=NOW).rows == {}
    assert count(acme, "bw_event_key") == 29


@pytest.mark.django_db
def test_with_nothing_said_everything_is_kept(acme: Tenant, globex: Tenant) -> None:
    write(acme, [on(acme, START)], now=START)
    done = retention_apply(tenant_id=acme.pk, now=NOW)
    assert (done.floors, done.rows, count(acme, "bw_event")) == (Floors(), {}, 1)


# --- What it waits for ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_waits_to_be_counted_is_counted_before_its_events_go(acme: Tenant, globex: Tenant) -> None:
    keep(acme, 30)
    write(acme, [on(acme, NOW - 40 * DAY)], now=NOW - 40 * DAY)
    retention_apply(tenant_id=acme.pk, now=NOW)
    assert count(acme, "bw_event") == 0
    counted = "SELECT n FROM bw_bucket WHERE measure = 'events.count' AND dimension = '' AND grain = 3"
    assert rows(acme, counted) == [(1,)]


@pytest.mark.django_db
def test_nothing_goes_while_it_cannot_be_counted_or_is_counted_anew(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(acme, 30)
    write(acme, [on(acme, NOW - 40 * DAY)], now=NOW - 40 * DAY)
    with monkeypatch.context() as broken:
        broken.setattr("kpis.rollup.refresh.refresh_tenant", lambda tenant_id, now: None)
        with pytest.raises(RetentionPostponed, match="wait to be counted"):
            retention_apply(tenant_id=acme.pk, now=NOW)
    with tenant_context(acme.pk):
        building = CalendarRow.objects.create(
            tenant_id=acme.pk, version=2, zone="UTC", base_currency="EUR", state=CalendarRow.State.BUILDING
        )
    with pytest.raises(RetentionPostponed, match="calendar"):
        retention_apply(tenant_id=acme.pk, now=NOW)
    with tenant_context(acme.pk):
        assert floors_read(acme.pk) == Floors()
        building.delete()
    retention_apply(tenant_id=acme.pk, now=NOW)
    assert count(acme, "bw_event") == 0


# --- How it is run ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_command_tells_first_and_deletes_then(acme: Tenant, globex: Tenant, capsys: Any) -> None:
    keep(acme, 30)
    old = timezone.now() - 40 * DAY
    write(acme, [on(acme, old, distinct_id="ann")], now=old)
    refresh_tenant(acme.pk, now=timezone.now())

    call_command("retention", "--dry-run")
    said = capsys.readouterr().out
    # Empty months that other tests made may be told of too.
    assert re.search("^acme: 1 events, 1 event_keys, 1 sessions(, months [0-9, -]+)? would go", said, re.MULTILINE)
    assert "globex: everything is kept" in said
    assert count(acme, "bw_event") == 1

    call_command("retention", "--tenant", "acme", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["tenants"]["acme"]["rows"] == {"events": 1, "event_keys": 1, "sessions": 1}
    assert count(acme, "bw_event") == 0
    with pytest.raises(CommandError, match="no tenant 'nobody'"):
        call_command("retention", "--tenant", "nobody")


@pytest.mark.django_db
def test_the_clean_up_is_due_on_sundays_at_three_by_the_tenants_clock_and_runs_as_a_job(
    acme: Tenant, globex: Tenant
) -> None:
    weekly = schedules["retention.weekly"]
    found = list(due_instants(weekly, KATHMANDU, datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)))
    assert found == [datetime(2026, 3, 7, 21, 15, tzinfo=UTC)]  # Sunday, the 8th, 03:00 in Kathmandu
    keep(acme, 30)
    old = timezone.now() - 40 * DAY
    for tenant in (acme, globex):
        write(tenant, [on(tenant, old)], now=old)
        enqueue(kind=weekly.kind, tenant_id=tenant.pk)
    run_due(only=[weekly.kind])
    with tenant_context(acme.pk):
        job = Job.objects.get(kind=weekly.kind)
    assert (job.state, job.result["rows"]) == ("done", {"events": 1, "event_keys": 1})
    assert (count(acme, "bw_event"), count(globex, "bw_event")) == (0, 1)


@pytest.mark.django_db
def test_the_doctor_says_when_the_clean_up_is_overdue(acme: Tenant, globex: Tenant) -> None:
    def findings() -> list[str]:
        (result,) = examine(now=NOW, only=["retention"])
        return [finding.problem for finding in result.findings]

    keep(acme, 30)
    write(acme, [on(acme, NOW - 38 * DAY)], now=NOW)
    assert findings() == [], "the weekly clean-up takes it the next time"
    write(acme, [on(acme, NOW - 39 * DAY)], now=NOW)
    assert findings() == ["acme: events before 2024-12-27 should have gone more than a week ago."]
    retention_apply(tenant_id=acme.pk, now=NOW)
    assert findings() == []


@pytest.mark.django_db
def test_sessions_that_reach_over_the_edge_stay_until_their_last_event_goes(acme: Tenant, globex: Tenant) -> None:
    keep(acme, 30)
    edge = datetime(2025, 1, 4, 23, tzinfo=UTC)
    for minutes in (-40, -10, 5):
        at = edge + timedelta(minutes=minutes)
        write(acme, [on(acme, at, distinct_id="ann")], now=at)
    refresh_tenant(acme.pk, now=NOW)
    retention_apply(tenant_id=acme.pk, now=NOW)
    with tenant_context(acme.pk):
        assert Session.objects.get().start == edge - timedelta(minutes=40)
        assert DirtyMark.objects.count() == 0
    retention_apply(tenant_id=acme.pk, now=NOW + DAY)
    assert count(acme, "bw_session") == 0


@pytest.mark.django_db
def test_the_lake_has_what_postgresql_has(acme: Tenant, globex: Tenant, lake: Path) -> None:
    keep(acme, 30)
    daily(acme, datetime(2025, 1, 3, 22, 30, tzinfo=UTC), 3)
    refresh_tenant(acme.pk, now=NOW)
    seal(acme, now=NOW)
    retention_apply(tenant_id=acme.pk, now=NOW)
    assert days_kept(acme) == [date(2025, 1, 5)]
    assert [piece.rows for piece in live(acme)] == [1]
    assert event_ids(acme) == [], "the shared look is at another year"
