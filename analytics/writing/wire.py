"""PostgreSQL's binary formats, written by hand where a driver's general way costs most of the writer's time.

One row of the staging table costs about 4 µs here; psycopg's own row writer takes three times that.
Formats: https://www.postgresql.org/docs/current/sql-copy.html (Binary Format), src/backend/utils/adt/arrayfuncs.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, Final

from psycopg import Cursor
from psycopg.adapt import Dumper
from psycopg.pq import Format

NULL: Final = b"\xff\xff\xff\xff"
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"
POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

pack_length: Final = Struct(">i").pack
pack_int4: Final = Struct(">ii").pack
pack_int8: Final = Struct(">iq").pack
pack_float8: Final = Struct(">id").pack
pack_float4: Final = Struct(">if").pack
_array_head: Final = Struct(">iiIii").pack


def microseconds(moment: datetime) -> int:
    """An aware instant as PostgreSQL's timestamptz keeps it."""
    return (moment - POSTGRES_EPOCH) // _MICROSECOND


class TextCells(dict[str | None, bytes]):
    """Encoded cells of columns with few different values; it stops learning when there turn out to be many."""

    LIMIT = 20_000

    def __init__(self) -> None:
        super().__init__({None: NULL})

    def __missing__(self, text: str | None) -> bytes:
        cell = text_cell(text)
        # Long texts are never the few values that come again and again.
        if len(self) < self.LIMIT and len(cell) < 100:
            self[text] = cell
        return cell


def text_cell(text: str | None) -> bytes:
    """One text field. Raises UnicodeEncodeError for a lone surrogate."""
    if text is None:
        return NULL
    raw = text.encode()
    return pack_length(len(raw)) + raw


class WireArray(bytes):
    """An array already in PostgreSQL's binary form; the subclass says of what."""


class _WireDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        return bytes(obj)


def _kind(element: int, array: int) -> type[WireArray]:
    kind = type("WireArray", (WireArray,), {"element": element})
    dumper = type("WireDumper", (_WireDumper,), {"oid": array})
    _DUMPERS.append((kind, dumper))
    return kind


_DUMPERS: list[tuple[type[WireArray], type[_WireDumper]]] = []
_Int4s = _kind(23, 1007)
_Int8s = _kind(20, 1016)
_Uuids = _kind(2950, 2951)
_Byteas = _kind(17, 1001)
_Texts = _kind(25, 1009)
_Times = _kind(1184, 1185)
_Bools = _kind(16, 1000)


def _array(kind: type[WireArray], cells: Sequence[bytes]) -> WireArray:
    if not cells:
        return kind(_array_head(0, 0, kind.element, 0, 1)[:12])  # type: ignore[attr-defined]
    has_null = int(NULL in cells)
    return kind(_array_head(1, has_null, kind.element, len(cells), 1) + b"".join(cells))  # type: ignore[attr-defined]


def int4s(values: Iterable[int]) -> WireArray:
    """An int4[] parameter."""
    return _array(_Int4s, [pack_int4(4, value) for value in values])


def int8s(values: Iterable[int | None]) -> WireArray:
    """An int8[] parameter."""
    return _array(_Int8s, [NULL if value is None else pack_int8(8, value) for value in values])


def uuids(values: Iterable[bytes]) -> WireArray:
    """A uuid[] parameter, from 16 bytes each."""
    return _array(_Uuids, [b"\0\0\0\x10" + value for value in values])


def byteas(values: Iterable[bytes | None]) -> WireArray:
    """A bytea[] parameter."""
    return _array(_Byteas, [NULL if value is None else pack_length(len(value)) + value for value in values])


def texts(values: Iterable[str | None]) -> WireArray:
    """A text[] parameter."""
    return _array(_Texts, [text_cell(value) for value in values])


def times(values: Iterable[datetime]) -> WireArray:
    """A timestamptz[] parameter."""
    return _array(_Times, [pack_int8(8, microseconds(value)) for value in values])


def bools(values: Iterable[bool]) -> WireArray:
    """A bool[] parameter."""
    return _array(_Bools, [b"\0\0\0\1\1" if value else b"\0\0\0\1\0" for value in values])


def register(cursor: Cursor[Any]) -> None:
    """Teach a cursor these arrays."""
    for kind, dumper in _DUMPERS:
        cursor.adapters.register_dumper(kind, dumper)
