"""The events a funnel can use, out of the lake and in order: by unit, time and order of receipt."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np
import pyarrow as pa

from analytics.periods import to_micros
from kpis.explore.picks import EventPick, all_hold, bit, column_of, fields_of, people_only, picked
from kpis.explore.stamp import EventSource
from kpis.funnels.attempts import Ints
from kpis.funnels.question import GROUPS, Funnel

THREADS: Final = 4
ALONE: Final = 1_000_000
COLUMNS = ("name", "person_id", "ts", "seq", "is_bot", "is_internal")


@dataclass(frozen=True)
class Rows:
    """Events by (unit, ts, seq). A unit is a person, or a person with one value of what is held constant.

    Bit k of `flags` says that an event fits step k; exclusions follow the steps. `key` numbers values in `keys`.
    `closes` is when an event's unit is over, where units end by themselves, as visits do.
    """

    person: Ints
    unit: Ints
    ts: Ints
    seq: Ints
    flags: Ints
    key: Ints | None = None
    keys: tuple[str, ...] = ()
    closes: Ints | None = None

    def __len__(self) -> int:
        return len(self.ts)


def columns_of(funnel: Funnel) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns and properties that the store has to have open."""
    picks = [*picks_of(funnel), EventPick(where=funnel.filters)]
    units = ("session_id" if funnel.session else "", GROUPS if funnel.group else "")
    columns, properties = fields_of(picks, funnel.hold or "", funnel.by or "", *units)
    return tuple(dict.fromkeys((*COLUMNS, *columns))), properties


def selection(source: EventSource, funnel: Funnel) -> Any:
    """The Ibis table of events that fit a step or an exclusion; in strict order every event that shows activity."""
    span = [to_micros(instant) for instant in funnel.span]
    picks = picks_of(funnel)
    names = names_wanted(picks) if funnel.order != "strict" else ()
    table = people_only(source.events, funnel.include)
    table = table.filter((table.ts >= span[0]) & (table.ts < span[1]))
    table = table.filter(table.name.isin(names) if names else picked(source, table, EventPick()))
    passes = all_hold(source, table, funnel.filters)
    wanted: dict[str, Any] = {
        "person_id": table.person_id.cast("int64"),
        "ts": table.ts,
        "seq": table.seq.cast("int64"),
        "flags": reduce(add, (bit(picked(source, table, pick) & passes, index) for index, pick in enumerate(picks))),
    }
    if funnel.hold:
        wanted["held"] = column_of(source, table, funnel.hold)
    if funnel.by:
        wanted["key"] = column_of(source, table, funnel.by)
    found = table.select(**wanted)
    if funnel.order != "strict":
        found = found.filter(found.flags > 0)
    return found.filter(found.held.notnull()) if funnel.hold else found


def picks_of(funnel: Funnel) -> list[EventPick]:
    """Those of the steps, then those of the exclusions."""
    return [*(step.pick for step in funnel.steps), *(exclusion.pick for exclusion in funnel.exclusions)]


def names_wanted(picks: Sequence[EventPick]) -> tuple[str, ...]:
    """All event names of the picks; none when one of them takes every event."""
    return tuple(sorted({name for pick in picks for name in pick.all_names})) if all(p.names for p in picks) else ()


def rows_of(found: pa.Table) -> Rows:
    """The rows of a selection, sorted."""
    columns = {name: found.column(name).to_numpy().astype(np.int64) for name in ("person_id", "ts", "seq", "flags")}
    unit = columns["person_id"]
    if "held" in found.column_names:
        codes, _ = coded(found.column("held"))
        unit = unit * (int(codes.max(initial=0)) + 1) + codes
    key, keys = coded(found.column("key")) if "key" in found.column_names else (None, ())
    order = ordered(unit, columns["ts"], columns["seq"])
    return Rows(
        person=columns["person_id"][order],
        unit=unit[order],
        ts=columns["ts"][order],
        seq=columns["seq"][order],
        flags=columns["flags"][order],
        key=None if key is None else key[order],
        keys=keys,
    )


def coded(column: pa.ChunkedArray) -> tuple[Ints, tuple[str, ...]]:
    """A text column as numbers of its distinct values; -1 for null."""
    whole = column.combine_chunks().dictionary_encode()
    whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, tuple(str(value) for value in whole.dictionary.to_pylist())


def places_sorted(numbers: Ints, *, parts: int = THREADS, alone: int = ALONE) -> Ints:
    """As `argsort`; many numbers in parts of the range side by side, for sorting lets other threads run."""
    if len(numbers) <= alone:
        return np.argsort(numbers)
    cuts = np.quantile(numbers[:: max(1, len(numbers) // 10_000)], np.arange(1, parts) / parts).astype(np.int64)
    part = np.searchsorted(cuts, numbers, side="right").astype(np.int8)

    def sort(number: int) -> Ints:
        mine = np.flatnonzero(part == number)
        return mine[np.argsort(numbers[mine])]

    with ThreadPoolExecutor(parts) as pool:
        return np.concatenate(list(pool.map(sort, range(parts))))


def ordered(unit: Ints, ts: Ints, seq: Ints) -> Ints:
    """The order of rows by (unit, ts, seq). Unit and time are packed into one number where they fit: numbers are sorted
    twenty times faster than rows, and only rows of one person and one microsecond need their order of receipt."""
    if len(ts) == 0:
        return np.zeros(0, dtype=np.int64)
    low = int(ts.min())
    width = int(ts.max() - low).bit_length()
    if int(unit.min()) < 0 or int(unit.max()).bit_length() + width > 63:
        return np.lexsort((seq, ts, unit))
    packed = (unit << width) | (ts - low)
    order = places_sorted(packed)
    packed = packed[order]
    same = packed[1:] == packed[:-1]
    if not same.any():
        return order
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    order[tied] = order[tied][np.lexsort((seq[order[tied]], packed[tied]))]
    return order
