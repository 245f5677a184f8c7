"""Batches on their way to the store: a few in flight, counted in the order of the file, retried while that helps."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, datetime

import psycopg
from django.db import connection, connections
from django.utils import timezone

from analytics.contracts import CapturedEvent, Outcome, Refusal, Verdict
from analytics.tenancy import tenant_context
from analytics.writer import EventWriter, WriterBusy, write_batch

from .problems import ImportProblem, StoreAway

IN_FLIGHT = 6
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
# Past this an import has gone wrong as a whole, for example because the mapping changed since the first time.
CONFLICTS = 1_000
MAX_MONTHS = 240

Submit = Callable[[Sequence[CapturedEvent], Sequence[Refusal]], "Future[list[Verdict]]"]


@dataclass
class Batch:
    """Events and refusals of consecutive lines, up to and with `line`."""

    events: list[CapturedEvent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    line: int = 0

    def __len__(self) -> int:
        return len(self.events) + len(self.refusals)


class Delivery:
    """Sends batches of one tenant and keeps count. `line` is the last one of which everything is committed."""

    def __init__(self, tenant_id: int, line: int = 0) -> None:
        self.line = line
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.stored_names: set[str] = set()
        self._tenant_id = tenant_id
        self._flying: deque[tuple[Future[list[Verdict]], Batch]] = deque()
        self._months: set[date] = set()
        # Inside a transaction of the caller's, other connections would not see the tenant.
        self._writer = None if connection.in_atomic_block else EventWriter(workers=2)

    def send(self, batch: Batch) -> None:
        """Hand over a batch; waits while too many are on their way. Raises ImportProblem when nothing can be stored."""
        self._ensure_months(batch.events)
        self._flying.append((self._submit(batch), batch))
        while len(self._flying) > IN_FLIGHT:
            self._land()

    def finish(self) -> None:
        """Wait for everything that is on its way."""
        while self._flying:
            self._land()

    def close(self) -> None:
        """Stop; batches that were not waited for may be stored or not."""
        if self._writer is not None:
            self._writer.close(timeout=10)

    def _submit(self, batch: Batch) -> Future[list[Verdict]]:
        if self._writer is None:
            return self._write_here(batch)
        try:
            return self._writer.submit(batch.events, batch.refusals)
        except WriterBusy as error:
            failed: Future[list[Verdict]] = Future()
            failed.set_exception(error)
            return failed

    def _write_here(self, batch: Batch) -> Future[list[Verdict]]:
        future: Future[list[Verdict]] = Future()
        with tenant_context(self._tenant_id):
            future.set_result(write_batch(connections["default"], batch.events, batch.refusals, now=timezone.now()))
        return future

    def _land(self) -> None:
        future, batch = self._flying.popleft()
        verdicts = self._verdicts(future, batch)
        for event, verdict in zip(batch.events, verdicts, strict=True):
            self.outcomes[verdict.outcome] += 1
            if verdict.outcome is Outcome.STORED:
                self.stored_names.add(event.name)
            elif verdict.reason:
                self.reasons[verdict.reason] += 1
        for refusal in batch.refusals:
            self.outcomes[refusal.outcome] += 1
            self.reasons[refusal.reason] += 1
        self.line = batch.line
        if self.outcomes["conflict"] >= CONFLICTS and self.outcomes["conflict"] == self.outcomes.total():
            remedy = "import with the mapping of the first time, or change `id` in the mapping"
            raise ImportProblem(f"the first {CONFLICTS:,} rows are stored already with other content", remedy=remedy)

    def _verdicts(self, future: Future[list[Verdict]], batch: Batch) -> list[Verdict]:
        """The verdicts of a batch; repeated while PostgreSQL is away, which event ids make safe."""
        for pause in RETRY_SECONDS:
            try:
                return future.result()
            except (psycopg.OperationalError, WriterBusy):
                time.sleep(pause)
                future = self._submit(batch)
        try:
            return future.result()
        except (psycopg.OperationalError, WriterBusy) as error:
            message = f"PostgreSQL has been away for {sum(RETRY_SECONDS):.0f} seconds ({str(error).splitlines()[0]})"
            raise StoreAway(message, remedy="start it, then run the same command with --resume") from None

    def _ensure_months(self, events: Sequence[CapturedEvent]) -> None:
        """A partition for each month, so that years of history do not pile up in the default one."""
        for month in sorted({first_of_month(event.timestamp) for event in events} - self._months):
            if len(self._months) >= MAX_MONTHS:
                return
            self._months.add(month)
            with connection.cursor() as cursor:
                cursor.execute("SELECT bw_partition_ensure(%s)", [month])


def first_of_month(moment: datetime) -> date:
    """The UTC month of an instant, by its first day."""
    return date(moment.year, moment.month, 1)
