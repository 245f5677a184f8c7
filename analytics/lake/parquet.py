"""A piece's tables as Parquet in memory, and how to know them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analytics.lake.schema import OWN_GROUP, ROW_GROUP, File, arrow_schema, columns_of


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one file with their digest."""

    data: pa.Buffer
    checksum: str

    @property
    def size(self) -> int:
        return int(self.data.size)


def encoded(table: pa.Table, file: File) -> Content:
    """zstd; row groups with statistics; differences for what counts upward, dictionaries for what repeats."""
    columns = columns_of(file)
    deltas = {column.name: "DELTA_BINARY_PACKED" for column in columns if column.delta}
    plain = {column.name for column in columns if pa.types.is_floating(column.type) or column.name in _LARGE}
    sink = pa.BufferOutputStream()
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": 3 if file == "events" else 1,
        "use_dictionary": [c.name for c in columns if c.name not in deltas and c.name not in plain] or False,
        "column_encoding": deltas,
        "write_statistics": [c.name for c in columns if c.name not in _LARGE],
        "store_schema": False,
    }
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        for start, end in groups_of(table):
            writer.write_table(table.slice(start, end - start), row_group_size=ROW_GROUP)
    data = sink.getvalue()
    return Content(data, checksum(data))


def groups_of(table: pa.Table) -> Iterator[tuple[int, int]]:
    """The rows of each row group: a name that has many events shares its groups with no other."""
    start, edges = 0, _edges(table)
    for begin, end in pairwise(edges):
        if end - begin >= OWN_GROUP:
            yield from _steps(start, begin)
            yield from _steps(begin, end)
            start = end
    yield from _steps(start, table.num_rows)


def _edges(table: pa.Table) -> list[int]:
    """Where another name begins, with both ends."""
    if "name" not in table.column_names:
        return [0, table.num_rows]
    names = table.column("name")
    coded = (names if pa.types.is_dictionary(names.type) else names.dictionary_encode()).unify_dictionaries()
    codes = np.concatenate([np.zeros(0, np.int32), *(chunk.indices.to_numpy() for chunk in coded.chunks)])
    return [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]


def _steps(start: int, end: int) -> Iterator[tuple[int, int]]:
    for begin in range(start, end, ROW_GROUP):
        yield begin, min(end, begin + ROW_GROUP)


def checksum(data: pa.Buffer | bytes | memoryview) -> str:
    return hashlib.blake2b(memoryview(data), digest_size=16).hexdigest()


def rows_in(data: bytes, file: File) -> int:
    """The number of rows that the file says it has. Raises pyarrow.ArrowInvalid when it is no such file."""
    found = pq.ParquetFile(pa.BufferReader(data))
    if found.schema_arrow.names != arrow_schema(file).names:
        raise pa.ArrowInvalid(f"not the columns of a file of {file}")
    return int(found.metadata.num_rows)


_LARGE = frozenset({"event_id", "parent_id", "properties"})
