"""Models and logins that tell events: in the caller's transaction, or not at all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, connection, transaction
from django.test import RequestFactory

from analytics.capture import faults
from analytics.capture.context import acting
from analytics.capture.registry import register, tracked_models
from analytics.models import Event, Subject, Tenant
from analytics.registry import RegistryError
from analytics.tenancy import tenant_context
from tests.analytics.host.fixtures import host_tables
from tests.analytics.host.models import Payment, Silent

__all__ = ["host_tables"]

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("BELLWETHER_KILLS", "3"))  # R2 asks for 20
pytestmark = pytest.mark.usefixtures("host_tables")


@pytest.fixture(autouse=True)
def _no_faults_yet() -> None:
    faults.fault_counts.clear()


def names_of(tenant: Tenant) -> list[str]:
    """The names of a tenant's events, in the order they were written."""
    with tenant_context(tenant.pk):
        return list(Event.objects.order_by("id").values_list("name", flat=True))


# --- What is told -----------------------------------------------------------------------------------------------------


def test_create_change_and_delete_tell_their_events(acme: Tenant, globex: Tenant) -> None:
    payment = Payment.objects.create(amount="12.50")
    payment.status = "settled"
    payment.save()
    payment.delete()
    assert names_of(acme) == ["payment_created", "payment_settled", "payment_deleted"]
    assert names_of(globex) == []
    with tenant_context(acme.pk):
        event = Event.objects.get(name="payment_settled")
        assert (event.amount, event.currency, event.object_type, event.source) == (1250, "EUR", "payment", "signal")
        assert Subject.objects.count() == 1


def test_only_the_declared_transitions_tell(acme: Tenant, globex: Tenant) -> None:
    payment = Payment.objects.create()
    for status in ("pending", "settled", "settled", "refunded", "failed"):
        payment.status = status
        payment.save()
    assert names_of(acme) == ["payment_created", "payment_settled", "payment_failed"]


def test_a_save_of_other_fields_tells_no_transition(acme: Tenant, globex: Tenant) -> None:
    payment = Payment.objects.create()
    payment.status = "settled"
    payment.note = "look"
    payment.save(update_fields=["note"])
    assert names_of(acme) == ["payment_created", "payment_noted"]


def test_a_first_value_is_a_transition_from_nothing(acme: Tenant, globex: Tenant) -> None:
    Payment.objects.create(status="failed", tenant_slug="globex")
    assert names_of(globex) == ["payment_created", "payment_failed"]
    assert names_of(acme) == []


def test_the_former_state_is_the_rows_not_what_the_instance_remembers(acme: Tenant, globex: Tenant) -> None:
    """After a rollback an instance says "settled" while its row is pending: saving it again is the transition."""
    payment = Payment.objects.create()
    payment.status = "settled"
    with transaction.atomic():
        payment.save()
        transaction.set_rollback(True)
    assert names_of(acme) == ["payment_created"]
    payment.save()
    assert names_of(acme) == ["payment_created", "payment_settled"]


def test_a_model_that_nobody_registered_is_silent(acme: Tenant, globex: Tenant) -> None:
    with acting(tenant="acme"):
        Silent.objects.create().delete()
    assert names_of(acme) == []


def test_bulk_operations_of_the_query_set_tell_too(acme: Tenant, globex: Tenant) -> None:
    first, *others = Payment.objects.bulk_create([Payment() for _ in range(3)] + [Payment(tenant_slug="globex")])
    assert Counter(names_of(acme)) == {"payment_created": 3}
    Payment.objects.filter(tenant_slug="acme").update(status="settled")
    assert Counter(names_of(acme)) == {"payment_created": 3, "payment_settled": 3}
    first.status = "failed"
    Payment.objects.bulk_update([first], ["status"])
    Payment.objects.filter(tenant_slug="acme").update(amount=7)
    Payment.objects.filter(pk__in=[each.pk for each in others]).delete()
    assert Counter(names_of(acme)) == {
        "payment_created": 3,
        "payment_settled": 3,
        "payment_failed": 1,
        "payment_deleted": 2,
    }
    assert Counter(names_of(globex)) == {"payment_created": 1, "payment_deleted": 1}


def test_bulk_creation_with_conflicts_is_counted_and_not_guessed(acme: Tenant, globex: Tenant) -> None:
    Payment.objects.bulk_create([Payment(), Payment()], ignore_conflicts=True)
    assert names_of(acme) == []
    assert faults.fault_counts.snapshot() == {"dropped.bulk_create_with_conflicts": 2}


# --- Declarations -----------------------------------------------------------------------------------------------------


def test_a_model_is_registered_once_and_with_fields_it_has() -> None:
    with pytest.raises(RegistryError):
        register(Payment, on_create="other")
    with pytest.raises(FieldDoesNotExist):
        register(Silent, on_change={"colour": {}})
    assert Silent._meta.label not in tracked_models


# --- Together or not at all (R2) --------------------------------------------------------------------------------------


def test_a_rolled_back_savepoint_takes_its_events_and_leaves_the_others(acme: Tenant, globex: Tenant) -> None:
    with transaction.atomic():
        Payment.objects.create()
        with transaction.atomic():
            Payment.objects.create(tenant_slug="globex")
            transaction.set_rollback(True)
    assert names_of(acme) == ["payment_created"]
    assert names_of(globex) == []


def test_a_fault_in_a_declaration_never_reaches_the_host(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_payment: Payment) -> dict[str, Any]:
        raise ZeroDivisionError

    declared = tracked_models[Payment._meta.label]
    monkeypatch.setitem(declared.__dict__, "event", broken)
    payment = Payment.objects.create()
    assert Payment.objects.filter(pk=payment.pk).exists()
    assert names_of(acme) == []
    assert faults.fault_counts.snapshot() == {"signal": 1}


def test_an_error_of_the_host_stays_the_hosts(acme: Tenant, globex: Tenant) -> None:
    payment = Payment.objects.create()
    with pytest.raises(IntegrityError), transaction.atomic():
        Payment.objects.create(pk=payment.pk)
    assert names_of(acme) == ["payment_created"]


def payments_and_events(tenant: Tenant) -> tuple[list[str], list[str], list[str]]:
    """Keys of a tenant's payments; of the payments in its payment_created events; in its payment_settled events."""
    paid = sorted(str(pk) for pk in Payment.objects.filter(tenant_slug=tenant.slug).values_list("pk", flat=True))
    with tenant_context(tenant.pk):
        told = {
            name: sorted(str(each.object_id) for each in Event.objects.filter(name=name))
            for name in ("payment_created", "payment_settled")
        }
    return paid, told["payment_created"], told["payment_settled"]


@pytest.mark.django_db(transaction=True)
def test_commits_miss_no_event_and_rollbacks_leave_none(acme: Tenant, globex: Tenant) -> None:
    dice = random.Random(7)
    for _ in range(150):
        with transaction.atomic():
            payment = Payment.objects.create(payer=f"p{dice.randrange(9)}", tenant_slug=dice.choice(["acme", "globex"]))
            payment.status = "settled"
            payment.save()
            transaction.set_rollback(dice.random() < 0.1)
    for tenant in (acme, globex):
        paid, created, settled = payments_and_events(tenant)
        assert paid == created == settled
        assert len(paid) > 40


@pytest.mark.django_db(transaction=True)
def test_a_killed_host_leaves_no_payment_without_event_and_no_event_without_payment(
    acme: Tenant, globex: Tenant, database_urls: dict[str, str]
) -> None:
    environment = {**os.environ, **database_urls, "DJANGO_SETTINGS_MODULE": "config.settings"}
    for seed in range(KILLS):
        command = [sys.executable, "-m", "tests.analytics.host.seller", str(seed)]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as seller:
            assert seller.stdout is not None
            assert seller.stdout.readline() == b"selling\n"
            _await_payments(Payment.objects.count() + 20)
            time.sleep(seed * 0.137 % 0.4)  # somewhere in a sale
            seller.send_signal(signal.SIGKILL)
    _await_no_transaction()
    for tenant in (acme, globex):
        paid, created, settled = payments_and_events(tenant)
        assert paid == created == settled
        assert len(paid) > 10


def _await_payments(count: int) -> None:
    """However slow the machine: until the host has sold so many."""
    deadline = time.monotonic() + 120
    while Payment.objects.count() < count:
        assert time.monotonic() < deadline, f"{Payment.objects.count()} of {count} payments after two minutes"
        time.sleep(0.02)


def _await_no_transaction() -> None:
    """PostgreSQL notices a killed client a moment later."""
    for _ in range(100):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND xact_start IS NOT NULL"
            )
            if cursor.fetchone() == (0,):
                return
        time.sleep(0.05)


# --- Logins -----------------------------------------------------------------------------------------------------------


def test_where_nobody_names_a_tenant_sign_ins_are_no_lost_events(acme: Tenant, settings: Any) -> None:
    settings.ANALYTICS_TENANT = ""
    faults.fault_counts.clear()
    user = get_user_model().objects.create_user("ann", password="correct horse")
    request = RequestFactory().get("/")
    user_logged_in.send(sender=type(user), request=request, user=user)
    user_logged_out.send(sender=type(user), request=request, user=user)
    assert authenticate(request, username="ann", password="wrong") is None
    assert faults.fault_counts.snapshot() == {}
    assert names_of(acme) == []


def test_logins_are_told_and_join_the_visitor_with_the_user(acme: Tenant, globex: Tenant) -> None:
    user = get_user_model().objects.create_user("ann", password="correct horse")
    request = RequestFactory().get("/")
    with acting(tenant="acme", anonymous_id="visitor-1"):
        user_logged_in.send(sender=type(user), request=request, user=user)
        user_logged_out.send(sender=type(user), request=request, user=user)
    with acting(tenant="globex"):
        assert authenticate(request, username="ann", password="wrong") is None
    assert names_of(acme) == ["$identify", "logged_in", "logged_out"]
    assert names_of(globex) == ["login_failed"]
    with tenant_context(acme.pk):
        assert len(set(Subject.objects.values_list("person_id", flat=True))) == 1
    with tenant_context(globex.pk):
        event = Event.objects.get()
        assert event.reason == "invalid_credentials"
        assert "ann" not in str(event.properties)
