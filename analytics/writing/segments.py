"""Segments of the spool: sealed records in files that survive a power cut, and their replay.

A segment holds one record for each flush, fsynced before anybody is told that it is safe. Whoever writes a segment
holds its lock, so a locked file belongs to a living process and a free one may be replayed by anybody. It is deleted
only after PostgreSQL committed all of it; a crash in between replays it again, and dedupe makes that once.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, Final

import msgspec
from django.conf import settings

from analytics.contracts import CapturedEvent, Refusal
from analytics.durable import folder_ensure, sync_folder
from analytics.ids import uuid7
from analytics.sealing import SealBroken, keyring, seal, unseal
from analytics.writing.loop import GROUP_EVENTS
from analytics.writing.refusals import refusal_of

logger = logging.getLogger("bellwether.spool")

SEGMENT_BYTES: Final = 4 * 1024 * 1024
MAX_BYTES: Final = 256 * 1024 * 1024
SUFFIX: Final = ".spool"

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
        limit: int = getattr(settings, "ANALYTICS_SPOOL_MAX_BYTES", MAX_BYTES)  # a host project need not set it
        self.max_bytes = limit if max_bytes is None else max_bytes
        self._keys = keyring().keys("spool")
        self._lock = threading.Lock()
        self._segment: BinaryIO | None = None

    def append(self, events: Sequence[CapturedEvent], refusals: Sequence[Refusal] = ()) -> None:
        """Put one record on disk; it has survived a power cut when this returns. Raises `SpoolFull`."""
        sealed = seal(self._keys[0], _packed(events, refusals), context=b"spool")
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
        """After a fork, in the child: give back the parent's segment without waiting for a lock that stays shut."""
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
            sync_folder(self.folder)
            return done

    def _records(self, path: Path, file: BinaryIO) -> Iterator[Load]:
        while len(head := file.read(_length.size)) == _length.size:
            (size,) = _length.unpack(head)
            if not size:
                return  # zeros: a power cut kept the end of a record that nobody was told of, and not its beginning
            sealed = file.read(size)
            if len(sealed) < size:
                return  # the writer died in the middle of it, so nobody was told that it is safe
            try:
                yield _decode(self._opened(sealed))
            except (SealBroken, msgspec.MsgspecError):
                logger.exception("a record of %s cannot be read and is set aside", path)
                (path.with_suffix(f".{uuid7()}.unreadable")).write_bytes(sealed)

    def _opened(self, sealed: bytes) -> bytes:
        for key in self._keys[:-1]:
            with suppress(SealBroken):
                return unseal(key, sealed, context=b"spool")
        return unseal(self._keys[-1], sealed, context=b"spool")

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
                sealed = seal(self._keys[0], _packed(stay, refusals), context=b"spool")
                file.write(_length.pack(len(sealed)) + sealed)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(self.folder)
        return removed

    def _segments(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def _new_segment(self) -> BinaryIO:
        folder_ensure(self.folder, mode=0o700)
        path = self.folder / f"{uuid7()}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sync_folder(self.folder)
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
