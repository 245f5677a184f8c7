"""R3: roll-ups equal a recompute, whatever the order of commits, and the check finds every wrong cell."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from analytics.contracts import CapturedEvent, IdentityLink, LinkKind
from analytics.jobs import run_due
from analytics.models import DirtyMark, Session, Tenant
from analytics.tenancy import tenant_context
from analytics.writer import write_batch
from kpis.models import Bucket
from kpis.rollup.check import check_tenant
from kpis.rollup.refresh import close_hours, refresh_tenant
from kpis.rollup.services import calendar_change
from tests.kpis.telling import event, store

NAMES = ("page_view", "order_completed", "order_refunded", "gift_sent", "$identify", "stream_ended", "product_viewed")


def some_events(tenant: Tenant, t0: datetime, chance: random.Random, count: int) -> list[CapturedEvent]:
    return [
        event(
            tenant, chance.choice(NAMES), t0 + timedelta(minutes=chance.randrange(60 * 30), seconds=number),
            chance.choice((None, "ann", "bob", "cid", "dan")), country=chance.choice((None, "FR", "DE")),
            amount=chance.randrange(-500, 5000), currency=tenant.base_currency, duration_ms=chance.random() * 1e6,
            session_id=chance.choice((None, "s1")), is_bot=chance.random() < 0.1, is_internal=chance.random() < 0.1,
            properties={"viewers": chance.randrange(50), "quantity": chance.randrange(9)},
        )
        for number in range(count)
    ]  # fmt: skip


@contextmanager
def open_writer(tenant: Tenant, events: list[CapturedEvent]) -> Iterator[threading.Event]:
    """A writer in a transaction of its own that has written, and commits when the yielded event is set."""
    written, may_commit = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with tenant_context(tenant.pk):
                write_batch(connections["default"], events, now=events[-1].received_at)
                written.set()
                may_commit.wait(20)
        finally:
            connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    assert written.wait(20)
    try:
        yield may_commit
    finally:
        may_commit.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(12))
def test_a_transaction_with_earlier_marks_that_commits_after_the_rollup_is_not_skipped(
    acme: Tenant, globex: Tenant, t0: datetime, seed: int
) -> None:
    chance = random.Random(seed)
    now = t0 + timedelta(hours=chance.choice((20, 31, 400)))
    # Different people and times, so that the writers do not wait for each other; the minutes are the same.
    early = [event(acme, "page_view", t0 + timedelta(minutes=n, seconds=1), f"early{seed}") for n in range(5)]
    late = [event(acme, "page_view", t0 + timedelta(minutes=n, seconds=2), f"late{seed}") for n in range(5)]
    store(*some_events(globex, t0, chance, 10))
    with open_writer(acme, early) as may_commit:
        store(*late)
        refresh_tenant(acme.pk, now=now)
        refresh_tenant(globex.pk, now=now)
        if chance.random() < 0.5:
            may_commit.set()
    refresh_tenant(acme.pk, now=now)
    with tenant_context(acme.pk):
        whole = Bucket.objects.filter(measure="pageviews.count", dimension="", grain=3)
        assert sum(whole.values_list("n", flat=True)) == 10
        assert not DirtyMark.objects.exists()
    for tenant in (acme, globex):
        assert check_tenant(tenant.pk, now=now, refresh=False) == []


@pytest.mark.django_db(transaction=True)
def test_writers_and_refreshers_at_once_leave_no_differing_cell(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    now, ended = t0 + timedelta(hours=25), threading.Event()

    def write(tenant: Tenant, seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(8):
                store(*some_events(tenant, t0 + timedelta(seconds=seed), chance, 12))
        finally:
            connections.close_all()

    def refresh() -> None:
        try:
            while not ended.is_set():
                for tenant in (acme, globex):
                    refresh_tenant(tenant.pk, now=now)
        finally:
            connections.close_all()

    writers = [threading.Thread(target=write, args=(tenant, seed)) for seed in range(2) for tenant in (acme, globex)]
    refreshers = [threading.Thread(target=refresh) for _ in range(2)]
    for thread in (*writers, *refreshers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    for thread in refreshers:
        thread.join()
    for tenant in (acme, globex):
        assert check_tenant(tenant.pk, now=now) == []
        with tenant_context(tenant.pk):
            assert (
                sum(Bucket.objects.filter(measure="events.count", dimension="", grain=3).values_list("n", flat=True))
                > 50
            )


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(4))
def test_any_story_told_in_any_pieces_equals_a_recompute(acme: Tenant, globex: Tenant, t0: datetime, seed: int) -> None:
    chance = random.Random(seed)
    now = t0
    for step in range(6):
        now += timedelta(hours=chance.randrange(1, 9))
        store(*some_events(acme, t0 + timedelta(hours=step), chance, 15))
        if step % 2:
            link = IdentityLink(kind=LinkKind.IDENTIFY, other=chance.choice(("ann", "bob", "cid")))
            store(event(acme, "$identify", now, f"user{seed}{step}", links=(link,), identifies=True))
        refresh_tenant(acme.pk, now=now)
        if chance.random() < 0.5:
            close_hours(acme.pk, now=now)
    assert check_tenant(acme.pk, now=now) == []
    assert check_tenant(globex.pk, now=now) == []


@pytest.mark.django_db
def test_the_check_names_cells_that_are_wrong_missing_or_too_many(
    acme: Tenant, globex: Tenant, t0: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    store(event(acme, "page_view", t0, "ann"), event(acme, "page_view", t0 + timedelta(hours=3), "bob"))
    refresh_tenant(acme.pk, now=t0 + timedelta(days=9))
    call_command("check_rollups", "--tenant", "acme")
    assert capsys.readouterr().out == "acme: 0 differing cells\n"
    with tenant_context(acme.pk):
        cells = Bucket.objects.filter(measure="pageviews.count", dimension="", grain=2)
        cells.filter(start=t0).update(n=7)
        cells.filter(start=t0 + timedelta(hours=3)).delete()
        one = Bucket.objects.filter(measure="users.active", dimension="", grain=3).values()[0]
        Bucket.objects.create(**{**one, "start": t0 + timedelta(hours=5), "grain": 2})
    with pytest.raises(SystemExit) as stop:
        call_command("check_rollups", "--tenant", "acme", "--json", "--no-refresh")
    report = json.loads(capsys.readouterr().out)
    assert stop.value.code == 1
    assert report["tenants"]["acme"]["cells"][0].startswith(
        "pageviews.count = hour 2026-03-02T00:00:00+00:00: expected n=1"
    )
    assert report["differing"] == 3
    with tenant_context(acme.pk):
        Session.objects.filter(start=t0).delete()
    assert (
        sum(line.startswith("session ") for line in check_tenant(acme.pk, now=t0 + timedelta(days=9), refresh=False))
        == 1
    )


@pytest.mark.django_db
def test_a_late_event_in_a_closed_hour_and_a_deleted_one_heal(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    from analytics.models import Event

    now = t0 + timedelta(days=2)
    store(
        *(
            event(acme, "order_completed", t0 + timedelta(minutes=m), "ann", amount=100, currency="EUR")
            for m in (0, 10, 20)
        )
    )
    refresh_tenant(acme.pk, now=now)
    with tenant_context(acme.pk):
        Event.objects.filter(ts=t0 + timedelta(minutes=10)).delete()
        DirtyMark.objects.create(tenant_id=acme.pk, minute=t0 + timedelta(minutes=10), reason="erasure")
    refresh_tenant(acme.pk, now=now)
    with tenant_context(acme.pk):
        assert Bucket.objects.get(measure="orders.count", dimension="", grain=3).n == 2
    assert check_tenant(acme.pk, now=now, refresh=False) == []


@pytest.mark.django_db
def test_a_new_zone_is_counted_beside_the_old_one_and_then_takes_over(
    acme: Tenant, globex: Tenant, t0: datetime
) -> None:
    now = t0 + timedelta(days=2)
    store(event(acme, "page_view", t0 + timedelta(hours=23, minutes=30), "ann"))
    refresh_tenant(acme.pk, now=now)
    assert calendar_change(tenant_id=acme.pk, week_start=6) is None
    job = calendar_change(tenant_id=acme.pk, zone="Asia/Kathmandu")
    assert job is not None
    store(event(acme, "page_view", t0 + timedelta(hours=1), "bob"))
    refresh_tenant(acme.pk, now=now)
    assert days(acme) == [t0 - timedelta(hours=1), t0 + timedelta(hours=23), t0 - timedelta(hours=5, minutes=45)]
    assert run_due(only=["rollup.switch_calendar"]) == 1
    assert days(acme) == [t0 - timedelta(hours=5, minutes=45), t0 + timedelta(hours=18, minutes=15)]
    assert check_tenant(acme.pk, now=timezone.now()) == []


@pytest.mark.django_db
def test_a_new_zone_forgets_no_session_of_events_that_waited_to_be_counted(
    acme: Tenant, globex: Tenant, t0: datetime
) -> None:
    store(event(acme, "page_view", t0, "ann"))
    calendar_change(tenant_id=acme.pk, zone="Asia/Kathmandu")
    assert run_due(only=["rollup.switch_calendar"]) == 1
    assert check_tenant(acme.pk, now=timezone.now()) == []
    with tenant_context(acme.pk):
        assert Session.objects.count() == 1


def days(tenant: Tenant) -> list[Any]:
    with tenant_context(tenant.pk):
        cells = Bucket.objects.filter(measure="pageviews.count", dimension="", grain=3)
        return list(cells.order_by("calendar_id", "start").values_list("start", flat=True))
