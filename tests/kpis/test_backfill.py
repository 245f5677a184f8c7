"""Backfill: equal to what refreshes made, in parallel, killed and gone on with."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from analytics.jobs import run_job
from analytics.models import DirtyMark, Job, Tenant
from analytics.tenancy import tenant_context
from kpis.models import Bucket
from kpis.rollup import backfill
from kpis.rollup.check import check_tenant
from kpis.rollup.plan import SOURCES, counts_every_row, plan_for
from kpis.rollup.refresh import keep_weeks, refresh_tenant
from kpis.rollup.services import backfill_enqueue
from tests.kpis.telling import event, store
from tests.kpis.test_check_rollups import some_events

FIELDS = ("measure", "dimension", "grain", "start", "key", "n", "total", "state")


def rows(tenant: Tenant) -> list[Any]:
    with tenant_context(tenant.pk):
        found = Bucket.objects.order_by(*FIELDS[:5]).values_list(*FIELDS)
        return [(*row[:-1], None if row[-1] is None else bytes(row[-1])) for row in found]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small story has many parts."""
    monkeypatch.setattr(backfill, "EVENTS_A_PART", 10)


@pytest.mark.django_db
def test_a_backfill_makes_what_refreshes_made(
    acme: Tenant, globex: Tenant, t0: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    store(*some_events(acme, t0, random.Random(1), 60))
    store(*some_events(globex, t0, random.Random(2), 10))
    refresh_tenant(acme.pk, now=timezone.now())
    keep_weeks(acme.pk, now=timezone.now())
    refreshed = rows(acme)
    with tenant_context(acme.pk):
        Bucket.objects.all().delete()
    call_command("backfill", "--tenant", "acme", "--dry-run")
    assert capsys.readouterr().out.startswith("60 events of 2 days would be counted")
    assert rows(acme) == []
    call_command("backfill", "--tenant", "acme", "--workers", "1")
    assert capsys.readouterr().out.strip().endswith("60 events of 2 days counted.")
    assert rows(acme) == refreshed
    assert rows(globex) == []
    assert check_tenant(acme.pk, now=timezone.now()) == []


@pytest.mark.django_db
def test_a_bucket_that_nothing_makes_any_more_goes_however_little_of_its_day_was_stored(
    acme: Tenant, globex: Tenant, t0: datetime
) -> None:
    """Where nothing is stored a backfill compares nothing; one bucket of any hour is enough to make it look."""
    store(*some_events(acme, t0, random.Random(1), 60))
    store(*some_events(globex, t0, random.Random(1), 60))
    for tenant in (acme, globex):
        call_command("backfill", "--tenant", tenant.slug, "--workers", "1")
    whole, others = rows(acme), rows(globex)
    for measure in ("events.count", "sessions.count"):
        with tenant_context(acme.pk):
            totals = Bucket.objects.filter(measure=measure, dimension="", grain=2)
            left = totals.order_by("start").last()
            assert left is not None
            stale = {"measure": measure, "dimension": "country", "key": "Atlantis", "start": left.start, "grain": 2}
            totals.exclude(start=left.start).delete()
            Bucket.objects.create(tenant_id=acme.pk, calendar_id=left.calendar_id, n=5, computed_at=t0, **stale)
        assert rows(acme) != whole
        call_command("backfill", "--tenant", "acme", "--workers", "1")
        assert rows(acme) == whole
    assert rows(globex) == others


@pytest.mark.django_db
def test_buckets_of_events_that_are_no_longer_there_go(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    """A backfill looks for what the events that it finds can have; what others had left it looks for all the same."""
    for tenant in (acme, globex):
        store(*(event(tenant, "page_view", t0 + timedelta(minutes=n), "ann", country="FR") for n in range(9)))
        store(event(tenant, "stream_ended", t0 + timedelta(minutes=3), "bob", properties={"viewers": 7}))
        call_command("backfill", "--tenant", tenant.slug, "--workers", "1")
    streams, others = [row for row in rows(acme) if "stream" in row[0]], rows(globex)
    assert streams
    with tenant_context(acme.pk), connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM bw_event WHERE name = 'stream_ended'")

    call_command("backfill", "--tenant", "acme", "--workers", "1")

    assert [row for row in rows(acme) if "stream" in row[0]] == []
    assert check_tenant(acme.pk, now=timezone.now()) == []
    assert rows(globex) == others


def test_a_plan_among_some_events_reads_only_what_they_can_have() -> None:
    plan = plan_for({"event_names": {"live": {"ende": "stream_ended"}}})
    among = plan.among({"page_view", "ende"})

    wanted = {m.id for m in plan.measures if m.events is None or m.events & {"page_view", "ende"}}
    assert {m.id for m in among.measures} == wanted
    assert {m.events for m in among.measures} <= {
        None, frozenset({"page_view"}), frozenset({"ende"}), frozenset({"page_view", "ende"}),
    }  # fmt: skip
    assert among.properties()["viewers"] == frozenset({"ende"})
    assert "quantity" in plan.properties()
    assert "quantity" not in among.properties()
    assert (among.names, among.not_activity) == (plan.names, plan.not_activity)


@pytest.mark.django_db
def test_numbers_that_few_events_carry_are_summed_where_they_are(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    for tenant, took in ((acme, 250.0), (globex, 900.0)):
        paths = [
            event(tenant, "page_view", t0 + timedelta(minutes=n), "ann", properties={"path": f"/{n}"}) for n in range(3)
        ]
        paths.append(event(tenant, "page_view", t0, "bob", duration_ms=took, properties={"path": "/1"}))
        store(*paths)
        call_command("backfill", "--tenant", tenant.slug, "--workers", "1")

    def durations(tenant: Tenant) -> list[Any]:
        return [row[1:2] + row[4:7] for row in rows(tenant) if row[0] == "system.response" and row[2] == 2]

    assert durations(acme) == [("", "", 1, 250), ("properties.path", "/1", 1, 250)]
    assert durations(globex) == [("", "", 1, 900), ("properties.path", "/1", 1, 900)]


def test_each_source_has_a_measure_that_is_stored_wherever_any_other_is() -> None:
    assert {source: counts_every_row(source) for source in SOURCES} == {
        "events": "events.count",
        "sessions": "sessions.count",
    }


@pytest.mark.django_db
def test_marks_that_were_there_are_used_up_and_the_range_is_all_that_changes(
    acme: Tenant, globex: Tenant, t0: datetime
) -> None:
    store(*(event(acme, "page_view", t0 + timedelta(days=day, hours=1), "ann") for day in range(3)))
    job = backfill_enqueue(
        tenant_id=acme.pk, first=(t0 + timedelta(days=1)).date(), end=(t0 + timedelta(days=2)).date(), workers=1
    )
    assert run_job(job.pk)
    with tenant_context(acme.pk):
        assert {row.start.date() for row in Bucket.objects.filter(grain=2)} == {(t0 + timedelta(days=1)).date()}
        assert DirtyMark.objects.values("minute").distinct().count() == 2


@pytest.mark.django_db
def test_empty_days_and_wrong_ranges_say_so(
    acme: Tenant, globex: Tenant, t0: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("backfill", "--tenant", "acme")
    assert capsys.readouterr().out == "There are no events.\n"
    store(event(acme, "page_view", t0, "ann"))
    with pytest.raises(CommandError, match="must be later"):
        call_command("backfill", "--tenant", "acme", "--from", "2026-03-03", "--to", "2026-03-02")
    with pytest.raises(CommandError, match="no tenant 'nobody'"):
        call_command("backfill", "--tenant", "nobody")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parts_done", [1, 3, 5])
def test_a_killed_backfill_goes_on_where_it_was(
    acme: Tenant, globex: Tenant, t0: datetime, parts_done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(*some_events(acme, t0, random.Random(3), 80))
    store(*some_events(globex, t0, random.Random(4), 5))
    job = backfill_enqueue(
        tenant_id=acme.pk, first=t0.date() - timedelta(days=1), end=t0.date() + timedelta(days=3), workers=1
    )
    connections.close_all()
    child = multiprocessing.get_context("fork").Process(target=_run_and_die, args=(job, parts_done))
    child.start()
    child.join(30)
    assert child.exitcode == -signal.SIGKILL
    with tenant_context(acme.pk):
        job.refresh_from_db()
        assert len(job.cursor["done"]) == parts_done
        Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    ran: list[str] = []
    original = backfill.run_part

    def run_part(what: backfill.Backfill, part: backfill.Part, now: datetime) -> backfill.Part:
        ran.append(part.name)
        return original(what, part, now)

    monkeypatch.setattr(backfill, "run_part", run_part)
    assert run_job(job.pk)
    with tenant_context(acme.pk):
        job.refresh_from_db()
    assert job.state == "done"
    assert len(ran) == job.result["parts"] - parts_done
    assert check_tenant(acme.pk, now=timezone.now(), refresh=False) == []


def _run_and_die(job: Job, parts_done: int) -> None:
    count = 0
    original = backfill.Ledger.add

    def add(self: backfill.Ledger, part: backfill.Part) -> None:
        nonlocal count
        original(self, part)
        count += 1
        if count == parts_done:
            os.kill(os.getpid(), signal.SIGKILL)

    backfill.Ledger.add = add  # type: ignore[method-assign]
    run_job(job.pk)


@pytest.mark.django_db(transaction=True)
def test_four_processes_make_what_one_makes(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    for day in range(6):
        store(*some_events(acme, t0 + timedelta(days=day), random.Random(day), 30))
    refresh_tenant(acme.pk, now=timezone.now())
    keep_weeks(acme.pk, now=timezone.now())
    refreshed = rows(acme)
    with tenant_context(acme.pk):
        Bucket.objects.all().delete()
    call_command("backfill", "--tenant", "acme", "--workers", "4")
    assert rows(acme) == refreshed
