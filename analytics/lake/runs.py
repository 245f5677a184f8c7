"""Events straight out of the files, for kernels that need nothing of an engine but columns.

A piece lies by (name, person, time, receipt), so the events of one name in one piece are a run that is sorted already.
Runs are read and worked on side by side, each as soon as it is there; row groups of other names, and columns whose
statistics already say what is in them, are never opened.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from analytics.lake.errors import LakeFileBroken, StoreCancelled
from analytics.lake.schema import FLAGS, columns_of
from analytics.lake.selection import Selection

T = TypeVar("T")
Values = npt.NDArray[Any]

FILES_KNOWN: Final = 4096
FOOTERS_KEPT: Final = 128
"""Files whose whole footer is kept too, some 300 kB each: parsing it costs as much as reading a run."""
BATCH: Final = 500_000
"""Rows of a file that are read at once, about."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A text column: `values[code]` for each row, -1 where there is none."""

    codes: Values
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Events of one name out of one piece, of known people only, by (person_id, ts, seq). A large piece has several."""

    name: str
    rows: int
    numbers: Mapping[str, Values]
    texts: Mapping[str, Coded]


@dataclass(frozen=True, slots=True)
class Wanted:
    """`columns` of the typed ones (in numbers a null is 0); `without`: flags whose events are left out."""

    columns: tuple[str, ...]
    names: frozenset[str]
    start: int
    end: int
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """What the footer says of a row group. `name` is None when it holds several; `flagged`: flags that may be set."""

    number: int
    rows: int
    name: str | None
    low: str
    high: str
    first: int
    last: int
    has_nobody: bool
    flagged: frozenset[str]

    def may_hold(self, wanted: Wanted) -> bool:
        if self.last < wanted.start or self.first >= wanted.end:
            return False
        if self.name is not None:
            return self.name in wanted.names
        return not self.high or any(self.low <= name <= self.high for name in wanted.names)

    def is_plain(self, wanted: Wanted) -> bool:
        """Whether every row of it is wanted."""
        return (
            self.name is not None
            and not self.has_nobody
            and self.first >= wanted.start
            and self.last < wanted.end
            and not self.flagged.intersection(wanted.without)
        )


@dataclass
class Reader:
    """Reads the runs of one question; may be interrupted from another thread."""

    folder: Path | None
    threads: int
    _stopped: threading.Event = field(default_factory=threading.Event)

    def interrupt(self) -> None:
        self._stopped.set()

    def each(self, selection: Selection, wanted: Wanted, work: Callable[[Run], T]) -> list[T]:
        """What `work` makes of every run, in no order. Raises LakeFileBroken, StoreCancelled."""
        if selection.table is not None:
            return [work(run) for run in _of_memory(selection.table, wanted)]

        def one(path: str) -> list[T]:
            return [work(run) for run in self._of_file(path, wanted)]

        with ThreadPoolExecutor(self.threads, thread_name_prefix="lake-read") as pool:
            waiting = [pool.submit(one, path) for path in selection.paths.get("events", ())]
            try:
                return [made for future in waiting for made in future.result()]
            finally:
                for future in waiting:
                    future.cancel()

    def _of_file(self, path: str, wanted: Wanted) -> Iterator[Run]:
        self._check(path)
        try:
            groups = [group for group in _of_now(_groups, path) if group.may_hold(wanted)]
            if not groups:
                return
            texts, footer = ["name", *_texts(wanted.columns)], _of_now(_footer, path)
            with pa.OSFile(path) as opened, pq.ParquetFile(opened, metadata=footer, read_dictionary=texts) as file:
                for batch in _batches(groups, wanted):
                    self._check(path)
                    yield from _runs(file, batch, wanted)
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            raise LakeFileBroken("a file of the lake is missing or damaged") from error

    def _check(self, path: str) -> None:
        if self._stopped.is_set():
            raise StoreCancelled("the question was cancelled")
        # The engine is locked into the tenant's folder; what is read past it keeps to the same.
        if self.folder is None or not os.path.normpath(path).startswith(f"{self.folder}{os.sep}"):
            raise LakeFileBroken("a file of the lake lies outside of the tenant's folder")


def _of_now(known: Callable[[str, int, int], T], path: str) -> T:
    """What is known of the file as it is; files never change, but one may be put in the place of a damaged one."""
    found = os.stat(path)
    return known(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=FOOTERS_KEPT)
def _footer(path: str, size: int, changed: int) -> Any:
    return pq.read_metadata(path)


@lru_cache(maxsize=FILES_KNOWN)
def _groups(path: str, size: int, changed: int) -> tuple[Group, ...]:
    """The footer in short."""
    metadata = _footer(path, size, changed)
    place = {metadata.schema.column(at).name: at for at in range(metadata.num_columns)}
    return tuple(_group(metadata.row_group(number), number, place) for number in range(metadata.num_row_groups))


def _group(found: Any, number: int, place: Mapping[str, int]) -> Group:
    def of(name: str) -> tuple[Any, Any]:
        known = found.column(place[name]).statistics
        return (known.min, known.max) if known is not None and known.has_min_max else (None, None)

    low, high = of("name")
    first, last = of("ts")
    people = found.column(place["person_id"]).statistics
    return Group(
        number=number,
        rows=found.num_rows,
        name=low if low is not None and low == high else None,
        low=low or "",
        high=high or "",
        first=-(2**63) if first is None else first,
        last=2**63 - 1 if last is None else last,
        has_nobody=people is None or not people.has_null_count or people.null_count > 0,
        flagged=frozenset(flag for flag in FLAGS if of(flag)[1] is not False),
    )


def _batches(groups: Sequence[Group], wanted: Wanted) -> Iterator[list[Group]]:
    """Groups to be read together: all plain or all not, and not too many rows."""
    batch: list[Group] = []
    for group in sorted(groups, key=lambda each: (not each.is_plain(wanted), each.number)):
        is_full = sum(each.rows for each in batch) >= BATCH and group.name != batch[-1].name
        if batch and (is_full or group.is_plain(wanted) != batch[0].is_plain(wanted)):
            yield batch
            batch = []
        batch.append(group)
    yield batch


def _runs(file: Any, batch: Sequence[Group], wanted: Wanted) -> Iterator[Run]:
    numbers = [group.number for group in batch]
    if not batch[0].is_plain(wanted):
        columns = list(dict.fromkeys(("name", "person_id", "ts", *wanted.columns, *wanted.without)))
        yield from _of_memory(file.read_row_groups(numbers, columns=columns, use_threads=False), wanted)
        return
    table = file.read_row_groups(numbers, columns=list(wanted.columns), use_threads=False)
    sizes = [group.rows for group in batch]
    if all([len(chunk) for chunk in column.chunks] == sizes for column in table.columns):  # then without a copy
        texts = frozenset(_texts(wanted.columns))
        for at, group in enumerate(batch):
            chunks = {name: column.chunk(at) for name, column in zip(table.schema.names, table.columns, strict=True)}
            values = {name: _values(chunk) for name, chunk in chunks.items() if name not in texts}
            coded = {name: Coded(*_coded(pa.chunked_array([chunks[name]]))) for name in texts}
            yield Run(str(group.name), group.rows, values, coded)
    else:
        yield from _cut(table, [str(group.name) for group in batch], [0, *accumulate(sizes)], wanted)


def _of_memory(table: pa.Table, wanted: Wanted) -> Iterator[Run]:
    """The runs of a table that holds anything, in any order."""
    codes, names = _coded(table["name"])
    ts = _ints(table["ts"])
    kept = np.array([name in wanted.names for name in (*names, None)])[codes]
    kept &= (ts >= wanted.start) & (ts < wanted.end) & table["person_id"].is_valid().to_numpy()
    for flag in wanted.without:
        kept &= ~table[flag].to_numpy()
    rows = np.flatnonzero(kept)
    rows = rows[_order(table, codes, rows)]
    if len(rows):
        table, codes = table.take(pa.array(rows)), codes[rows]
        edges = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]
        yield from _cut(table, [names[codes[edge]] for edge in edges[:-1]], edges, wanted)


def _order(table: pa.Table, codes: Values, rows: Values) -> Values | slice:
    """How to sort those rows by name, person, time and receipt; files are."""
    known = [name for name in ("person_id", "ts", "seq") if name in table.schema.names]
    keys = [codes[rows], *(_ints(table[name])[rows] for name in known)]
    pairs = max(0, len(rows) - 1)
    is_tied, is_sorted = np.ones(pairs, dtype=bool), np.zeros(pairs, dtype=bool)
    for key in keys:
        is_sorted |= is_tied & (key[1:] > key[:-1])
        is_tied &= key[1:] == key[:-1]
    return slice(None) if np.all(is_sorted | is_tied) else np.lexsort(tuple(reversed(keys)))


def _cut(table: pa.Table, names: Sequence[str], edges: Sequence[int], wanted: Wanted) -> Iterator[Run]:
    """One run for each name; neighbours of the same name are one."""
    texts = {name: _coded(table[name]) for name in _texts(wanted.columns)}
    numbers = {name: _ints(table[name]) for name in wanted.columns if name not in texts}
    begins = [at for at, name in enumerate(names) if at == 0 or name != names[at - 1]]
    for at, until in zip(begins, [*begins[1:], len(names)], strict=True):
        rows = slice(edges[at], edges[until])
        yield Run(
            name=names[at],
            rows=rows.stop - rows.start,
            numbers={name: values[rows] for name, values in numbers.items()},
            texts={name: Coded(codes[rows], values) for name, (codes, values) in texts.items()},
        )


def _texts(columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name in _TEXTS]


def _coded(column: pa.ChunkedArray) -> tuple[Values, tuple[str, ...]]:
    whole = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    whole = whole.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), [])
    codes = whole.indices
    codes = (codes.fill_null(-1) if codes.null_count else codes).to_numpy(zero_copy_only=False)
    return codes, tuple(whole.dictionary.to_pylist())


def _values(chunk: pa.Array) -> Values:
    values: Values = (chunk.fill_null(0) if chunk.null_count else chunk).to_numpy(zero_copy_only=False)
    return values


def _ints(column: pa.ChunkedArray) -> Values:
    column = column.fill_null(0) if column.null_count else column
    values: Values = column.chunk(0).to_numpy() if column.num_chunks == 1 else column.to_numpy()
    return values


_TEXTS: Final = frozenset(column.name for column in columns_of("events") if pa.types.is_string(column.type))
