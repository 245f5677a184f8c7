"""Jobs: claimed once, leased, fenced, gone on with after a kill, tried again with pauses."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django.utils import timezone

from analytics import jobs
from analytics.jobs import (
    JobKind,
    LeaseLost,
    PermanentFailure,
    RunningJob,
    cancel,
    claim,
    enqueue,
    kinds,
    run_due,
    run_job,
)
from analytics.models import Job, Tenant
from analytics.registry import UnknownName
from analytics.tasks import sweep
from analytics.tenancy import platform_context, tenant_context

pytestmark = pytest.mark.django_db
log: list[Any] = []


def note(job: RunningJob) -> dict[str, Any]:
    log.append((job.tenant_id, job.params))
    job.progress(1, 2)
    return {"noted": True}


def fail(job: RunningJob) -> None:
    raise ValueError("the disk is full")


def clash(job: RunningJob) -> None:
    """Fails as a statement does whose row is not wanted: PostgreSQL quotes it, line after line."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute(
            "DO $$ BEGIN RAISE unique_violation USING MESSAGE = 'duplicate key', "
            "DETAIL = 'Key (email)=(ann@example.org) already exists.'; END $$"
        )


def refuse(job: RunningJob) -> None:
    raise PermanentFailure("Give it a tenant.")


def sever(job: RunningJob) -> None:
    """Works on a connection of its own, which the server ends."""
    with psycopg.connect(**connections["owner"].get_connection_params()) as own:
        own.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def count_to_five(job: RunningJob) -> dict[str, Any]:
    """Five steps, each with a checkpoint; the process is killed at the step that params name, the first time."""
    for step in range(job.cursor.get("next", 0), 5):
        if step == job.params.get("die_at") and job.attempts == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        job.checkpoint({"next": step + 1, "seen": [*job.cursor.get("seen", []), step]}, done=step + 1, total=5)
    return {"seen": job.cursor["seen"]}


for _name, _handler in (
    ("test.note", note),
    ("test.fail", fail),
    ("test.clash", clash),
    ("test.refuse", refuse),
    ("test.count", count_to_five),
    ("test.sever", sever),
):
    kinds.register(JobKind(_name, _handler))


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


def fresh(job: Job) -> Job:
    with platform_context() if job.tenant_id is None else tenant_context(job.tenant_id):
        return Job.objects.get(pk=job.pk)


def change(job: Job, **values: Any) -> None:
    with platform_context() if job.tenant_id is None else tenant_context(job.tenant_id):
        Job.objects.filter(pk=job.pk).update(**values)


def test_a_job_runs_once_with_its_params_in_its_tenant(acme: Tenant, globex: Tenant) -> None:
    job = enqueue(kind="test.note", tenant_id=acme.pk, params={"a": 1})
    other = enqueue(kind="test.note", tenant_id=globex.pk)
    platform = enqueue(kind="test.note")
    assert run_due() == 3
    assert run_due() == 0
    assert sorted(log, key=str) == sorted([(acme.pk, {"a": 1}), (globex.pk, {}), (None, {})], key=str)
    for each in (job, other, platform):
        each = fresh(each)
        assert (each.state, each.result, each.done, each.total, each.lease_token) == (
            "done",
            {"noted": True},
            2,
            2,
            None,
        )


def test_no_tenant_sees_the_jobs_of_another(acme: Tenant, globex: Tenant) -> None:
    enqueue(kind="test.note", tenant_id=acme.pk)
    enqueue(kind="test.note")
    with tenant_context(globex.pk):
        assert not Job.objects.exists()
    assert not Job.objects.exists()


def test_the_same_work_is_queued_once_until_it_has_ended(acme: Tenant, globex: Tenant) -> None:
    first = enqueue(kind="test.note", tenant_id=acme.pk, dedupe_key="october")
    assert enqueue(kind="test.note", tenant_id=acme.pk, dedupe_key="october").pk == first.pk
    assert enqueue(kind="test.note", tenant_id=globex.pk, dedupe_key="october").pk != first.pk
    run_due()
    assert enqueue(kind="test.note", tenant_id=acme.pk, dedupe_key="october").pk != first.pk


def test_an_unknown_kind_is_refused_at_the_door(acme: Tenant) -> None:
    with pytest.raises(UnknownName, match=r"did you mean test\.note"):
        enqueue(kind="test.notes", tenant_id=acme.pk)


def test_a_job_waits_for_its_time(acme: Tenant) -> None:
    job = enqueue(kind="test.note", tenant_id=acme.pk, run_at=timezone.now() + timedelta(hours=1))
    assert not run_job(job.pk)
    change(job, run_at=timezone.now() - timedelta(seconds=1))
    assert run_job(job.pk)
    assert not run_job(job.pk)  # a doorbell rung twice


def test_failures_pause_longer_each_time_and_end_at_the_limit(acme: Tenant) -> None:
    job = enqueue(kind="test.fail", tenant_id=acme.pk, max_attempts=3)
    pauses = []
    for _ in range(3):
        begun = timezone.now()
        assert run_job(job.pk)
        job = fresh(job)
        pauses.append(round((job.run_at - begun).total_seconds()))
        change(job, run_at=begun)
    assert (job.state, job.error, job.attempts, pauses[:2]) == ("failed", "ValueError: the disk is full", 3, [5, 10])


def test_a_job_whose_database_went_away_waits_and_loses_no_attempt(acme: Tenant) -> None:
    job = enqueue(kind="test.sever", tenant_id=acme.pk, max_attempts=1)
    for _ in range(3):
        assert run_job(job.pk)
        assert (fresh(job).state, fresh(job).attempts) == ("queued", 0)
        change(job, run_at=timezone.now())
    assert "terminating connection" in fresh(job).error


def test_a_failure_is_told_without_the_row_that_caused_it(acme: Tenant) -> None:
    job = enqueue(kind="test.clash", tenant_id=acme.pk, max_attempts=1)

    run_job(job.pk)

    assert (fresh(job).state, fresh(job).error) == ("failed", "IntegrityError: duplicate key")


def test_a_job_may_lose_three_times_as_many_workers_as_it_may_fail(acme: Tenant) -> None:
    job = enqueue(kind="test.note", tenant_id=acme.pk, max_attempts=2)
    deaths = 0
    while claim(now=timezone.now(), job_id=job.pk) is not None:
        deaths += 1
        change(job, lease_until=timezone.now() - timedelta(seconds=1))
    assert (deaths, fresh(job).state, fresh(job).error) == (6, "failed", "The worker died too often.")


def test_a_permanent_failure_is_not_tried_again(acme: Tenant) -> None:
    job = enqueue(kind="test.refuse", tenant_id=acme.pk)
    run_due()
    assert (fresh(job).state, fresh(job).error) == ("failed", "Give it a tenant.")


def test_a_worker_that_slept_through_its_lease_can_change_nothing(acme: Tenant) -> None:
    job = enqueue(kind="test.note", tenant_id=acme.pk)
    sleeper = claim(now=timezone.now(), job_id=job.pk)
    assert sleeper is not None
    assert claim(now=timezone.now(), job_id=job.pk) is None
    change(job, lease_until=timezone.now() - timedelta(seconds=1))
    second = claim(now=timezone.now(), job_id=job.pk)
    assert second is not None
    with pytest.raises(LeaseLost):
        sleeper.checkpoint({"at": "old"})
    jobs._finish(sleeper, state=Job.State.DONE, result={"by": "sleeper"})
    second.checkpoint({"at": "new"})
    assert (fresh(job).state, fresh(job).cursor, fresh(job).attempts) == ("running", {"at": "new"}, 1)


def test_a_cancelled_job_stops_at_its_next_sign_of_progress(acme: Tenant, globex: Tenant) -> None:
    job = enqueue(kind="test.note", tenant_id=acme.pk)
    running = claim(now=timezone.now(), job_id=job.pk)
    assert running is not None
    assert cancel(job, now=timezone.now())
    with pytest.raises(jobs.JobCancelled):
        running.progress(1, 2)
    assert not cancel(job, now=timezone.now())
    assert fresh(job).state == "cancelled"


def test_jobs_run_drains_the_queue_without_celery(acme: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    enqueue(kind="test.note", tenant_id=acme.pk)
    enqueue(kind="test.refuse", tenant_id=acme.pk)
    call_command("jobs_run", "--kind", "test.note")
    assert capsys.readouterr().out == "1 jobs run.\n"
    assert len(log) == 1


def test_the_sweeper_rings_for_whatever_waits(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr("analytics.tasks.ring.apply_async", lambda args, **options: rung.append(args[0]))
    lost = enqueue(kind="test.note", tenant_id=acme.pk)
    dead = enqueue(kind="test.note", tenant_id=globex.pk)
    alive = enqueue(kind="test.note")
    for job in (dead, alive):
        claim(now=timezone.now(), job_id=job.pk)
    change(dead, lease_until=timezone.now() - timedelta(seconds=1))
    assert sweep() == 2
    assert set(rung) == {str(lost.pk), str(dead.pk)}


@pytest.mark.django_db(transaction=True)
def test_a_job_killed_in_the_middle_goes_on_from_its_checkpoint(acme: Tenant, globex: Tenant) -> None:
    job = enqueue(kind="test.count", tenant_id=acme.pk, params={"die_at": 3})
    connections.close_all()
    child = multiprocessing.get_context("fork").Process(target=run_job, args=(job.pk,))
    child.start()
    child.join(20)
    assert child.exitcode == -signal.SIGKILL
    assert (fresh(job).state, fresh(job).done) == ("running", 3)
    assert not run_job(job.pk)  # its lease still holds
    change(job, lease_until=timezone.now() - timedelta(seconds=1))
    assert run_job(job.pk)
    assert (fresh(job).state, fresh(job).result) == ("done", {"seen": [0, 1, 2, 3, 4]})


@pytest.mark.django_db(transaction=True)
def test_eight_workers_run_forty_jobs_once_each(acme: Tenant, globex: Tenant) -> None:
    waiting = {
        enqueue(kind="test.note", tenant_id=tenant.pk, params={"n": n}).pk
        for n in range(20)
        for tenant in (acme, globex)
    }
    connections.close_all()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=_drain, args=(results,)) for _ in range(8)]
    for child in children:
        child.start()
    ran = [results.get(timeout=30) for _ in children]
    for child in children:
        child.join(10)
    assert sum(ran) == len(waiting)
    for tenant in (acme, globex):
        with tenant_context(tenant.pk):
            assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}


def _drain(results: Any) -> None:
    results.put(run_due())


@pytest.mark.django_db(transaction=True)
def test_a_long_step_keeps_its_lease(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    job = enqueue(kind="test.note", tenant_id=acme.pk)
    running = claim(now=timezone.now(), job_id=job.pk)
    assert running is not None
    running.lease = timedelta(seconds=0.6)
    change(job, lease_until=timezone.now() + timedelta(seconds=0.3))
    with jobs._heartbeat(running):
        time.sleep(1)
        assert claim(now=timezone.now(), job_id=job.pk) is None
    assert datetime.now(tz=timezone.get_default_timezone()) < fresh(job).lease_until + timedelta(seconds=1)  # type: ignore[operator]


def test_ids_that_are_no_jobs_ring_in_vain(acme: Tenant) -> None:
    assert not run_job(uuid.uuid4())
