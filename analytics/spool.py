"""Where events of the host's own process wait: 250 ms in memory, and on disk while PostgreSQL is away.

A segment is a file of sealed records, one for each flush, fsynced before anybody is told that it is safe. Whoever writes a
segment holds its lock, so a locked file belongs to a living process and a free one may be replayed by anybody. It is deleted
only after PostgreSQL committed all of it; a crash in between replays it again, and dedupe makes that once.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, Final

import msgspec
from django.conf import settings

from analytics.contracts import CapturedEvent, Outcome, Refusal
from analytics.ids import uuid7
from analytics.sealing import SealBroken, keyring, seal, unseal
from analytics.writing.loop import GROUP_EVENTS, EventWriter
from analytics.writing.refusals import hour_of, refusal_of

logger = logging.getLogger("bellwether.spool")

SEGMENT_BYTES: Final = 4 * 1024 * 1024
SUFFIX: Final = ".spool"
FLUSH_SECONDS: Final = 0.2
# How long a flush waits for PostgreSQL before the disk takes over.
PATIENCE_SECONDS: Final = 3.0
MAX_QUEUED: Final = 50_000

_length = Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[CapturedEvent], list[Refusal]]).decode

Load = tuple[list[CapturedEvent], list[Refusal]]
Write = Callable[[Sequence[CapturedEvent], Sequence[Refusal]], None]


class SpoolFull(Exception):
    """The disk, or our share of it, is full. The events are not kept."""


class Spool:
    """The folder of segments. Threads may share one; each process has its own open segment."""

    def __init__(self, folder: Path, max_bytes: int | None = None) -> None:
        self.folder = folder
        self.max_bytes = settings.ANALYTICS_SPOOL_MAX_BYTES if max_bytes is None else max_bytes
        self._key = keyring().key("spool")
        self._lock = threading.Lock()
        self._segment: BinaryIO | None = None

    def append(self, events: Sequence[CapturedEvent], refusals: Sequence[Refusal] = ()) -> None:
        """Put one record on disk; it has survived a power cut when this returns. Raises `SpoolFull`."""
        sealed = seal(self._key, _packed(events, refusals), context=b"spool")
        record = _length.pack(len(sealed)) + sealed
        with self._lock:
            if self.size() + len(record) > self.max_bytes:
                raise SpoolFull(f"{self.folder} holds its {self.max_bytes} bytes")
            try:
                segment = self._segment or self._new_segment()
                start = segment.tell()
                try:
                    segment.write(record)
                    os.fsync(segment.fileno())
                except OSError:
                    # Half a record would hide what comes after it.
                    segment.truncate(start)
                    segment.seek(start)
                    raise
            except OSError as error:
                raise SpoolFull(str(error)) from error
            if segment.tell() > SEGMENT_BYTES:
                self._close_segment()

    def size(self) -> int:
        """Bytes of all segments."""
        total = 0
        for path in self._segments():
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def is_empty(self) -> bool:
        """True when nothing waits here, from this or any other process."""
        return not self._segments()

    def replay(self, write: Write) -> int:
        """Give every waiting event to `write`, which returns after COMMIT or raises. Returns the number of events.

        One process at a time; 0 when another one is at it.
        """
        with self._consumer() as is_mine:
            if not is_mine:
                return 0
            with self._lock:
                self._close_segment()
            return sum(self._replay_segment(path, write) for path in self._segments())

    def forget(self, is_forgotten: Callable[[int, str], bool]) -> int:
        """Remove events of (tenant, distinct id) for which the predicate holds, here and from their segments' bytes."""
        removed = 0
        with self._consumer(wait=True), self._lock:
            self._close_segment()
            for path in self._segments():
                with _owned(path) as file:
                    if file is not None:
                        removed += self._rewrite(path, list(self._records(path, file)), is_forgotten)
        return removed

    def close(self) -> None:
        """Let go of the open segment; its events stay for the next replay."""
        with self._lock:
            self._close_segment()

    def abandon(self) -> None:
        """After a fork, in the child: give back the parent's segment without waiting for a lock that nobody will open."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()

    def _replay_segment(self, path: Path, write: Write) -> int:
        with _owned(path) as file:
            if file is None:
                return 0
            done = 0
            for events, refusals in _grouped(self._records(path, file)):
                write(events, refusals)
                done += len(events)
            path.unlink(missing_ok=True)
            _sync_folder(self.folder)
            return done

    def _records(self, path: Path, file: BinaryIO) -> Iterator[Load]:
        while len(head := file.read(_length.size)) == _length.size:
            (size,) = _length.unpack(head)
            sealed = file.read(size)
            if len(sealed) < size:
                return  # the writer died in the middle of it, so nobody was told that it is safe
            try:
                yield _decode(unseal(self._key, sealed, context=b"spool"))
            except (SealBroken, msgspec.MsgspecError):
                logger.exception("a record of %s cannot be read and is set aside", path)
                (path.with_suffix(f".{uuid7()}.unreadable")).write_bytes(sealed)

    def _rewrite(self, path: Path, loads: list[Load], is_forgotten: Callable[[int, str], bool]) -> int:
        kept: list[Load] = []
        removed = 0
        for events, refusals in loads:
            stay = [e for e in events if e.distinct_id is None or not is_forgotten(e.tenant_id, e.distinct_id)]
            removed += len(events) - len(stay)
            kept.append((stay, refusals))
        if not removed:
            return 0
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            for stay, refusals in kept:
                sealed = seal(self._key, _packed(stay, refusals), context=b"spool")
                file.write(_length.pack(len(sealed)) + sealed)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(self.folder)
        return removed

    def _segments(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def _new_segment(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{uuid7()}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sync_folder(self.folder)
        self._segment = os.fdopen(descriptor, "wb", buffering=0)
        return self._segment

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    @contextmanager
    def _consumer(self, *, wait: bool = False) -> Iterator[bool]:
        if not self.folder.is_dir():
            yield False
            return
        with (self.folder / "replay.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


class SpooledWriter:
    """Takes events without waiting and without raising: stored within 250 ms, or on disk while PostgreSQL is away.

    Only a SIGKILL loses what came in the last 250 ms. Beyond `max_queued` in memory, or when the spool is full, events are
    dropped and counted: in `dropped`, in the log, and in the ledger of outcomes as soon as PostgreSQL is back.
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
        self._idle.clear()
        self._queue.extend(batch)
        self._queue.extend(refusals)
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
        """Returns after COMMIT. A timeout leaves open whether it happened; dedupe settles it when the spool is replayed."""
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
    return Path(named) if named else Path(settings.BELLWETHER_HOME) / "spool"


def _packed(events: Sequence[CapturedEvent], refusals: Sequence[Refusal]) -> bytes:
    """One record. What cannot be written down becomes a quarantined refusal, so that its neighbours are kept."""
    try:
        return _encode((events, refusals))
    except (TypeError, ValueError, OverflowError, RecursionError):
        fit: list[Any] = []
        unfit = list(refusals)
        for event in events:
            try:
                _encode(event)
                fit.append(event)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                unfit.append(refusal_of(event, f"{type(error).__name__}: {error}"))
        return _encode((fit, unfit))


def _grouped(loads: Iterator[Load]) -> Iterator[Load]:
    """Records merged into loads of up to a full group, because one COMMIT for each flush of 200 ms would be slow."""
    events: list[CapturedEvent] = []
    refusals: list[Refusal] = []
    for more_events, more_refusals in loads:
        if events and len(events) + len(more_events) > GROUP_EVENTS:
            yield events, refusals
            events, refusals = [], []
        events.extend(more_events)
        refusals.extend(more_refusals)
    if events or refusals:
        yield events, refusals


@contextmanager
def _owned(path: Path) -> Iterator[BinaryIO | None]:
    """The segment opened and locked; None when a living process still writes it or it is gone."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


