"""Events out of PostgreSQL as Arrow columns: binary COPY, taken apart in portions of some megabytes.

libpq hands over one row at a time, so where each row begins is known; `compiled.py` then finds the fields of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from django.db import connections
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many
from psycopg.pq import ExecStatus

from analytics.columns import copy_out
from analytics.lake.schema import AMOUNTS, FEW_TEXTS, FLAGS, FLOATS, ID_TEXTS, PROMOTED
from analytics.lazily import Lazily

if TYPE_CHECKING:
    from analytics.lake import compiled
else:
    compiled = Lazily("analytics.lake.compiled")

Kind = Literal["instant", "uuid", "int4", "int8", "float8", "bool", "few", "text"]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

PORTION: Final = 16 << 20
SLACK: Final = 2 << 20
SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
END: Final = 2
HEADER: Final = len(SIGNATURE) + 8
WIDTHS: Final[Mapping[str, tuple[int, pa.DataType]]] = {
    "instant": (8, pa.int64()),
    "int8": (8, pa.int64()),
    "int4": (4, pa.int32()),
    "float8": (8, pa.float64()),
    "bool": (1, pa.bool_()),
}
EPOCH: Final = 946_684_800_000_000  # 2000-01-01, where PostgreSQL's instants begin, in microseconds since 1970

KINDS: Final[Mapping[str, Kind]] = {
    "ts": "instant",
    "received_at": "instant",
    "id": "uuid",
    "person_id": "int4",
    "subject_id": "int4",
    "name": "few",
    **dict.fromkeys(FLOATS, "float8"),
    **dict.fromkeys(AMOUNTS, "int8"),
    **dict.fromkeys(FLAGS, "bool"),
    **dict.fromkeys((*FEW_TEXTS, *PROMOTED.values()), "few"),
    **dict.fromkeys(ID_TEXTS, "text"),
    "properties": "text",
}
# What is sealed in PostgreSQL (`$sealed`) has no business in files.
EXPRESSIONS: Final[Mapping[str, str]] = {
    "person_id": "s.person_id",
    **{column: f"e.properties ->> '{name}'" for name, column in PROMOTED.items()},
    "properties": "(CASE WHEN e.properties ? '$sealed' THEN e.properties - '$sealed' ELSE e.properties END)::text",
}
QUERY: Final = f"""
COPY (SELECT {", ".join(EXPRESSIONS.get(name, f'e."{name}"') for name in KINDS)}
        FROM bw_event e
        LEFT JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
       WHERE e.tenant_id = %(tenant)s AND e.ts >= %(start)s AND e.ts < %(end)s) TO STDOUT (FORMAT binary)"""


def read_events(tenant_id: int, start: datetime, end: datetime, *, using: str = "default") -> pa.Table:
    """The tenant's events of [start, end) in no order, with the columns of KINDS; instants in microseconds since 1970.

    `few` texts are dictionaries. Needs the tenant's context.
    """
    portions = list(_portions(tenant_id, start, end, using))
    if not portions:
        return _table(bytearray(), 0, np.zeros(0, np.int64))
    return pa.concat_tables(portions).unify_dictionaries().combine_chunks()


def _portions(tenant_id: int, start: datetime, end: datetime, using: str) -> Iterator[pa.Table]:
    with connections[using].cursor() as cursor:
        connection = cursor.connection
        with copy_out(cursor, QUERY, {"tenant": tenant_id, "start": start, "end": end}) as copy:
            _, first = connection.pgconn.get_copy_data(0)
            received, is_over = Received(connection.pgconn, bytes(first[HEADER:])), False
            while not is_over:
                starts, is_over = received.more()
                if len(starts):
                    yield _table(received.content, received.size, starts)
            connection.wait(_ended(copy, connection.pgconn))


class Received:
    """Rows as they come from libpq, in a buffer that is filled anew for every portion: fresh memory costs time."""

    def __init__(self, pgconn: Any, rest: bytes) -> None:
        """`rest` is what came of the first row with the header."""
        self.content = bytearray(PORTION + SLACK)
        self.size = self._rest = len(rest)
        self._pgconn = pgconn
        self.content[: self._rest] = rest

    def more(self) -> tuple[Ints, bool]:
        """Rows until the portion is full; where each begins, and whether these were the last.

        As `copy.read()`, but it waits in libpq: a turn through psycopg's own waiting costs more than its rows.
        """
        content, get, filled, length = self.content, self._pgconn.get_copy_data, self._rest, 0
        starts, self._rest = ([0] if filled > END else []), 0
        add, room = starts.append, len(content)
        while filled < PORTION:
            length, row = get(0)
            if length > END:
                until = filled + length
                if until > room:  # an event larger than the slack
                    content = self.content = content + bytes(until - room + SLACK)
                    room = len(content)
                content[filled:until] = row
                add(filled)
                filled = until
            elif length < 0:  # after two bytes that mark the end
                break
        self.size = filled
        return np.array(starts, dtype=np.int64), length < 0


def _ended(copy: Any, pgconn: Any) -> PQGen[None]:
    """What `copy.read()` does after the last row."""
    (result,) = yield from fetch_many(pgconn)
    copy._finished = True
    if result.status != ExecStatus.COMMAND_OK:
        raise error_from_result(result)


def _table(content: bytearray, size: int, starts: Ints) -> pa.Table:
    fields = Fields(content, size, starts)
    return pa.table({name: fields.column(place, kind) for place, (name, kind) in enumerate(KINDS.items())})


class Fields:
    """The fields of many rows. What it makes of them is a copy."""

    def __init__(self, content: bytearray, size: int, starts: Ints) -> None:
        self._content = np.frombuffer(content, dtype=np.uint8)
        self._buffer = pa.py_buffer(content)
        self._rows = len(starts)
        self._places = np.empty((len(KINDS), self._rows), dtype=np.int32)
        self._lengths = np.empty((len(KINDS), self._rows), dtype=np.int32)
        if not compiled.fields(self._content, size, starts, self._places, self._lengths):
            raise ValueError("PostgreSQL sent rows that are not in the format of COPY")

    def column(self, place: int, kind: Kind) -> pa.Array:
        """The column at that place."""
        at = (self._content, self._places[place], self._lengths[place])
        if kind in ("few", "text"):
            return self._texts(*at, few=kind == "few")
        if kind == "uuid":
            halves = np.empty((self._rows, 16), dtype=np.uint8)
            if not compiled.uuids(*at, halves):
                raise ValueError("PostgreSQL sent an event without id")
            return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), self._rows, [None, pa.py_buffer(halves)])
        width, type_ = WIDTHS[kind]
        values, is_null = np.empty(self._rows, dtype=np.int64), np.empty(self._rows, dtype=bool)
        missing = compiled.numbers(*at, width, values, is_null)
        if kind == "instant":
            values += EPOCH
        mask = is_null if missing else None
        if kind == "float8":
            return pa.array(values.view(np.float64), mask=mask)
        return pa.array(values if kind != "bool" else values != 0, type_, mask=mask)

    def _texts(self, content: Bytes, places: Places, lengths: Places, *, few: bool) -> pa.Array:
        """Arrow's string views: up to 12 bytes lie in the view itself, longer texts stay where they are."""
        views, is_null = np.empty((self._rows, 4), dtype=np.uint32), np.empty(self._rows, dtype=bool)
        missing = compiled.views(content, places, lengths, views, is_null)
        if missing == self._rows:
            empty = pa.nulls(self._rows, pa.string())
            return empty.dictionary_encode() if few else empty
        valid = pa.py_buffer(np.packbits(~is_null, bitorder="little")) if missing else None
        array = pa.Array.from_buffers(pa.string_view(), self._rows, [valid, pa.py_buffer(views), self._buffer])
        if not few:
            return array.cast(pa.string())
        coded = array.dictionary_encode()
        return pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary.cast(pa.string()))
