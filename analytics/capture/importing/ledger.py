"""The row of `bw_job` that an import leaves: how far it came, so that a killed one goes on where it stopped.

The committed line is written after the events up to it are; a crash between the two repeats a few batches, which are
duplicates. A session lock, which dies with its process, keeps two imports of one file apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from django.db import connection

from analytics.models import Job
from analytics.tenancy import tenant_context

from .problems import ImportProblem

if TYPE_CHECKING:
    from .delivery import Delivery

KIND = "import.file"


class Ledger(Protocol):
    """Where an import notes what is committed: a row of its own for commands, the job itself for uploads."""

    line: int
    outcomes: Counter[str]
    reasons: Counter[str]

    def reached(self, delivery: Delivery, total: int) -> None:
        """Everything up to the delivery's line is committed, of about `total` lines."""

    def finished(self, delivery: Delivery, *, now: datetime) -> None:
        """The whole file is in."""

    def stopped(self, delivery: Delivery, error: str, *, now: datetime) -> None:
        """It ended early; another try goes on after the delivery's line."""

    def release(self) -> None:
        """Let another process import the file."""


@dataclass
class ImportLedger:
    """One import's row. All writes are transactions of their own."""

    tenant_id: int
    job_id: UUID
    line: int
    key: str
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def reached(self, delivery: Delivery, total: int) -> None:
        """Everything up to the delivery's line is committed."""
        self._update(cursor={"line": delivery.line}, done=delivery.line, total=total)

    def finished(self, delivery: Delivery, *, now: datetime) -> None:
        """The whole file is in."""
        line, result = delivery.line, {**delivery.outcomes}
        self._update(state=Job.State.DONE, result=result, cursor={"line": line}, done=line, total=line, finished_at=now)

    def stopped(self, delivery: Delivery, error: str, *, now: datetime) -> None:
        """It ended early; `--resume` goes on after this line."""
        line = delivery.line
        self._update(state=Job.State.FAILED, cursor={"line": line}, done=line, error=error[:1000], finished_at=now)

    def release(self) -> None:
        """Let another process import the file."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [lock_number(self.tenant_id, self.key)])

    def _update(self, **columns: Any) -> None:
        with tenant_context(self.tenant_id):
            Job.objects.filter(pk=self.job_id).update(**columns)


def import_begin(
    *, tenant_id: int, fingerprint: str, mapping: str, path: str, total: int, resume: bool, now: datetime
) -> ImportLedger:
    """Take the file for this process, and find where an earlier one stopped. Raises ImportProblem when it is taken."""
    key = f"{fingerprint}:{mapping}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock_number(tenant_id, key)])
        if not cursor.fetchone()[0]:
            remedy = "wait for it; a killed one lets go at once"
            raise ImportProblem("this file is being imported by another process", remedy=remedy)
    with tenant_context(tenant_id):
        open_jobs = Job.objects.filter(kind=KIND, params__key=key).exclude(state=Job.State.DONE)
        before = open_jobs.order_by("-created_at").first()
        line = int(before.cursor.get("line", 0)) if before and resume else 0
        open_jobs.update(state=Job.State.CANCELLED, dedupe_key=None, finished_at=now)
        # No lease: only this process may run it, so no sweeper shall ever claim it.
        job = Job.objects.create(
            tenant_id=tenant_id, kind=KIND, params={"key": key, "file": path, "mapping": mapping},
            state=Job.State.RUNNING, cursor={"line": line}, done=line, total=total, started_at=now, max_attempts=1,
        )  # fmt: skip
    return ImportLedger(tenant_id, job.pk, line, key)


def lock_number(tenant_id: int, key: str) -> int:
    """A 64-bit number for PostgreSQL's advisory locks."""
    digest = blake2b(f"import:{tenant_id}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
