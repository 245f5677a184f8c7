"""Work that outlives processes: rows in PostgreSQL, claimed with a lease, rung for by Celery.

A handler is registered by `@job_kind("rollup.backfill")` and is called with a `RunningJob`. It may be killed anywhere:
after its lease ends the job is claimed again and goes on from its last checkpoint. Every write of a running job carries
the token of its lease, so that a worker that slept through its lease can change nothing any more (LeaseLost).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connections, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from analytics.models import Job
from analytics.registry import Registry, UnknownName
from analytics.tenancy import platform_context, tenant_context
from analytics.trace import request_id, traced

LEASE = timedelta(seconds=15)  # a killed worker's job goes on this soon; a living one renews it every 5 s
BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=10)
GONE = ("08", "57P")  # SQLSTATE: connection exceptions; shutdown, crash, starting up
ACTIVE = (Job.State.QUEUED, Job.State.RUNNING)


class LeaseLost(Exception):
    """Another worker has the job now. The handler must stop; what it committed is committed."""


class JobCancelled(Exception):
    """Somebody cancelled the job while it ran. The handler must stop."""


class PermanentFailure(Exception):
    """Trying again would not help; the message says what to change."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """`handler` gets the running job and may return a result, a small dict of JSON values."""

    id: str
    handler: Callable[[RunningJob], dict[str, Any] | None]


kinds: Registry[JobKind] = Registry(JobKind)


def job_kind(
    id: str,
) -> Callable[[Callable[[RunningJob], dict[str, Any] | None]], Callable[[RunningJob], dict[str, Any] | None]]:
    """Register the decorated function as the handler of jobs of this kind."""

    def register(handler: Callable[[RunningJob], dict[str, Any] | None]) -> Callable[..., dict[str, Any] | None]:
        kinds.register(JobKind(id, handler))
        return handler

    return register


@dataclass
class RunningJob:
    """A claimed job in the hands of its handler."""

    id: uuid.UUID
    kind: str
    tenant_id: int | None
    params: dict[str, Any]
    cursor: dict[str, Any]
    token: uuid.UUID
    attempts: int
    max_attempts: int
    using: str = "default"
    lease: timedelta = LEASE
    request_id: str = ""
    _lost: threading.Event = field(default_factory=threading.Event, repr=False)

    def progress(self, done: int, total: int) -> None:
        """Say how far it is (in units of the handler's choice) and renew the lease. Raises LeaseLost, JobCancelled."""
        self._update(done=done, total=total)

    def checkpoint(
        self,
        cursor: Mapping[str, Any],
        *,
        done: int | None = None,
        total: int | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep where to go on after a kill. Inside the handler's transaction it commits with the work it tells of.

        A job that gets ahead has not "died too often", however often its workers are killed: attempts begin anew.
        `result` is what is known of the result so far.
        """
        self.cursor = dict(cursor)
        told = {"done": done, "total": total, "result": None if result is None else dict(result)}
        counts = {name: value for name, value in told.items() if value is not None}
        self._update(cursor=self.cursor, attempts=1, **counts)

    def renew(self) -> None:
        """Only renew the lease."""
        self._update()

    def _update(self, **values: Any) -> None:
        if self._lost.is_set():
            raise LeaseLost(f"job {self.id} belongs to another worker")
        with job_context(self.tenant_id, using=self.using):
            rows = Job.objects.using(self.using).filter(pk=self.id, lease_token=self.token)
            held = rows.filter(state=Job.State.RUNNING).update(lease_until=timezone.now() + self.lease, **values)
            state = None if held else rows.values_list("state", flat=True).first()
        if state == Job.State.CANCELLED:
            raise JobCancelled(f"job {self.id} was cancelled")
        if not held:
            self._lost.set()
            raise LeaseLost(f"job {self.id} belongs to another worker")


def kind_named(name: str) -> JobKind:
    """The kind, after importing `jobs.py` of every installed app if need be. Raises UnknownName."""
    if name not in kinds:
        autodiscover_modules("jobs")
    return kinds[name]


def job_context(tenant_id: int | None, *, using: str = "default") -> AbstractContextManager[None]:
    """The context in which the job's row is visible."""
    return platform_context(using=using) if tenant_id is None else tenant_context(tenant_id, using=using)


def enqueue(
    *,
    kind: str,
    tenant_id: int | None = None,
    params: Mapping[str, Any] | None = None,
    dedupe_key: str | None = None,
    run_at: datetime | None = None,
    created_by: str = "",
    max_attempts: int = 5,
    using: str = "default",
) -> Job:
    """Add a job to the queue and ring for it after COMMIT.

    With a `dedupe_key`, the queued or running job of that kind, tenant and key is returned instead of a second one.
    Raises UnknownName for a kind that nobody handles.
    """
    kind_named(kind)
    job = Job(
        kind=kind, tenant_id=tenant_id, params=dict(params or {}), dedupe_key=dedupe_key,
        run_at=run_at or timezone.now(), created_by=created_by, max_attempts=max_attempts, request_id=request_id(),
    )  # fmt: skip
    with job_context(tenant_id, using=using):
        try:
            with transaction.atomic(using=using):
                job.save(using=using, force_insert=True)
        except IntegrityError:
            same: dict[str, Any] = {"kind": kind, "tenant_id": tenant_id, "dedupe_key": dedupe_key}
            active = Job.objects.using(using).filter(**same, state__in=ACTIVE)
            existing = active.first() if dedupe_key is not None else None
            if existing is None:
                raise
            return existing
        if run_at is None:
            transaction.on_commit(partial(_ring, job.pk), using=using)
    return job


def _ring(job_id: uuid.UUID) -> None:
    """Tell a worker. Losing the message is harmless, and so is a broker that is away: the sweeper rings again."""
    from analytics.tasks import ring

    try:
        ring.apply_async((str(job_id),), ignore_result=True, retry=False, expires=60)
    except Exception:  # noqa: S110 - whatever ails the broker, the job is safe in PostgreSQL
        pass


def cancel(job: Job, *, now: datetime, using: str = "default") -> bool:
    """Cancel a queued or running job; its handler stops at its next sign of progress. False when it had ended."""
    with job_context(job.tenant_id, using=using):
        rows = Job.objects.using(using).filter(pk=job.pk, state__in=ACTIVE)
        return rows.update(state=Job.State.CANCELLED, finished_at=now, lease_until=None) == 1


def run_now(job: Job, *, now: datetime, using: str = "default") -> bool:
    """Make a waiting job due at once, or start a failed or cancelled one again where it stopped. False when it runs
    or is done.

    A second active job with the same `dedupe_key` is not made: then the answer is False too.
    """
    restartable = (Job.State.QUEUED, Job.State.FAILED, Job.State.CANCELLED)
    with job_context(job.tenant_id, using=using):
        rows = Job.objects.using(using).filter(pk=job.pk, state__in=restartable)
        try:
            with transaction.atomic(using=using):
                hit = rows.update(
                    state=Job.State.QUEUED, run_at=now, attempts=0, error="", finished_at=None, lease_token=None
                )
        except IntegrityError:
            return False
        if hit:
            transaction.on_commit(partial(_ring, job.pk), using=using)
        return hit == 1


def claim(
    *, now: datetime, job_id: uuid.UUID | None = None, only: list[str] | None = None, using: str = "default"
) -> RunningJob | None:
    """Take the next due job, or this one, with a lease; None when there is none to take."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT id, tenant_id, kind, lease_token FROM bw_job_claim(%s, %s, %s, %s)",
            [only, job_id, int(LEASE.total_seconds()), now],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    with job_context(row[1], using=using):
        job = Job.objects.using(using).get(pk=row[0])
    return RunningJob(
        job.pk, job.kind, job.tenant_id, job.params, job.cursor, row[3], job.attempts, job.max_attempts, using=using,
        request_id=job.request_id,
    )  # fmt: skip


def run_job(job_id: uuid.UUID, *, using: str = "default") -> bool:
    """Run this job, if it is due and nobody else runs it; whether it ran."""
    job = claim(now=timezone.now(), job_id=job_id, using=using)
    if job is None:
        return False
    run_claimed(job)
    return True


def run_due(*, only: list[str] | None = None, limit: int | None = None, using: str = "default") -> int:
    """Run due jobs until there is none left (or `limit` have run); how many ran."""
    count = 0
    while limit is None or count < limit:
        job = claim(now=timezone.now(), only=only, using=using)
        if job is None:
            break
        run_claimed(job)
        count += 1
    return count


def run_claimed(job: RunningJob) -> None:
    """Call the handler and write down how it ended. Failures wait longer each time, and stop after max_attempts.

    A database that went away is nobody's failure: the job waits a little and the attempt does not count.
    """
    try:
        with _heartbeat(job), traced(job.request_id, job=f"{job.kind} {job.id}"):
            result = kind_named(job.kind).handler(job)
    except UnknownName as error:
        _finish(job, state=Job.State.FAILED, error=f"{error}; is its app installed?")
    except (LeaseLost, JobCancelled):
        return
    except PermanentFailure as error:
        _finish(job, state=Job.State.FAILED, error=str(error))
    except Exception as error:
        if is_server_gone(error):
            later = timezone.now() + BACKOFF
            _settle(job, state=Job.State.QUEUED, error=str(error), run_at=later, attempts=F("attempts") - 1)
            return
        _fail(job, failure_told(error))
    else:
        _finish(job, state=Job.State.DONE, result=result or {}, error="")


def failure_told(error: BaseException) -> str:
    """What went wrong, for members to read. The lines after PostgreSQL's first one quote the row, which may be a
    person's.
    """
    text = str(error)
    told = text.partition("\n")[0] if isinstance(error, DatabaseError | psycopg.Error) else text
    return f"{type(error).__name__}: {told}"


def is_server_gone(error: BaseException) -> bool:
    """Whether the statement failed because PostgreSQL went away, was shut down or killed our session."""
    if not isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError):
        return False
    states = [getattr(each, "sqlstate", None) or "" for each in (error, error.__cause__) if each is not None]
    return not any(states) or any(state.startswith(GONE) for state in states)


def _fail(job: RunningJob, error: str) -> None:
    if job.attempts >= job.max_attempts:
        _finish(job, state=Job.State.FAILED, error=error)
        return
    pause = min(BACKOFF * 2 ** (job.attempts - 1), LONGEST_BACKOFF)
    _settle(job, state=Job.State.QUEUED, error=error, run_at=timezone.now() + pause, started_at=None)


def _finish(job: RunningJob, **values: Any) -> None:
    if values["state"] == Job.State.DONE:
        values["done"] = F("total")
    _settle(job, finished_at=timezone.now(), **values)


def _settle(job: RunningJob, **values: Any) -> None:
    """End the lease, unless another worker has it by now."""
    with job_context(job.tenant_id, using=job.using):
        rows = Job.objects.using(job.using).filter(pk=job.id, lease_token=job.token, state=Job.State.RUNNING)
        rows.update(lease_token=None, lease_until=None, **values)


@contextmanager
def _heartbeat(job: RunningJob) -> Iterator[None]:
    """Renew the lease from a thread while the handler works, so that one long statement does not lose it.

    A process that is stopped or killed beats no more, and that is what a lease is for.
    """
    ended = threading.Event()

    def beat() -> None:
        try:
            while not ended.wait(job.lease.total_seconds() / 3):
                job.renew()
        except (LeaseLost, JobCancelled):
            pass
        except Exception:  # noqa: S110 - a database that is away ends the lease by itself
            pass
        finally:
            connections[job.using].close()

    thread = threading.Thread(target=beat, name=f"lease-{job.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def ringable(*, now: datetime, limit: int = 1000, using: str = "default") -> list[uuid.UUID]:
    """Jobs that are due and that nobody runs, oldest first: also those whose worker died."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT id FROM bw_jobs_ringable(%s, %s)", [now, limit])
        return [row[0] for row in cursor.fetchall()]
