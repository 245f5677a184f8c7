"""Where events of the host's own process wait: 250 ms in memory, and on disk while PostgreSQL is away."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings

from analytics.contracts import CapturedEvent, Outcome, Refusal
from analytics.writing.loop import GROUP_EVENTS, EventWriter
from analytics.writing.refusals import hour_of
from analytics.writing.segments import Load, Spool, SpoolFull

__all__ = ["Spool", "SpoolFull", "SpooledWriter", "spool_folder"]

logger = logging.getLogger("bellwether.spool")

FLUSH_SECONDS: Final = 0.2
# How long a flush waits for PostgreSQL before the disk takes over.
PATIENCE_SECONDS: Final = 3.0
MAX_QUEUED: Final = 50_000


class SpooledWriter:
    """Takes events without waiting and without raising: stored within 250 ms, or on disk while PostgreSQL is away.

    Only a SIGKILL loses what came in the last 250 ms. Beyond `max_queued` in memory, or when the spool is full, events
    are dropped and counted: in `dropped`, in the log, and in the ledger of outcomes as soon as PostgreSQL is back.
    """

    def __init__(
        self,
        folder: Path,
        writer: EventWriter | None = None,
        *,
        max_queued: int = MAX_QUEUED,
        max_bytes: int | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._writer = writer or EventWriter(workers=1)
        self._max_queued = max_queued
        self._patience = patience
        self._begin()
        atexit.register(_close_if_alive, weakref.ref(self))

    def _begin(self) -> None:
        self._pid = os.getpid()
        self.spool = Spool(self._folder, self._max_bytes)
        self._queue: deque[CapturedEvent | Refusal] = deque()
        self._bell = threading.Event()
        self._hurry = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._away_until = 0.0
        self.dropped: Counter[tuple[int, datetime, str]] = Counter()

    def put(self, events: Sequence[CapturedEvent] | CapturedEvent, refusals: Sequence[Refusal] = ()) -> None:
        """Take events over."""
        if self._pid != os.getpid():
            self.spool.abandon()
            self._begin()
        batch = [events] if isinstance(events, CapturedEvent) else events
        if len(self._queue) >= self._max_queued:
            self._drop(batch, "queue_full")
            return
        self._queue.extend(batch)
        self._queue.extend(refusals)
        self._idle.clear()
        if self._thread is None:
            self._start()
        if not self._bell.is_set():
            self._bell.set()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything taken over is stored or on disk; False when time ran out."""
        end = time.monotonic() + timeout
        while self._queue or not self._idle.is_set():
            self._hurry.set()
            self._bell.set()
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def close(self, timeout: float = 5.0) -> None:
        """Flush and stop."""
        self.flush(timeout)
        self._is_closed = True
        self._bell.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(timeout)
        while self._queue:
            self._keep(*self._take(), TimeoutError("the process ends"))
        self._writer.close(timeout)
        self.spool.close()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bellwether-spool", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._is_closed:
            # While something waits on disk, look now and then whether PostgreSQL is back.
            self._bell.wait(1.0 if not self.spool.is_empty() or self.dropped else None)
            self._bell.clear()
            if self._queue and len(self._queue) < 500 and not self._is_closed:
                self._hurry.wait(FLUSH_SECONDS)
            self._hurry.clear()
            try:
                self._flush_once()
                self._recover()
            except Exception:
                logger.exception("the writer queue stumbled; it goes on")
            if not self._queue:
                self._idle.set()
                if self._queue:  # put came between the two lines above
                    self._idle.clear()

    def _flush_once(self) -> None:
        while self._queue:
            self._idle.clear()
            events, refusals = self._take()
            try:
                self._store(events, refusals)
            except Exception as error:
                self._keep(events, refusals, error)

    def _take(self) -> Load:
        events: list[CapturedEvent] = []
        refusals: list[Refusal] = []
        for _ in range(min(len(self._queue), GROUP_EVENTS)):
            item = self._queue.popleft()
            if isinstance(item, CapturedEvent):
                events.append(item)
            else:
                refusals.append(item)
        return events, refusals

    def _store(self, events: Sequence[CapturedEvent], refusals: Sequence[Refusal]) -> None:
        """Returns after COMMIT.

        A timeout leaves open whether it happened; dedupe settles it when the spool is replayed.
        """
        if time.monotonic() < self._away_until:
            raise TimeoutError("PostgreSQL did not answer a moment ago")
        try:
            self._writer.submit(events, refusals).result(self._patience)
        except TimeoutError:
            self._away_until = time.monotonic() + self._patience
            raise

    def _keep(self, events: Sequence[CapturedEvent], refusals: Sequence[Refusal], error: Exception) -> None:
        try:
            self.spool.append(events, refusals)
        except SpoolFull as full:
            self._drop(events, "spool_full")
            logger.error("events were dropped, neither PostgreSQL (%s) nor the spool (%s) took them", error, full)

    def _recover(self) -> None:
        """Empty the spool, and tell the ledger of what was dropped, if PostgreSQL takes it."""
        if self._is_closed or (self.spool.is_empty() and not self.dropped):
            return
        with suppress(Exception):
            for (tenant, hour, reason), count in list(self.dropped.items()):
                lost = Refusal(tenant_id=tenant, outcome=Outcome.REJECTED, reason=reason, received_at=hour)
                self._store([], [lost] * count)
                del self.dropped[tenant, hour, reason]
            self.spool.replay(self._store)

    def _drop(self, events: Sequence[CapturedEvent], reason: str) -> None:
        for event in events:
            self.dropped[event.tenant_id, hour_of(event.received_at), reason] += 1
        logger.error("%s events dropped: %s", len(events), reason)


def _close_if_alive(reference: weakref.ref[SpooledWriter]) -> None:
    writer = reference()
    if writer is not None and not writer._is_closed:
        writer.close()


def spool_folder() -> Path:
    """Where this installation's spool lives."""
    named = getattr(settings, "ANALYTICS_SPOOL_DIR", "")
    return Path(named) if named else Path(getattr(settings, "BELLWETHER_HOME", "var")) / "spool"
