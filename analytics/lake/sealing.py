"""Seals what is marked: reads an hour's piece from PostgreSQL, writes its three files, flips the manifest.

One transaction a piece: marks deleted, events read by a later statement, files written and read back, manifest
flipped, COMMIT. A process that dies anywhere leaves the marks and the former piece, and at worst files that nobody
names; they go after a grace period. The unit is the live piece that holds the marked hour, or the free hours around it;
a piece that has grown too large for memory is cut at full hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from itertools import groupby
from typing import Final

import pyarrow as pa
from django.conf import settings
from django.db import connections

from analytics.children import each_in_children, may_fork
from analytics.failpoints import failpoint
from analytics.ids import uuid7
from analytics.lake import marks
from analytics.lake.errors import LakeError
from analytics.lake.manifest import FileFacts, NewPiece, Piece, flip, live_pieces, lock_day, retire_at_once
from analytics.lake.ordering import ordered, parts, subjects_of
from analytics.lake.parquet import Content, checksum, encoded, rows_in
from analytics.lake.reading import read_events
from analytics.lake.schema import FILES, File
from analytics.lake.storage import Storage, own_storage, tenant_folder
from analytics.periods import to_micros
from analytics.tenancy import tenant_context

PIECE_ROWS: Final = 1_000_000
"""Events of a piece, about: some 400 MB while it is sealed. It is cut when it holds half as many again."""

ONE_HOUR: Final = timedelta(hours=1)
ONE_DAY: Final = timedelta(days=1)

WORTH_CHILDREN: Final = 200_000
MUCH: Final = """
SELECT count(*) FROM (SELECT FROM bw_event WHERE tenant_id = %s AND ts >= %s AND ts < %s LIMIT %s) few"""

COUNTS: Final = """
SELECT date_trunc('hour', ts, 'UTC'), count(*) FROM bw_event
 WHERE tenant_id = %s AND ts >= %s AND ts < %s GROUP BY 1 ORDER BY 1"""

Span = tuple[datetime, datetime]


class SealRefused(LakeError):
    """A file that was written does not read back as it should: the disk is full or faulty. Nothing was changed."""

    can_retry = True


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a seal did. `bytes` of all files, `typed_bytes` of the typed columns alone."""

    pieces: int = 0
    events: int = 0
    bytes: int = 0
    typed_bytes: int = 0
    left: int = 0

    def __add__(self, other: Sealed) -> Sealed:
        return Sealed(
            self.pieces + other.pieces,
            self.events + other.events,
            self.bytes + other.bytes,
            self.typed_bytes + other.typed_bytes,
            self.left + other.left,
        )


def seal_tenant(
    tenant_id: int,
    *,
    now: datetime,
    only_due: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
    seconds: float | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    using: str = "default",
) -> Sealed:
    """Seal the marked hours of the tenant, all or those of [start, end), in parallel by days.

    `only_due` leaves older days that were marked a moment ago; `seconds` is when to stop beginning new days; `left`
    of the answer is how many days wait for the next time. Safe to kill anywhere and to run at the same time.
    """
    with tenant_context(tenant_id, using=using):
        marks.expand_subjects(tenant_id, using=using)
    with tenant_context(tenant_id, using=using):
        found = marks.marked_hours(tenant_id, using=using)
    hours = [
        each.hour
        for each in found
        if (not only_due or each.is_due(now)) and (end is None or each.hour < end)
        and (start is None or each.hour >= marks.hour_of(start))
    ]  # fmt: skip
    days = [list(group) for _, group in groupby(hours, key=marks.day_of)]
    return _run(tenant_id, days, now, seconds, workers or settings.ANALYTICS_SEAL_WORKERS, progress, using)


def _run(
    tenant_id: int,
    days: Sequence[Sequence[datetime]],
    now: datetime,
    seconds: float | None,
    workers: int,
    progress: Callable[[int, int], None] | None,
    using: str,
) -> Sealed:
    until = None if seconds is None else time.monotonic() + seconds
    total = Sealed()
    for done, sealed in enumerate(_each(tenant_id, days, now, until, workers, using), start=1):
        total += sealed
        if progress is not None:
            progress(done, len(days))
    return total


def _each(
    tenant_id: int, days: Sequence[Sequence[datetime]], now: datetime, until: float | None, workers: int, using: str
) -> Iterator[Sealed]:
    """Each day as it gets done: in children when it is worth it, for rows come out of libpq one at a time."""
    if workers < 2 or not may_fork() or not _is_much(tenant_id, days, using):
        for hours in days:
            yield _day(tenant_id, hours, now, until, using)
        return
    import_module("analytics.lake.compiled")  # once, and not in every child
    yield from each_in_children(_day, [[(tenant_id, hours, now, until, using) for hours in days]], workers)


def _day(tenant_id: int, hours: Sequence[datetime], now: datetime, until: float | None, using: str) -> Sealed:
    if until is not None and time.monotonic() > until:
        return Sealed(left=1)
    return seal_hours(tenant_id, hours, now=now, using=using)


def _is_much(tenant_id: int, days: Sequence[Sequence[datetime]], using: str) -> bool:
    if len(days) < 2:
        return False
    span = (marks.day_of(days[0][0]), marks.day_of(days[-1][0]) + ONE_DAY)
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        cursor.execute(MUCH, [tenant_id, *span, WORTH_CHILDREN])
        return int(cursor.fetchone()[0]) == WORTH_CHILDREN


def seal_hours(tenant_id: int, hours: Iterable[datetime], *, now: datetime, using: str = "default") -> Sealed:
    """Seal the pieces that hold these hours of one day, in ascending order."""
    total, until = Sealed(), None
    for hour in hours:
        if until is None or hour >= until:
            done, (_, until) = seal_at(tenant_id, hour, now=now, using=using)
            total += done
    return total


def seal_at(
    tenant_id: int, hour: datetime, *, now: datetime, is_forced: bool = False, using: str = "default"
) -> tuple[Sealed, Span]:
    """One transaction: the piece that holds this hour, if anything in it is marked (or `is_forced`), and its span.

    Raises SealRefused.
    """
    day = marks.day_of(hour)
    with tenant_context(tenant_id, using=using):
        lock_day(tenant_id, day, using=using)
        live = live_pieces(tenant_id, day, day + ONE_DAY, using=using)
        start, end = span_around(live, hour)
        reasons = marks.take(tenant_id, start, end, using=using)
        failpoint("seal.after_take")
        if not reasons and not is_forced:
            return Sealed(), (start, end)
        spans = cut(_counts(tenant_id, start, end, using), start, end)
        new = [made for span in spans if (made := _made(tenant_id, *span, using)) is not None]
        flip(tenant_id, [piece for piece in live if piece.start < end and piece.end > start], new, now=now, using=using)
        if marks.NO_GRACE.intersection(reasons):
            retire_at_once(tenant_id, start, end, now=now, using=using)
        failpoint("seal.before_commit")
    failpoint("seal.after_commit")
    return _told(new), (start, end)


def _told(new: Sequence[NewPiece]) -> Sealed:
    pieces = [each.piece for each in new]
    return Sealed(
        pieces=len(pieces),
        events=sum(piece.rows for piece in pieces),
        bytes=sum(piece.bytes for piece in pieces),
        typed_bytes=sum(piece.files["events"].bytes for piece in pieces),
    )


def span_around(live: Sequence[Piece], hour: datetime) -> Span:
    """The live piece of the day that holds the hour, or the free hours of the day around it."""
    start = marks.day_of(hour)
    end = start + ONE_DAY
    for piece in live:
        if piece.start <= hour < piece.end:
            return piece.start, piece.end
        if piece.end <= hour:
            start = max(start, piece.end)
        if piece.start > hour:
            end = min(end, piece.start)
    return start, end


def cut(counts: Sequence[tuple[datetime, int]], start: datetime, end: datetime, limit: int = PIECE_ROWS) -> list[Span]:
    """The span as a whole while it is small enough, else cut at full hours into spans of about `limit` events."""
    if sum(count for _, count in counts) <= limit * 3 // 2:
        return [(start, end)]
    edges, held = [start], 0
    for hour, count in counts:
        if held and held + count > limit:
            edges.append(hour)
            held = 0
        held += count
    return list(zip(edges, [*edges[1:], end], strict=True))


def _counts(tenant_id: int, start: datetime, end: datetime, using: str) -> list[tuple[datetime, int]]:
    with connections[using].cursor() as cursor:
        cursor.execute(COUNTS, [tenant_id, start, end])
        rows: list[tuple[datetime, int]] = cursor.fetchall()
    return rows


def _made(tenant_id: int, start: datetime, end: datetime, using: str) -> NewPiece | None:
    """Read, sort, write and read back one piece; None when there are no events."""
    events = read_events(tenant_id, start, end, using=using)
    if not events.num_rows:
        return None
    subjects = subjects_of(events)
    tables = parts(ordered(events, to_micros(start)))
    del events
    failpoint("seal.after_read")
    return NewPiece(_written(tenant_id, start, end, tables), subjects)


def _written(tenant_id: int, start: datetime, end: datetime, tables: dict[File, pa.Table]) -> Piece:
    id_, storage = uuid7(), own_storage()
    hours = int((end - start) / ONE_HOUR)
    path = f"{tenant_folder(tenant_id)}/{start:%Y/%m/%d}/{start:%H}-{hours:02}-{id_.hex}"
    rows, facts = tables["events"].num_rows, dict[File, FileFacts]()
    for file in FILES:
        content = encoded(tables[file], file)
        name = f"{path}.{file}.parquet"
        storage.put(name, content)
        verify(storage, name, file, content, rows)
        facts[file] = FileFacts(content.size, content.checksum)
    failpoint("seal.after_verify")
    return Piece(id_, start, end, rows, path, facts)


def verify(storage: Storage, name: str, file: File, content: Content, rows: int) -> None:
    """Read the file back and compare. Raises SealRefused."""
    try:
        found = storage.read(name)
        is_right = checksum(found) == content.checksum and rows_in(found, file) == rows
    except (OSError, pa.ArrowInvalid) as error:
        raise SealRefused(f"{name} cannot be read back: {error}") from error
    if not is_right:
        raise SealRefused(f"{name} does not read back as it was written")
