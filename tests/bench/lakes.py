"""A lake made without a database, for benchmarks of questions: sealed files as the product writes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from analytics.engines import DuckDBEngine
from analytics.lake.parquet import encoded
from analytics.lake.schema import arrow_schema
from analytics.lake.selection import Selection, Shape, StoredFile
from analytics.periods import to_micros
from analytics.store import EventStore

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 90
DAY = timedelta(days=1)
MICROS = 86_400_000_000


class Files:
    """A fixed set of files."""

    def __init__(self, paths: list[str], shape: Shape, names: tuple[str, ...], days: tuple[int, int]) -> None:
        self.files: tuple[StoredFile, ...] = ()
        self.shape = shape
        self.data_through = START + (days[1]) * DAY
        start, end = to_micros(START + days[0] * DAY), to_micros(START + days[1] * DAY)
        events = tuple(paths[days[0] : days[1]])
        beside = tuple(path.replace(".parquet", ".properties") for path in events)
        self._selection = Selection(shape, start, end, names, {"events": events, "properties": beside})

    def selection(self) -> Selection:
        return self._selection

    def repair(self) -> bool:
        return False


@contextmanager
def opened(
    folder: Path, names: tuple[str, ...], days: tuple[int, int] = (0, DAYS), properties: tuple[str, ...] = ()
) -> Iterator[EventStore]:
    """A store over the folder's days, as a question opens it: connection and view included in the time."""
    engine = DuckDBEngine(folder)
    paths = [str(path) for path in sorted(folder.glob("*.parquet"))]
    try:
        yield EventStore(engine, Files(paths, Shape.of(None, properties), names, days), timeout=120)
    finally:
        engine.close()


def written(
    folder: Path, day: int, columns: dict[str, object], properties: Callable[[pa.Table], pa.Array] | None = None
) -> None:
    """One day's events, sorted as sealing sorts them."""
    schema = arrow_schema("events")
    table = pa.table(columns)
    rows = table.num_rows
    table = table.sort_by(
        [("name", "ascending"), ("person_id", "ascending"), ("ts", "ascending"), ("seq", "ascending")]
    )
    filled = []
    for field in schema:
        if field.name in table.column_names:
            filled.append(table.column(field.name).cast(field.type))
        elif pa.types.is_boolean(field.type):
            filled.append(pa.array(np.zeros(rows, dtype=bool)))
        elif field.name in ("line", "piece"):
            filled.append(pa.array(np.arange(rows) if field.name == "line" else np.full(rows, day), field.type))
        elif not field.nullable:
            filled.append(pa.array(np.zeros(rows), field.type))
        else:
            filled.append(pa.nulls(rows, field.type))
    data = encoded(pa.Table.from_arrays(filled, schema=schema), "events").data
    (folder / f"{day:03d}.parquet").write_bytes(memoryview(data))
    if properties is not None:
        texts = properties(table)
        beside = {
            "name": table.column("name"),
            "properties": texts,
            "piece": np.full(rows, day),
            "line": np.arange(rows),
        }
        of_file = arrow_schema("properties")
        whole = pa.table({field.name: beside[field.name] for field in of_file}).cast(of_file)
        (folder / f"{day:03d}.properties").write_bytes(memoryview(encoded(whole, "properties").data))


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
