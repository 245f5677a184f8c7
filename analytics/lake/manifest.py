"""The manifest: which pieces are live, what replaces what, and what a reader sees. Always in the tenant's context."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connections
from pyroaring import BitMap

from analytics.lake.schema import VERSION, File
from analytics.models import LakePiece
from analytics.tenancy import tenant_context

LOCK: Final = 0x4257_1A6E  # marks the advisory locks of the lake

# One statement, so that the pieces and the marks are those of one moment.
SNAPSHOT: Final = """
SELECT m.through, p.id, p.start, p."end", p.rows, p.path, p.files, p.version
  FROM (SELECT coalesce(min(created_at), statement_timestamp()) AS through FROM bw_lake_mark
         WHERE tenant_id = %(tenant)s AND (hour IS NULL OR hour > %(before)s AND hour < %(end)s)) m
  LEFT JOIN bw_lake_piece p
    ON p.tenant_id = %(tenant)s AND p.retired_at IS NULL AND p.start < %(end)s AND p."end" > %(start)s
 ORDER BY p.start"""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the manifest knows of a file."""

    bytes: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Some hours of a UTC day whose files are written. `path` is without the files' endings."""

    id: UUID
    start: datetime
    end: datetime
    rows: int
    path: str
    files: dict[File, FileFacts]
    version: int = VERSION

    def file(self, which: File) -> str:
        return f"{self.path}.{which}.parquet"

    @property
    def bytes(self) -> int:
        return sum(facts.bytes for facts in self.files.values())


@dataclass(frozen=True, slots=True)
class NewPiece:
    """A piece before it is live."""

    piece: Piece
    subjects: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The live pieces that touch a range, in order of time, and up to when the range is complete."""

    pieces: tuple[Piece, ...]
    data_through: datetime


def lock_day(tenant_id: int, day: datetime, *, using: str = "default") -> None:
    """One sealer for a tenant's UTC day, until the end of the transaction."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashint8extended(%s, %s))",
            [tenant_id << 24 | day.toordinal(), LOCK],
        )


def snapshot(tenant_id: int, start: datetime, end: datetime, *, using: str = "default") -> Snapshot:
    """What a reader of [start, end) sees now."""
    parameters: dict[str, Any] = {"tenant": tenant_id, "start": start, "end": end, "before": start - timedelta(hours=1)}
    with connections[using].cursor() as cursor:
        cursor.execute(SNAPSHOT, parameters)
        rows = cursor.fetchall()
    return Snapshot(tuple(_piece(row[1:]) for row in rows if row[1] is not None), rows[0][0])


def live_pieces(tenant_id: int, start: datetime, end: datetime, *, using: str = "default") -> list[Piece]:
    """Those that touch [start, end), in order of time."""
    live = LakePiece.objects.using(using).filter(tenant_id=tenant_id, retired_at=None, start__lt=end, end__gt=start)
    return [_piece(row) for row in live.order_by("start").values_list(*_FIELDS)]


def flip(
    tenant_id: int,
    former: Iterable[Piece],
    new: Sequence[NewPiece],
    *,
    now: datetime,
    grace: timedelta | None = None,
    using: str = "default",
) -> None:
    """In the open transaction: the new pieces live, the former retired; their files stay for `grace`."""
    grace = timedelta(seconds=settings.ANALYTICS_LAKE_GRACE_SECONDS) if grace is None else grace
    rows = LakePiece.objects.using(using)
    rows.filter(tenant_id=tenant_id, pk__in=[piece.id for piece in former]).update(retired_at=now, purge_at=now + grace)
    rows.bulk_create(_row(tenant_id, each, now) for each in new)


def retire_at_once(tenant_id: int, start: datetime, end: datetime, *, now: datetime, using: str = "default") -> None:
    """Former pieces of [start, end) lose their grace: they hold what has to go."""
    retired = LakePiece.objects.using(using).filter(tenant_id=tenant_id, start__lt=end, end__gt=start)
    retired.filter(retired_at__isnull=False).update(purge_at=now)


def hurry_purge(tenant_id: int, pieces: Iterable[UUID], *, now: datetime, using: str = "default") -> None:
    """These pieces, as far as they are retired, lose their grace."""
    retired = LakePiece.objects.using(using).filter(tenant_id=tenant_id, pk__in=list(pieces), retired_at__isnull=False)
    retired.update(purge_at=now)


def pieces_holding(tenant_id: int, subjects: Iterable[int], *, using: str = "default") -> list[tuple[Piece, bool]]:
    """Pieces with events of any of these subjects, and whether each is live."""
    wanted = BitMap(subjects)
    rows = LakePiece.objects.using(using).filter(tenant_id=tenant_id).order_by("start")
    return [
        (_piece(row[2:]), row[1] is None)
        for row in rows.values_list("subjects", "retired_at", *_FIELDS).iterator()
        if wanted.intersect(BitMap.deserialize(bytes(row[0])))
    ]


_FIELDS: Final = ("id", "start", "end", "rows", "path", "files", "version")


def _piece(row: Sequence[Any]) -> Piece:
    id_, start, end, rows, path, files, version = row
    known = msgspec.json.decode(files) if isinstance(files, str) else files
    facts = {which: FileFacts(each["bytes"], each["checksum"]) for which, each in known.items()}
    return Piece(id_, start, end, rows, path, facts, version)


def pieces_of(rows: Iterable[Sequence[Any]]) -> list[Piece]:
    """Pieces from rows of (id, start, end, rows, path, files, version), for a reader with its own connection."""
    return [_piece(row) for row in rows]


def _row(tenant_id: int, new: NewPiece, now: datetime) -> LakePiece:
    piece = new.piece
    return LakePiece(
        id=piece.id, tenant_id=tenant_id, start=piece.start, end=piece.end, rows=piece.rows, path=piece.path,
        files={which: {"bytes": facts.bytes, "checksum": facts.checksum} for which, facts in piece.files.items()},
        subjects=new.subjects, version=piece.version, sealed_at=now,
    )  # fmt: skip


def purge_rows(tenant_id: int, *, now: datetime, using: str = "default") -> list[Piece]:
    """Forget retired pieces whose time has come, in a transaction of its own, and return them: their files go next."""
    with tenant_context(tenant_id, using=using):
        due = LakePiece.objects.using(using).filter(tenant_id=tenant_id, purge_at__lte=now)
        pieces = [_piece(row) for row in due.select_for_update(skip_locked=True).values_list(*_FIELDS)]
        LakePiece.objects.using(using).filter(tenant_id=tenant_id, pk__in=[piece.id for piece in pieces]).delete()
    return pieces


def files_known(tenant_id: int, *, using: str = "default") -> set[str]:
    """Every file that a row names, live or retired."""
    rows = LakePiece.objects.using(using).filter(tenant_id=tenant_id).values_list(*_FIELDS)
    return {piece.file(which) for piece in map(_piece, rows) for which in piece.files}
