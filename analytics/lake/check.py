"""Is what lies in the lake what was sealed, and is that what PostgreSQL holds?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from django.db import connections

from analytics.lake.manifest import Piece, live_pieces
from analytics.lake.parquet import checksum, rows_in
from analytics.lake.storage import Storage, lake_storage
from analytics.tenancy import tenant_context

EVER: Final = (datetime.fromisoformat("0002-01-01T00:00:00+00:00"), datetime.fromisoformat("9998-01-01T00:00:00+00:00"))

# One statement, so that count and marks are those of one moment. Hours that are marked are behind by right.
STORED: Final = """
SELECT (SELECT count(*) FROM bw_event WHERE tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(end)s),
       EXISTS (SELECT 1 FROM bw_lake_mark
                WHERE tenant_id = %(tenant)s AND (hour IS NULL OR hour >= %(start)s AND hour < %(end)s))"""


def broken(storage: Storage, piece: Piece) -> str:
    """What is wrong with the files of a piece, '' when nothing is. Reads every byte."""
    for which, facts in piece.files.items():
        name = piece.file(which)
        try:
            found = storage.read(name)
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror or type(error).__name__})"
        if len(found) != facts.bytes:
            return f"{name} has {len(found)} bytes instead of {facts.bytes}"
        if checksum(found) != facts.checksum:
            return f"{name} is damaged: its digest differs"
        try:
            rows = rows_in(found, which)
        except pa.ArrowInvalid:
            return f"{name} is no file of this layout"
        if rows != piece.rows:
            return f"{name} has {rows} rows instead of {piece.rows}"
    return ""


def findings(tenant_id: int, *, using: str = "default") -> Iterator[tuple[Piece, str]]:
    """Each live piece of the tenant with what is wrong with it; '' when nothing is."""
    storage = lake_storage()
    with tenant_context(tenant_id, using=using):
        pieces = live_pieces(tenant_id, *EVER, using=using)
    for piece in pieces:
        yield piece, broken(storage, piece) or _miscounted(tenant_id, piece, using)


def _miscounted(tenant_id: int, piece: Piece, using: str) -> str:
    parameters: dict[str, Any] = {"tenant": tenant_id, "start": piece.start, "end": piece.end}
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        cursor.execute(STORED, parameters)
        stored, is_marked = cursor.fetchone()
    if is_marked or stored == piece.rows:
        return ""
    return f"{piece.path} has {piece.rows} events, PostgreSQL {stored}"
