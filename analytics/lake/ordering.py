"""The order of a piece: by name, person and time, so that a question skips what it does not ask for."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap

from analytics.lake.schema import DAY, FILES, HOUR, File, columns_of

Rows = npt.NDArray[np.int64]
TIME_BITS: Final = 37  # a day has fewer than 2^37 microseconds
PERSON_BITS: Final = 63 - TIME_BITS
assert DAY < 1 << TIME_BITS


def ordered(events: pa.Table, start: int) -> pa.Table:
    """The events of a piece that begins at `start` (microseconds), sorted, with `seq`, `piece` and `line`.

    `seq` counts events of equal time of one person in the order in which they were received. Names sort by their
    UTF-8 bytes, as the statistics of Parquet do; nobody comes before everybody.
    """
    by_person, seq = _by_person(events, start)
    ranks = _ranks(events.column("name").combine_chunks())
    order = by_person[np.argsort(ranks[by_person], kind="stable")]
    size = len(order)
    extra = {
        "seq": pa.array(seq[order]),
        "piece": pa.array(np.full(size, start // HOUR, np.int32)),
        "line": pa.array(np.arange(size, dtype=np.int32)),
    }
    table = events.drop_columns(["received_at", "id", "subject_id"]).take(pa.array(order))
    for name, column in extra.items():
        table = table.append_column(name, column)
    return table


def parts(table: pa.Table) -> dict[File, pa.Table]:
    """What goes into each of the three files."""
    return {file: table.select([column.name for column in columns_of(file)]) for file in FILES}


def subjects_of(events: pa.Table) -> bytes:
    """Everybody whose events these are, as a serialised roaring bitmap."""
    found = np.unique(events.column("subject_id").drop_null().to_numpy())
    bitmap = BitMap(found.astype(np.uint32))
    bitmap.run_optimize()
    return bytes(bitmap.serialize())


def _by_person(events: pa.Table, start: int) -> tuple[Rows, Rows]:
    """The rows by (person, time, receipt), and the `seq` of each row."""
    people = events.column("person_id").fill_null(-1).to_numpy().astype(np.int64) + 1
    if len(people) and int(people.max()) >> PERSON_BITS:
        people = np.unique(people, return_inverse=True)[1].astype(np.int64)
    keys = people << TIME_BITS | (events.column("ts").to_numpy() - start)
    order = np.argsort(keys).astype(np.int64)
    held = keys[order]
    is_tied = np.zeros(len(order), dtype=bool)
    is_tied[1:] = held[1:] == held[:-1]
    seq = np.zeros(len(order), dtype=np.int64)
    if is_tied.any():
        order, seq = _untied(events, order, held, is_tied)
    return order, seq


def _untied(events: pa.Table, order: Rows, held: Rows, is_tied: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Order the rows of equal (person, time) by receipt, and count them. Only those are looked at."""
    involved = is_tied.copy()
    involved[:-1] |= is_tied[1:]
    places = np.flatnonzero(involved)
    rows = order[places]
    first, second = _halves(events.column("id").combine_chunks(), rows)
    received = events.column("received_at").to_numpy()[rows]
    fixed = rows[np.lexsort((second, first, received, held[places]))]
    order = order.copy()
    order[places] = fixed
    begins = np.where(is_tied, 0, np.arange(len(order)))
    counted = np.arange(len(order)) - np.maximum.accumulate(begins)
    seq = np.zeros(len(order), dtype=np.int64)
    seq[order] = counted
    return order, seq


def _halves(ids: Any, rows: Rows) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    words = np.frombuffer(ids.buffers()[1], dtype="<u8")[ids.offset * 2 :].reshape(-1, 2)
    return words[rows, 0], words[rows, 1]


def _ranks(names: Any) -> npt.NDArray[Any]:
    """The place of each row's name among the names."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    encoded = [name.encode() for name in names.dictionary.to_pylist()]
    rank = np.empty(len(encoded), dtype=np.uint16 if len(encoded) < 1 << 16 else np.uint32)
    rank[sorted(range(len(encoded)), key=encoded.__getitem__)] = np.arange(len(encoded))
    ranks: npt.NDArray[Any] = rank[names.indices.to_numpy()]
    return ranks
