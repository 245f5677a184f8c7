"""Rows of PostgreSQL as numpy columns: COPY out as CSV, parsed by Arrow, texts as codes into their distinct values.

About 1 µs a row instead of the 20 µs that tuples of Python objects cost. Import it where work is done in the
background: Arrow adds some 60 MB to a process.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute  # what arrays do needs it: here, and not first in every child
import pyarrow.csv
from django.db.backends.utils import CursorWrapper
from psycopg import Copy
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many
from psycopg.pq import ExecStatus
from psycopg.waiting import Wait

Rows = npt.NDArray[np.intp]
Kind = Literal["text", "int", "float", "bool", "instant"]

_ARROW = {
    "text": pa.dictionary(pa.int32(), pa.string()),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "instant": pa.timestamp("us"),
}


_NUMPY = {"int": np.int64, "float": np.float64, "instant": np.int64}


@dataclass(frozen=True, slots=True)
class Texts:
    """`codes` point into `values`; -1 is null."""

    codes: npt.NDArray[np.int32]
    values: tuple[str, ...]

    def take(self, rows: Rows) -> Self:
        return type(self)(self.codes[rows], self.values)

    @property
    def is_null(self) -> npt.NDArray[np.bool_]:
        return self.codes < 0

    def flags(self, wanted: Sequence[bool]) -> npt.NDArray[np.bool_]:
        """One truth per row from one per distinct value; null rows are false."""
        return np.append(np.asarray(wanted, dtype=bool), False)[self.codes]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Integers or floats; where `is_null`, the value is 0."""

    values: npt.NDArray[Any]
    is_null: npt.NDArray[np.bool_]

    def take(self, rows: Rows) -> Self:
        return type(self)(self.values[rows], self.is_null[rows])


Column = Texts | Numbers


@dataclass(frozen=True, slots=True)
class Block:
    """Columns of equal length."""

    size: int
    columns: Mapping[str, Column]

    def texts(self, name: str) -> Texts:
        column = self.columns[name]
        if not isinstance(column, Texts):
            raise TypeError(f"{name} is no column of texts")
        return column

    def numbers(self, name: str) -> Numbers:
        column = self.columns[name]
        if not isinstance(column, Numbers):
            raise TypeError(f"{name} is no column of numbers")
        return column

    def take(self, rows: Rows) -> Block:
        return Block(len(rows), {name: column.take(rows) for name, column in self.columns.items()})


def copy_block(cursor: CursorWrapper, query: str, params: Mapping[str, object], kinds: Mapping[str, Kind]) -> Block:
    """The result of `query` (a SELECT whose columns are `kinds`, in order). Instants become microseconds since 1970."""
    buffer = _copied(cursor, query, params)
    if not buffer.tell():
        return _empty(kinds)
    table = pa.csv.read_csv(
        pa.BufferReader(buffer.getbuffer()),
        read_options=pa.csv.ReadOptions(column_names=list(kinds), use_threads=False, block_size=1 << 24),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: _ARROW[kind] for name, kind in kinds.items()},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    table = table.unify_dictionaries()
    return Block(table.num_rows, {name: _column(table.column(name), kind) for name, kind in kinds.items()})


def copy_out(cursor: CursorWrapper, statement: str, params: Mapping[str, object]) -> AbstractContextManager[Copy]:
    """`COPY … TO STDOUT` with parameters, by psycopg's own cursor: under DEBUG Django's takes none here."""
    copy: AbstractContextManager[Copy] = cursor.cursor.copy(statement, params)
    return copy


def _copied(cursor: CursorWrapper, query: str, params: Mapping[str, object]) -> io.BytesIO:
    """The rows as PostgreSQL writes them."""
    buffer = io.BytesIO()
    with copy_out(cursor, f"COPY ({query}) TO STDOUT (FORMAT csv)", params) as copy:
        cursor.connection.wait(_received(copy, cursor.connection.pgconn, buffer))
    return buffer


def _received(copy: Any, pgconn: Any, buffer: io.BytesIO) -> PQGen[None]:
    """What `copy.read()` does, without its microsecond of Python for each row: libpq hands rows over one by one."""
    while (received := pgconn.get_copy_data(1))[0] >= 0:
        if received[0]:
            buffer.write(received[1])
        else:
            while not (yield Wait.R):
                continue
            pgconn.consume_input()
    (result,) = yield from fetch_many(pgconn)
    copy._finished = True
    if result.status != ExecStatus.COMMAND_OK:
        raise error_from_result(result)


def _column(chunked: Any, kind: Kind) -> Column:
    array = chunked.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # an empty column has no chunk to combine
        array = array.chunk(0)
    is_null = _bytes(array.is_null()).view(np.bool_)
    if kind == "text":
        codes = np.where(is_null, np.int32(-1), _values(array.indices, np.int32))
        return Texts(codes, tuple(array.dictionary.to_pylist()))
    values = _bytes(array).view(np.bool_) if kind == "bool" else _values(array, _NUMPY[kind])
    return Numbers(np.where(is_null, values.dtype.type(0), values) if array.null_count else values, is_null)


def _bytes(truths: Any) -> npt.NDArray[np.uint8]:
    return _values(truths.cast(pa.uint8()), np.uint8)


def _values(array: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """What lies in memory; anything where it is null. Arrow's own `to_numpy` imports pandas (40 MB, 0.4 s) where that
    happens to be installed, and so does any of its scalars.
    """
    kind = np.dtype(dtype)
    return np.frombuffer(array.buffers()[1], kind, count=len(array), offset=array.offset * kind.itemsize)


def _empty(kinds: Mapping[str, Kind]) -> Block:
    none = np.zeros(0, dtype=bool)
    types = {"int": np.int64, "instant": np.int64, "float": np.float64, "bool": np.bool_}
    columns: dict[str, Column] = {
        name: Texts(np.zeros(0, np.int32), ()) if kind == "text" else Numbers(np.zeros(0, types[kind]), none)
        for name, kind in kinds.items()
    }
    return Block(0, columns)


def as_numbers(texts: Texts) -> Numbers:
    """Texts read as floats; what is no finite number is null."""
    parsed = np.array([_float(value) for value in texts.values] + [np.nan])
    values = parsed[texts.codes]
    is_null = np.isnan(values)
    return Numbers(np.where(is_null, 0.0, values), is_null)


def _float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return np.nan
    return value if np.isfinite(value) else np.nan
