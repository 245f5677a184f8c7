"""A piece's tables as Parquet in memory, and how to know them again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analytics.lake.schema import ROW_GROUP, File, arrow_schema, columns_of


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
        "row_group_size": ROW_GROUP,
        "use_dictionary": [c.name for c in columns if c.name not in deltas and c.name not in plain] or False,
        "column_encoding": deltas,
        "write_statistics": [c.name for c in columns if c.name not in _LARGE],
        "store_schema": False,
    }
    pq.write_table(table, sink, **options)
    data = sink.getvalue()
    return Content(data, checksum(data))


def checksum(data: pa.Buffer | bytes | memoryview) -> str:
    return hashlib.blake2b(memoryview(data), digest_size=16).hexdigest()


def rows_in(data: bytes, file: File) -> int:
    """The number of rows that the file says it has. Raises pyarrow.ArrowInvalid when it is no such file."""
    found = pq.ParquetFile(pa.BufferReader(data))
    if found.schema_arrow.names != arrow_schema(file).names:
        raise pa.ArrowInvalid(f"not the columns of a file of {file}")
    return int(found.metadata.num_rows)


_LARGE = frozenset({"event_id", "parent_id", "properties"})
