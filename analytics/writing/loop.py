"""The writer of a process: bounded, groups what arrives together, answers after COMMIT."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

import psycopg
from django.db import connections
from django.utils import timezone

from analytics.contracts import CapturedEvent, Refusal, Verdict
from analytics.writing import staging
from analytics.writing.batch import write_batch

logger = logging.getLogger("bellwether.writer")

# Above this a group grows the answer's delay and hardly the throughput.
GROUP_EVENTS: Final = 5_000
ATTEMPTS: Final = 6
# Deadlock and serialisation failure: nothing of the group stayed, and trying again helps.
_TRY_AGAIN: Final = ("40P01", "40001")
RECONNECT_SECONDS: Final = 0.5
# A host's open transaction may hold who is new to both of us for as long as it likes. Writers keep each other waiting
# for milliseconds, and changes of partitions for less than a second.
PATIENCE_MS: Final = 1_500
SHORT_PATIENCE_MS: Final = 50
APART_SECONDS: Final = 1.0


class WriterBusy(Exception):
    """More events wait than the writer may hold. Answer 503 with Retry-After; the client keeps its events."""


class Submission:
    """Events and refusals of one request, and the future of their verdicts."""

    __slots__ = ("events", "future", "refusals", "weight")

    def __init__(self, events: Sequence[CapturedEvent], refusals: Sequence[Refusal]) -> None:
        self.events = events
        self.refusals = refusals
        self.weight = max(1, len(events) + len(refusals))
        self.future: Future[list[Verdict]] = Future()


class EventWriter:
    """Stores submissions over its own connections of the ingest role. Safe in threads; a fork begins with an empty one.

    While PostgreSQL is away every submission fails with psycopg.OperationalError, none is kept: the door answers 503
    and the client sends again. If the connection dies during COMMIT the submission fails too although it may be
    stored; the repetition is then a duplicate.
    """

    def __init__(
        self,
        workers: int = 2,
        max_pending_events: int = 50_000,
        *,
        using: str = "ingest",
        opener: Callable[[], psycopg.Connection[Any]] | None = None,
    ) -> None:
        self._workers = workers
        self._max_pending = max_pending_events
        self._open = opener or (lambda: connect(using))
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._condition = threading.Condition()
        self._queue: deque[Submission] = deque()
        self._pending = 0
        self._writing = 0
        self._is_closed = False
        self._threads: list[threading.Thread] = []

    def submit(self, events: Sequence[CapturedEvent], refusals: Sequence[Refusal] = ()) -> Future[list[Verdict]]:
        """Hand over events; the future has their verdicts, in order, once they are committed. Raises `WriterBusy`."""
        if self._pid != os.getpid():
            self._begin()
        submission = Submission(events, refusals)
        if not events and not refusals:
            submission.future.set_result([])
            return submission.future
        with self._condition:
            if self._is_closed:
                raise WriterBusy("the writer is closed")
            # One submission larger than the bound still passes an idle writer.
            if self._pending and self._pending + submission.weight > self._max_pending:
                raise WriterBusy(f"{self._pending} events are waiting")
            self._pending += submission.weight
            self._queue.append(submission)
            if not self._threads:
                self._start()
            self._condition.notify()
        return submission.future

    @property
    def pending_events(self) -> int:
        """Events that are waiting or being written."""
        return self._pending

    def close(self, timeout: float = 30.0) -> None:
        """Write what is waiting, then stop. What does not finish in time fails."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        end = time.monotonic() + timeout
        if self._pid == os.getpid():
            for thread in self._threads:
                thread.join(max(0.0, end - time.monotonic()))
        self._fail(self._drain(), WriterBusy("the writer was closed"))

    def _start(self) -> None:
        for number in range(self._workers):
            thread = threading.Thread(target=self._run, name=f"bellwether-writer-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        line = _Line(self._open)
        while group := self._next_group():
            try:
                self._write(line, group)
            finally:
                with self._condition:
                    self._writing -= 1
                    self._pending -= sum(submission.weight for submission in group)
                    self._condition.notify()
        line.drop()

    def _next_group(self) -> list[Submission]:
        """Everything that waits, up to a full group; empty when closed and done."""
        with self._condition:
            while not self._may_take():
                if self._is_closed and not self._queue:
                    return []
                self._condition.wait()
            group: list[Submission] = []
            size = 0
            while self._queue and (not group or size + self._queue[0].weight <= GROUP_EVENTS):
                submission = self._queue.popleft()
                size += submission.weight
                group.append(submission)
            self._writing += 1
            return group

    def _may_take(self) -> bool:
        """Write at once when idle; while another group is being written, take only what is worth a second one."""
        if not self._queue:
            return False
        return self._is_closed or not self._writing or self._pending_in_queue() >= GROUP_EVENTS // 10

    def _pending_in_queue(self) -> int:
        size = 0
        for submission in self._queue:
            size += submission.weight
            if size >= GROUP_EVENTS // 10:
                break
        return size

    def _write(self, line: _Line, group: list[Submission]) -> None:
        try:
            answers = self._write_group(line, group)
        except psycopg.errors.LockNotAvailable as error:
            self._write_apart(line, group, error)
            return
        except Exception as error:
            if len(group) > 1 and not isinstance(error, psycopg.OperationalError):
                # Not the connection's fault: one submission's fault may not fail the others.
                for submission in group:
                    self._write(line, [submission])
                return
            if not isinstance(error, psycopg.OperationalError):
                logger.exception("a submission could not be written")
            self._fail(group, error)
            return
        self._settle(group, answers)

    def _write_apart(self, line: _Line, group: list[Submission], error: psycopg.Error) -> None:
        """Somebody else's transaction holds a lock that one of these needs: the others shall not wait for it.

        Halves are tried with little patience until those that are held stand alone; they fail, and their clients send
        them again. After a second the rest fails too: then it is no single person that is held. Who came alone has
        waited already.
        """
        logger.warning("events wait for a lock of a long transaction: %s", error)
        if len(group) == 1:
            self._fail(group, error)
            return
        end = time.monotonic() + APART_SECONDS
        waiting = _halves(group)
        while waiting:
            part = waiting.pop()
            if time.monotonic() > end:
                self._fail(part, error)
                continue
            try:
                answers = self._write_group(line, part, patience_ms=SHORT_PATIENCE_MS)
            except psycopg.errors.LockNotAvailable as again:
                if len(part) == 1:
                    self._fail(part, again)
                else:
                    waiting.extend(_halves(part))
            except Exception as other:
                self._fail(part, other)
            else:
                self._settle(part, answers)

    def _settle(self, group: Sequence[Submission], answers: Sequence[list[Verdict]]) -> None:
        for submission, verdicts in zip(group, answers, strict=True):
            if submission.future.set_running_or_notify_cancel():
                submission.future.set_result(verdicts)

    def _write_group(
        self, line: _Line, group: list[Submission], *, patience_ms: int | None = None
    ) -> list[list[Verdict]]:
        events = [event for submission in group for event in submission.events]
        refusals = [refusal for submission in group for refusal in submission.refusals]
        for attempt in range(1, ATTEMPTS + 1):
            is_committing = False
            try:
                connection = line.connection()
                with connection.transaction():
                    if patience_ms is not None:
                        connection.execute(f"SET LOCAL lock_timeout = {patience_ms:d}")
                    verdicts = write_batch(connection, events, refusals, now=timezone.now())
                    is_committing = True
                break
            except psycopg.Error as error:
                # A connection that died while it was idle shows only now: nothing was stored, so a fresh one may try.
                was_stale = line.drop_if_broken() and not is_committing and attempt == 1
                if attempt == ATTEMPTS or not (was_stale or error.sqlstate in _TRY_AGAIN):
                    raise
                time.sleep(random.uniform(0, 0.01 * attempt))
        ends, start = [], 0
        for submission in group:
            ends.append(verdicts[start : start + len(submission.events)])
            start += len(submission.events)
        return ends

    def _drain(self) -> list[Submission]:
        with self._condition:
            left = list(self._queue)
            self._queue.clear()
            self._pending -= sum(submission.weight for submission in left)
            return left

    def _fail(self, group: Sequence[Submission], error: Exception) -> None:
        for submission in group:
            if submission.future.set_running_or_notify_cancel():
                submission.future.set_exception(error)


def _halves(group: list[Submission]) -> list[list[Submission]]:
    """Two of a group of several."""
    middle = len(group) // 2
    return [group[middle:], group[:middle]]


class _Line:
    """One worker's connection, opened again when it broke; while PostgreSQL is away it fails at once between tries."""

    def __init__(self, opener: Callable[[], psycopg.Connection[Any]]) -> None:
        self._opener = opener
        self._connection: psycopg.Connection[Any] | None = None
        self._not_before = 0.0

    def connection(self) -> psycopg.Connection[Any]:
        if self._connection is not None and not self._connection.broken and not self._connection.closed:
            return self._connection
        if time.monotonic() < self._not_before:
            raise psycopg.OperationalError("PostgreSQL is not reachable")
        try:
            self._connection = self._opener()
            self._connection.execute(f"SET lock_timeout = {PATIENCE_MS:d}")
            self._connection.execute(staging.CREATE)
        except psycopg.Error:
            self.drop()
            self._not_before = time.monotonic() + RECONNECT_SECONDS
            raise
        return self._connection

    def drop_if_broken(self) -> bool:
        is_broken = self._connection is not None and (self._connection.broken or self._connection.closed)
        if is_broken:
            self.drop()
        return is_broken

    def drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def connect(using: str = "ingest") -> psycopg.Connection[Any]:
    """A connection of its own with the ingest role, outside Django's. Raises psycopg.OperationalError."""
    parameters = dict(connections[using].get_connection_params())
    for name in ("cursor_factory", "context", "prepare_threshold", "server_side_binding"):
        parameters.pop(name, None)
    return psycopg.connect(**{**parameters, "connect_timeout": 3}, autocommit=True)
