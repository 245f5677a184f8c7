"""Cells, the bucket rows to be, and how they merge upward: minutes to hours, hours to days. Pure.

The keys of a bucket are capped here, by the same rule whether the bucket was merged or counted from events: the
KEYS_PER_BUCKET with the highest n keep their own cell, the rest add up in OVERFLOW_KEY.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from analytics.aggregates import Encoded, merge_encoded
from kpis.rollup.keys import KEYS_PER_BUCKET, NONE_KEY, OVERFLOW_KEY

_ALWAYS_KEPT = {"", NONE_KEY, OVERFLOW_KEY}


class Cell(NamedTuple):
    """A bucket row to be: `start` is in microseconds since 1970; the last three are an encoded state."""

    measure: str
    dimension: str
    key: str
    start: int
    n: int
    total: Decimal | None
    state: bytes | None


new_cell: Callable[[tuple[Any, ...]], Cell] = partial(tuple.__new__, Cell)
"""As `Cell(*values)` without its call of Python: a backfill makes millions."""


def merge_up(aggregates: Mapping[str, str], cells: Iterable[Cell], starts: Mapping[int, int]) -> list[Cell]:
    """Cells of narrow buckets added up to wide ones; `starts` maps each narrow start to its wide one."""
    parts: dict[tuple[str, str, str, int], list[Encoded]] = defaultdict(list)
    for measure, dimension, key, start, n, total, state in cells:
        parts[measure, dimension, key, starts[start]].append((n, total, state))
    merged = [new_cell((*name, *merge_encoded(aggregates[name[0]], found))) for name, found in parts.items()]
    return _capped(aggregates, merged)


def _capped(aggregates: Mapping[str, str], cells: list[Cell]) -> list[Cell]:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for cell in cells:
        counts[cell.measure, cell.dimension] += 1
    wide = {name for name, count in counts.items() if count > KEYS_PER_BUCKET}
    if not wide:
        return cells
    kept = [cell for cell in cells if (cell.measure, cell.dimension) not in wide]
    for measure, dimension in sorted(wide):
        kept.extend(cap(aggregates[measure], [c for c in cells if (c.measure, c.dimension) == (measure, dimension)]))
    return kept


def cap(aggregate: str, cells: list[Cell]) -> Iterator[Cell]:
    """The cells of one measure and dimension, with at most KEYS_PER_BUCKET keys a bucket and the rest in one."""
    by_start: dict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_start[cell.start].append(cell)
    for found in by_start.values():
        yield from _cap_bucket(aggregate, found) if len(found) > KEYS_PER_BUCKET else found


def _cap_bucket(aggregate: str, cells: list[Cell]) -> Iterator[Cell]:
    ranked = sorted((cell for cell in cells if cell.key not in _ALWAYS_KEPT), key=lambda cell: (-cell.n, cell.key))
    overflow = [cell for cell in cells if cell.key == OVERFLOW_KEY] + ranked[KEYS_PER_BUCKET:]
    yield from (cell for cell in cells if cell.key in _ALWAYS_KEPT and cell.key != OVERFLOW_KEY)
    yield from ranked[:KEYS_PER_BUCKET]
    if overflow:
        parts = [(cell.n, cell.total, cell.state) for cell in overflow]
        encoded = merge_encoded(aggregate, parts)
        yield overflow[0]._replace(key=OVERFLOW_KEY, n=encoded[0], total=encoded[1], state=encoded[2])
