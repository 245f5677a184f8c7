"""A store for tests of questions: rows in, the same EventStore on DuckDB out. No files, no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from analytics.engines import DuckDBEngine
from analytics.lake.schema import FLAGS, PROMOTED
from analytics.lake.selection import Selection, Shape, StoredFile, property_column
from analytics.periods import to_micros
from analytics.store import EventStore

ALWAYS = (-(2**62), 2**62)


class MemorySource:
    """Nothing to repair, nothing to wait for."""

    files: tuple[StoredFile, ...] = ()

    def __init__(self, selection: Selection, data_through: datetime) -> None:
        self._selection = selection
        self.shape, self.data_through = selection.shape, data_through

    def selection(self) -> Selection:
        return self._selection

    def repair(self) -> bool:
        return False


def lake_store(
    rows: Iterable[Mapping[str, Any]],
    *,
    properties: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    data_through: datetime = datetime(2026, 11, 1, tzinfo=UTC),
    timeout: float = 60.0,
) -> EventStore:
    """Each row has a `name`, and whatever else of the lake's columns it needs; `ts` may be a datetime.

    Missing columns are null, flags false, `seq` the order within equal (person_id, ts).
    """
    shape = Shape.of(columns, properties)
    selection = Selection(
        shape=shape,
        start=to_micros(start) if start else ALWAYS[0],
        end=to_micros(end) if end else ALWAYS[1],
        names=tuple(names) if names is not None else None,
        paths={},
        table=lake_table(rows, shape),
    )
    return EventStore(DuckDBEngine(None), MemorySource(selection, data_through), timeout=timeout)


def lake_table(rows: Iterable[Mapping[str, Any]], shape: Shape) -> pa.Table:
    """The rows with every column of the shape."""
    ties: dict[tuple[Any, int], int] = {}
    complete = []
    for line, row in enumerate(rows):
        ts = row.get("ts", 0)
        ts = to_micros(ts) if isinstance(ts, datetime) else ts
        seq = ties[row.get("person_id"), ts] = ties.get((row.get("person_id"), ts), -1) + 1
        sent = row.get("properties", {})
        typed = {column: _text(sent.get(name)) for name, column in PROMOTED.items()}
        given = {name: value for name, value in row.items() if name != "properties"}
        texts = {property_column(at): _text(sent.get(name)) for at, name in enumerate(shape.properties)}
        complete.append(
            {"seq": seq, "piece": 0, "line": line, **dict.fromkeys(FLAGS, False), **typed, **given, "ts": ts, **texts}
        )
    return pa.Table.from_pylist(complete, schema=shape.schema)


def _text(value: object) -> str | None:
    """As PostgreSQL's ->> writes a JSON value of Python."""
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
