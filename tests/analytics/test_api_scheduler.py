"""The API of the schedule: everybody with a tenant may look, its operator (or the only tenant) may switch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from analytics.models import Tenant
from tests.api import caller, logged_in, problem


@pytest.fixture
def tick(db: None) -> PeriodicTask:
    """One entry of ours, and one of the operator's own."""
    every = IntervalSchedule.objects.create(every=5, period="seconds")
    PeriodicTask.objects.create(name="nightly backup", task="ops.backup", interval=every)
    return PeriodicTask.objects.create(name="bellwether: sweep", task="analytics.sweep", interval=every)


def test_the_status_names_the_entries(acme: Tenant, tick: PeriodicTask) -> None:
    body = caller(acme).get("scheduler/").json()

    assert (body["is_enabled"], body["is_alive"], body["last_heartbeat_at"]) == (True, False, None)
    assert {
        "name": "sweep",
        "task": "analytics.sweep",
        "every": "every 5 seconds",
        "is_enabled": True,
        "last_run_at": None,
    } in body["entries"]
    assert "nightly backup" not in {entry["name"] for entry in body["entries"]}


def test_a_schedule_that_ran_lately_is_alive(acme: Tenant, tick: PeriodicTask) -> None:
    PeriodicTask.objects.filter(pk=tick.pk).update(last_run_at=timezone.now() - timedelta(minutes=1))
    assert caller(acme).get("scheduler/").json()["is_alive"]

    PeriodicTask.objects.filter(pk=tick.pk).update(last_run_at=timezone.now() - timedelta(minutes=10))
    assert not caller(acme).get("scheduler/").json()["is_alive"]


def test_the_only_tenant_switches_the_schedule(acme: Tenant, tick: PeriodicTask) -> None:
    api = caller(acme)

    assert not api.post("scheduler/stop/").json()["is_enabled"]
    stopped = PeriodicTasks.last_change()
    assert api.post("scheduler/restart/").json()["is_enabled"]
    assert stopped is not None
    assert PeriodicTasks.last_change() > stopped
    assert api.post("scheduler/start/").json()["is_enabled"]
    assert PeriodicTask.objects.get(name="nightly backup").enabled


def test_one_of_several_tenants_may_not_stop_the_others(acme: Tenant, globex: Tenant, tick: PeriodicTask) -> None:
    assert problem(caller(acme).post("scheduler/stop/"))["code"] == "not_operator"
    assert PeriodicTask.objects.get(pk=tick.pk).enabled


def test_the_operator_switches_it_for_all(acme: Tenant, globex: Tenant, tick: PeriodicTask, owner_user: Any) -> None:
    assert logged_in("olga").post("scheduler/stop/").status_code == 403
    owner_user.is_superuser = True
    owner_user.save()

    assert logged_in("olga", tenant="acme").post("scheduler/stop/").status_code == 200
    assert not PeriodicTask.objects.get(pk=tick.pk).enabled


def test_an_unknown_action_is_not_found(acme: Tenant) -> None:
    assert problem(caller(acme).post("scheduler/explode/"))["code"] == "not_found"
