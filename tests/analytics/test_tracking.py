"""Capture from Python code, and the surroundings it inherits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from celery import shared_task
from celery.signals import before_task_publish, task_postrun, task_prerun
from django.db import connection, transaction

from analytics.capture import faults
from analytics.capture.context import NOBODY, Acting, acting, acting_now, actor_from, tag
from analytics.capture.outlet import outlet
from analytics.capture.tracking import alias, group, identify, track
from analytics.models import Event, Group, Profile, Quarantine, Subject, Tenant
from analytics.tenancy import tenant_context
from analytics.testing import Tracked, tracked

__all__ = ["tracked"]

ROOT = Path(__file__).resolve().parents[2]


def events_of(tenant: Tenant) -> list[tuple[Any, ...]]:
    """Name, amount, currency, object and source of a tenant's events, in order of time."""
    with tenant_context(tenant.pk):
        rows = Event.objects.order_by("ts", "id")
        return list(rows.values_list("name", "amount", "currency", "object_type", "object_id", "source"))


@pytest.fixture(autouse=True)
def _no_faults_yet() -> None:
    faults.fault_counts.clear()


def test_an_event_is_stored_for_the_tenant_that_acts_and_for_no_other(acme: Tenant, globex: Tenant) -> None:
    with acting(tenant="acme", distinct_id="42"):
        track("order_completed", value=Decimal("19.90"), currency="EUR", object=("order", 7))
    assert events_of(acme) == [("order_completed", 1990, "EUR", "order", "7", "manual")]
    assert events_of(globex) == []


def test_a_rollback_takes_the_event_with_it(acme: Tenant, globex: Tenant) -> None:
    with transaction.atomic():
        track("order_completed", user=1, tenant="acme")
        transaction.set_rollback(True)
    track("order_completed", user=2, tenant="globex")
    assert events_of(acme) == []
    assert len(events_of(globex)) == 1


def test_without_a_tenant_nothing_is_stored_and_the_loss_is_counted(acme: Tenant, globex: Tenant) -> None:
    track("order_completed", user=1)
    assert events_of(acme) == events_of(globex) == []
    assert faults.fault_counts.snapshot() == {"dropped.no_tenant": 1}


def test_the_same_event_id_twice_is_one_event(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    for tenant in ("acme", "acme", "globex"):
        track("gift_sent", user=5, event_id="gift-1", timestamp=t0, tenant=tenant)
    assert len(events_of(acme)) == len(events_of(globex)) == 1


def test_a_plain_value_is_a_number_and_no_money(acme: Tenant, globex: Tenant) -> None:
    track("data_point", value=0.25, object=("metric", "queue.depth"), tenant="acme")
    with tenant_context(acme.pk):
        assert list(Event.objects.values_list("value", "amount", "type")) == [(0.25, None, "metric")]
    assert events_of(globex) == []


def test_an_unreadable_amount_is_quarantined_and_the_caller_sees_nothing(acme: Tenant, globex: Tenant) -> None:
    track("order_completed", value=float("nan"), currency="EUR", tenant="acme")
    track("order_completed", value=Decimal(5), currency="doubloons", tenant="acme")
    with tenant_context(acme.pk):
        assert sorted(Quarantine.objects.values_list("reason", flat=True)) == ["unknown_currency", "unreadable_amount"]
    assert events_of(acme) == events_of(globex) == []


def test_identify_links_the_visitor_of_the_request_to_the_user(acme: Tenant, globex: Tenant) -> None:
    with acting(tenant="acme", anonymous_id="visitor-9"):
        track("page_view")
        identify(42, {"plan": "pro", "email": "ann@example.org"})
    with tenant_context(acme.pk):
        assert len(set(Subject.objects.values_list("person_id", flat=True))) == 1
        assert Subject.objects.count() == 2
        profile = Profile.objects.get()
        assert profile.traits == {"plan": "pro"}
        assert profile.sealed_traits is not None
    with tenant_context(globex.pk):
        assert Subject.objects.count() == 0


def test_alias_makes_two_ids_one_person(acme: Tenant, globex: Tenant) -> None:
    with acting(tenant="acme"):
        track("page_view", user="old-id")
        track("page_view", user="new-id")
        alias("old-id", "new-id")
    with tenant_context(acme.pk):
        assert len(set(Subject.objects.values_list("person_id", flat=True))) == 1
    assert events_of(globex) == []


def test_group_sets_traits_of_a_company(acme: Tenant, globex: Tenant) -> None:
    with acting(tenant="acme"):
        group("company", 7, {"plan": "pro"})
    with tenant_context(acme.pk):
        assert list(Group.objects.values_list("type", "key", "traits")) == [("company", "7", {"plan": "pro"})]
    with tenant_context(globex.pk):
        assert Group.objects.count() == 0


def test_tags_and_surroundings_reach_the_event_and_end_with_the_block(acme: Tenant, globex: Tenant) -> None:
    with acting(tenant="acme", session_id="s-1", request_id="r-1", tags={"screen": "checkout"}):
        tag(variant="b")
        track("cart_updated", user=1)
    assert acting_now() == NOBODY
    with tenant_context(acme.pk):
        event = Event.objects.get()
    assert event.session_id == "s-1"
    assert event.properties == {"screen": "checkout", "variant": "b", "request_id": "r-1"}


def test_a_fault_of_ours_leaves_the_callers_transaction_usable(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def broken(*_args: Any, **_kwargs: Any) -> None:
        connection.cursor().execute("SELECT 1/0")

    monkeypatch.setattr("analytics.capture.joining.write_batch", broken)
    with django_capture_on_commit_callbacks() as later, transaction.atomic():
        track("order_completed", user=1, tenant="acme")
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout'), coalesce(current_setting('app.tenant', true), '')")
            assert cursor.fetchone() == ("0", "")
    assert len(later) == 1
    assert faults.fault_counts.snapshot() == {"transaction": 1}


def test_the_callers_own_settings_are_put_back(acme: Tenant, globex: Tenant) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '7s'")
        track("order_completed", user=1, tenant="acme")
        cursor.execute("SELECT current_setting('lock_timeout'), coalesce(current_setting('app.tenant', true), '')")
        assert cursor.fetchone() == ("7s", "")


def test_switched_off_it_does_nothing(acme: Tenant, globex: Tenant, settings: Any) -> None:
    settings.ANALYTICS_ENABLED = False
    track("order_completed", user=1, tenant="acme")
    assert events_of(acme) == []
    assert faults.fault_counts.snapshot() == {}


def test_the_hosts_tenant_may_be_a_name_or_a_function(acme: Tenant, globex: Tenant, settings: Any) -> None:
    settings.ANALYTICS_TENANT = "acme"
    track("signed_up", user=1)
    settings.ANALYTICS_TENANT = lambda _request: "globex"
    track("signed_up", user=2)
    assert len(events_of(acme)) == len(events_of(globex)) == 1


# --- Celery -----------------------------------------------------------------------------------------------------------


@shared_task(name="tests.tracking.work")
def work() -> None:
    """Tracks without saying for whom."""
    seen.append(acting_now())
    track("task_done")


seen: list[Acting] = []


def publish(**surroundings: Any) -> dict[str, Any]:
    """The headers that a task sent from these surroundings carries."""
    headers: dict[str, Any] = {}
    with acting(**surroundings):
        before_task_publish.send(sender=work.name, headers=headers, body=((), {}, {}))
    return headers


def run(headers: dict[str, Any]) -> None:
    """Runs a task as a worker's child does: one after another in this thread, signals and all."""
    request: Any = work
    request.push_request(id="1", called_directly=False, is_eager=False, **headers)
    try:
        task_prerun.send(sender=work, task_id="1", task=work, args=(), kwargs={})
        work.run()
        task_postrun.send(sender=work, task_id="1", task=work, args=(), kwargs={}, retval=None, state="SUCCESS")
    finally:
        work.pop_request()


def test_a_task_acts_for_whoever_sent_it(acme: Tenant, globex: Tenant) -> None:
    headers = json.loads(json.dumps(publish(tenant="acme", distinct_id="42", session_id="s-1")))
    run(headers)
    with tenant_context(acme.pk):
        assert list(Event.objects.values_list("name", "session_id")) == [("task_done", "s-1")]
        assert Subject.objects.count() == 1
    assert events_of(globex) == []


def test_a_task_without_a_tenant_after_one_with_a_tenant_fails_closed(acme: Tenant, globex: Tenant) -> None:
    """T6: the next task of the same child must not inherit anything."""
    for _ in range(20):
        run(publish(tenant="acme", distinct_id="42"))
        run(publish())
        assert seen[-1] == NOBODY
    assert len(events_of(acme)) == 20
    assert events_of(globex) == []
    assert faults.fault_counts.snapshot() == {"dropped.no_tenant": 20}
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting('app.tenant', true), '')")
        assert cursor.fetchone() == ("",)


def test_an_eager_task_shares_the_surroundings_of_its_caller(acme: Tenant, globex: Tenant) -> None:
    with acting(tenant="acme"):
        work.apply().get()
        assert acting_now().tenant == "acme"
    assert len(events_of(acme)) == 1


def test_unreadable_headers_are_nobody() -> None:
    assert actor_from({"tenant": ["acme"]}) == NOBODY
    assert actor_from(None) == NOBODY


# --- The fixture for host projects ------------------------------------------------------------------------------------


def test_the_tracked_fixture_shows_what_was_told_and_stores_nothing(
    acme: Tenant, globex: Tenant, tracked: Tracked
) -> None:
    track("signed_up", user=1, tenant="acme", properties={"plan": "pro"})
    assert tracked.has("signed_up", plan="pro")
    assert not tracked.has("signed_up", plan="free")
    assert tracked.names == ["signed_up"]
    assert events_of(acme) == []


# --- In a host's process ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_host_project_needs_two_databases_a_key_and_a_tenant(
    acme: Tenant, globex: Tenant, database_urls: dict[str, str], settings: Any, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        **database_urls,
        "DJANGO_SETTINGS_MODULE": "tests.analytics.host.settings",
        "FIELD_ENCRYPTION_KEY": settings.FIELD_ENCRYPTION_KEY,
        "ANALYTICS_SPOOL_DIR": str(tmp_path / "spool"),
    }
    command = [sys.executable, "-m", "tests.analytics.host.visitor"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [row[0] for row in events_of(acme)] == ["page_view", "logged_in"]
    assert [row[0] for row in events_of(globex)] == ["signed_up"]


@pytest.mark.django_db(transaction=True)
def test_transactions_that_meet_crosswise_at_new_people_both_commit(acme: Tenant, globex: Tenant) -> None:
    """A wait of ours ends by itself long before PostgreSQL would end one of the host's transactions."""
    meeting = threading.Barrier(2)
    errors: list[Exception] = []

    def host(first: str, second: str) -> None:
        try:
            with transaction.atomic():
                track("page_view", user=first, tenant="acme")
                meeting.wait(10)
                track("page_view", user=second, tenant="acme")
                meeting.wait(10)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=host, args=names) for names in (("ann", "bob"), ("bob", "ann"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert outlet.flush()
    assert len(events_of(acme)) == 4
    assert events_of(globex) == []
    assert faults.fault_counts.snapshot()["transaction"] >= 1
