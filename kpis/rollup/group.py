"""Grouping by numpy: a block of rows becomes the cells of its measures. Pure: no database, no clock.

A row of a bucket is found once per (selection, dimension) and shared by all measures that ask for the same. Sums are
exact: see `sums`.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import FrozenBitMap

from analytics.aggregates import (
    PLACES,
    DistinctKeys,
    Encoded,
    Extremes,
    Moments,
    Quantiles,
    Repeat,
    Total,
    quantile_bins,
)
from analytics.columns import Block, Numbers, Rows, Texts
from kpis.base import Condition, Measure
from kpis.rollup.cells import Cell, cap, new_cell
from kpis.rollup.keys import COHORTS, KEYS_PER_BUCKET, NONE_KEY, key_hash, stored_dimension
from kpis.rollup.plan import Plan, Selection
from kpis.rollup.prices import prices
from kpis.rollup.read import numbers_of

Ints = npt.NDArray[np.int64]
States = Callable[[npt.NDArray[Any], Ints, int], list[Encoded]]
"""Values, the group of each, and how many groups there are, to the state of each group."""

GREATEST_FLOAT = 9e12
"""Floats beyond this are counted as missing: no business number, and in millionths it would not fit 64 bits."""
_EXACT_FLOAT = 2**53


@dataclass(frozen=True)
class Groups:
    """Rows by (bucket, key): `ids` are the sorted group numbers (bucket × width + key), `of_row` each row's place in
    them.
    """

    rows: Rows
    ids: Ints
    of_row: Ints

    @cached_property
    def sizes(self) -> Ints:
        return np.bincount(self.of_row, minlength=len(self.ids))


def group(
    plan: Plan, source: str, block: Block, edges: Ints, *, dimensions: frozenset[str] | None = None
) -> list[Cell]:
    """The cells of all measures of `source` for the buckets between `edges`; rows outside of them are left out.

    `dimensions` limits them: frozenset({""}) gives the totals only.
    """
    bucket = np.searchsorted(edges, block.numbers("ts").values, side="right") - 1
    inside = (bucket >= 0) & (bucket < len(edges) - 1)
    cohort = block.numbers("is_bot").values + 2 * block.numbers("is_internal").values
    cells: list[Cell] = []
    for number, name in enumerate(COHORTS):
        rows = np.flatnonzero(inside & (cohort == number))
        if len(rows):
            whole = len(rows) == block.size
            part = block if whole else block.take(rows)
            cells.extend(
                _Grouping(plan, source, part, bucket if whole else bucket[rows], edges, name, dimensions).cells()
            )
    return cells


class _Grouping:
    """One cohort's rows, with the groups found so far."""

    def __init__(
        self, plan: Plan, source: str, block: Block, bucket: Ints, edges: Ints, cohort: str, only: frozenset[str] | None
    ) -> None:
        self._plan, self._source, self._block, self._cohort, self._only = plan, source, block, cohort, only
        self._bucket = bucket.astype(np.int64, copy=False)
        self._edges = edges.tolist()
        self._rows: dict[Selection, Rows] = {}
        self._groups: dict[tuple[Selection, str], Groups] = {}
        self._values: dict[tuple[str, bool], Numbers] = {}

    def cells(self) -> Iterator[Cell]:
        for measure in self._plan.of_source(self._source):
            if not len(self._selected(Selection.of(measure))):
                continue
            for dimension in ("", *measure.dimensions):
                if self._only is None or dimension in self._only:
                    yield from self._measured(measure, dimension)

    def _measured(self, measure: Measure, dimension: str) -> Iterator[Cell]:
        groups = self._grouped(Selection.of(measure), dimension)
        width, keys = self._keys(dimension)
        stored = stored_dimension(dimension, self._cohort)
        bucket, key = np.divmod(groups.ids, width)
        places = zip(key.tolist(), bucket.tolist(), self._states(measure, groups), strict=True)
        edges, name = self._edges, measure.id
        cells = [
            new_cell((name, stored, keys[key], edges[bucket], n, total, state))
            for key, bucket, (n, total, state) in places
            if n
        ]
        is_wide = self._plan.is_capped and width > KEYS_PER_BUCKET
        return cap(measure.aggregate, cells) if is_wide else iter(cells)

    def _keys(self, dimension: str) -> tuple[int, tuple[str, ...]]:
        if not dimension:
            return 1, ("",)
        values = self._block.texts(dimension).values
        return len(values) + 1, (*values, NONE_KEY)

    def _selected(self, selection: Selection) -> Rows:
        if selection not in self._rows:
            keep = np.ones(self._block.size, dtype=bool)
            if selection.events is not None:
                names = self._block.texts("name")
                keep &= names.flags([name in selection.events for name in names.values])
            if selection.value_events_only:
                names = self._block.texts("name")
                keep &= names.flags([name not in self._plan.not_activity for name in names.values])
            for condition in selection.where:
                keep &= holds(self._block, condition)
            self._rows[selection] = np.flatnonzero(keep)
        return self._rows[selection]

    def _grouped(self, selection: Selection, dimension: str) -> Groups:
        if (selection, dimension) not in self._groups:
            rows = self._selected(selection)
            numbers = self._bucket[rows]
            width, _ = self._keys(dimension)
            if dimension:
                codes = self._block.texts(dimension).codes[rows].astype(np.int64)
                codes[codes < 0] = width - 1
                numbers = numbers * width + codes
            self._groups[selection, dimension] = Groups(rows, *compact(numbers, len(self._edges) * width))
        return self._groups[selection, dimension]

    def _states(self, measure: Measure, groups: Groups) -> list[Encoded]:
        if measure.aggregate == "count":
            return list(zip(groups.sizes.tolist(), itertools.repeat(None), itertools.repeat(None)))
        if measure.aggregate in ("distinct", "repeat"):
            return self._members(measure, groups)
        if measure.aggregate == "prices":
            return prices(self._block, groups.rows, groups.of_row, len(groups.ids), self._plan.names)
        numbers = self._numbers(measure)
        taken = ~numbers.is_null[groups.rows]
        values, of_row = numbers.values[groups.rows][taken], groups.of_row[taken]
        return _of_some(_NUMERIC[measure.aggregate], values, of_row, len(groups.ids))

    def _numbers(self, measure: Measure) -> Numbers:
        wanted = (measure.field or "", measure.is_magnitude)
        if wanted not in self._values:
            numbers = numbers_of(self._block, wanted[0])
            values, is_null = numbers.values, numbers.is_null
            if values.dtype.kind == "f":
                too_great = np.abs(values) > GREATEST_FLOAT
                values, is_null = np.where(too_great, 0.0, values), is_null | too_great
            self._values[wanted] = Numbers(np.abs(values) if measure.is_magnitude else values, is_null)
        return self._values[wanted]

    def _members(self, measure: Measure, groups: Groups) -> list[Encoded]:
        if measure.over == "person":
            persons = self._block.numbers("person_id")
            known = ~persons.is_null[groups.rows]
            pairs = groups.of_row[known] << 32 | persons.values[groups.rows][known]
            return (repeats if measure.aggregate == "repeat" else bitmaps)(pairs, len(groups.ids))
        return self._key_sets(self._block.texts(f"{measure.over}_id"), groups)

    def _key_sets(self, texts: Texts, groups: Groups) -> list[Encoded]:
        codes = texts.codes[groups.rows].astype(np.int64)
        pairs = np.unique((groups.of_row << 32 | codes)[codes >= 0])
        hashes = np.array([key_hash(value) for value in texts.values], dtype="<u8")
        bounds = np.searchsorted(pairs >> 32, np.arange(len(groups.ids) + 1))
        members = hashes[pairs & 0xFFFF_FFFF] if len(pairs) else hashes[:0]
        sets = [np.unique(members[a:b]) for a, b in itertools.pairwise(bounds)]
        return [(len(keys), None, DistinctKeys.MAGIC + keys.tobytes()) for keys in sets]


def compact(numbers: Ints, bound: int) -> tuple[Ints, Ints]:
    """The sorted distinct numbers (each below `bound`), and for each row the place of its own among them."""
    if bound > 4 * len(numbers) + 4096:
        ids, of_row = np.unique(numbers, return_inverse=True)
        return ids.astype(np.int64), of_row.astype(np.int64)
    ids = np.flatnonzero(np.bincount(numbers, minlength=bound)).astype(np.int64)
    place = np.zeros(bound, dtype=np.int64)
    place[ids] = np.arange(len(ids))
    return ids, place[numbers]


def sums(values: Ints, of_row: Ints, count: int) -> list[int]:
    """Exact sums of 64-bit integers by group. numpy's weighted bincount adds floats, so parts stay below 2^53."""
    if not len(values):
        return [0] * count
    greatest = max(int(values.max()), -int(values.min()))
    if greatest * len(values) < _EXACT_FLOAT:
        return _float_sums(values, of_row, count)
    mask = (1 << 22) - 1
    parts = [_float_sums(part, of_row, count) for part in (values >> 44, values >> 22 & mask, values & mask)]
    return [(high << 44) + (middle << 22) + low for high, middle, low in zip(*parts, strict=True)]


def _float_sums(values: Ints, of_row: Ints, count: int) -> list[int]:
    weighted = np.bincount(of_row, weights=values.astype(np.float64), minlength=count)
    result: list[int] = weighted.astype(np.int64).tolist()
    return result


def squares(values: Ints, of_row: Ints, count: int) -> list[int]:
    """Exact sums of squares by group: (a·2⁴² + b·2²¹ + c)² is summed term by term."""
    if len(values) and max(abs(int(values.max())), abs(int(values.min()))) < 2**31:
        return sums(values * values, of_row, count)
    mask = (1 << 21) - 1
    a, b, c = values >> 42, values >> 21 & mask, values & mask
    terms = [(a * a, 84), (2 * a * b, 63), (2 * a * c + b * b, 42), (2 * b * c, 21), (c * c, 0)]
    added = [[part << shift for part in sums(term, of_row, count)] for term, shift in terms]
    return [sum(parts) for parts in zip(*added, strict=True)]


def _units(values: npt.NDArray[Any]) -> tuple[Ints, int]:
    if values.dtype.kind == "f":
        return np.rint(values * 10**PLACES).astype(np.int64), PLACES
    return values.astype(np.int64, copy=False), 0


def _totals(values: npt.NDArray[Any], of_row: Ints, count: int) -> list[Encoded]:
    units, places = _units(values)
    found = zip(np.bincount(of_row, minlength=count).tolist(), sums(units, of_row, count), strict=True)
    if not places:  # money: nothing to shorten
        return [(n, Decimal(total), None) for n, total in found]
    return [Total(n, total, places).encode() for n, total in found]


def _moments(values: npt.NDArray[Any], of_row: Ints, count: int) -> list[Encoded]:
    units, places = _units(values)
    sizes = np.bincount(of_row, minlength=count).tolist()
    columns = zip(sizes, sums(units, of_row, count), squares(units, of_row, count), strict=True)
    if not places:  # money: nothing to shorten
        return [(n, Decimal(total), Moments.pack(square, 0)) for n, total, square in columns]
    return [Moments(n, total, square, places).encode() for n, total, square in columns]


def _extremes(values: npt.NDArray[Any], of_row: Ints, count: int) -> list[Encoded]:
    least, greatest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(least, of_row, values)
    np.maximum.at(greatest, of_row, values)
    sizes = np.bincount(of_row, minlength=count).tolist()
    columns = zip(sizes, least.tolist(), greatest.tolist(), strict=True)
    return [Extremes(n, low, high).encode() for n, low, high in columns]


def _quantiles(values: npt.NDArray[Any], of_row: Ints, count: int) -> list[Encoded]:
    pairs, times = np.unique(of_row << 16 | (quantile_bins(values.astype(np.float64)) + 2**15), return_counts=True)
    bounds = np.searchsorted(pairs >> 16, np.arange(count + 1))
    bins = (pairs & 0xFFFF) - 2**15
    sizes = np.diff(np.append(0, np.cumsum(times))[bounds]).tolist()
    return Quantiles.encode_many(sizes, bounds.tolist(), bins, times)


def _of_some(states: States, values: npt.NDArray[Any], of_row: Ints, count: int) -> list[Encoded]:
    """The states of the groups that have a value at all: of a field that few events carry, most have none."""
    some, place = compact(of_row, count)
    if len(some) == count:
        return states(values, of_row, count)
    found: list[Encoded] = [(0, None, None)] * count
    if len(some):
        for number, state in zip(some.tolist(), states(values, place, len(some)), strict=True):
            found[number] = state
    return found


_NUMERIC: dict[str, States] = {"total": _totals, "moments": _moments, "extremes": _extremes, "quantiles": _quantiles}


def bitmap(ids: Ints) -> FrozenBitMap:
    """A bitmap of sorted ids. `array` is the type that pyroaring takes without a Python object per id."""
    return FrozenBitMap(array("I", ids.astype(np.uint32).tobytes()))


def bitmaps(pairs: Ints, count: int) -> list[Encoded]:
    """One bitmap of persons per group, from `group << 32 | person`."""
    pairs = np.unique(pairs)
    bounds = np.searchsorted(pairs >> 32, np.arange(count + 1)).tolist()
    persons = (pairs & 0xFFFF_FFFF).astype(np.uint32)
    return [
        (b - a, None, FrozenBitMap(array("I", persons[a:b].tobytes())).serialize()) if b > a else (0, None, None)
        for a, b in itertools.pairwise(bounds)
    ]


def repeats(pairs: Ints, count: int) -> list[Encoded]:
    """As `bitmaps`, with the persons that occur at least twice in a bitmap of their own."""
    pairs, times = np.unique(pairs, return_counts=True)
    bounds = np.searchsorted(pairs >> 32, np.arange(count + 1)).tolist()
    persons = pairs & 0xFFFF_FFFF
    return [
        Repeat(bitmap(persons[a:b]), bitmap(persons[a:b][times[a:b] > 1])).encode()
        for a, b in itertools.pairwise(bounds)
    ]


def holds(block: Block, condition: Condition) -> npt.NDArray[np.bool_]:
    """For each row whether the condition is true. A missing value passes `ne` and `is_null` only."""
    column = block.columns[condition.field]
    if condition.op == "is_null":
        return np.asarray(column.is_null == bool(condition.value))
    if isinstance(column, Texts) and (isinstance(condition.value, str | tuple) or condition.op in ("eq", "ne", "in")):
        wanted = {str(value) for value in _operands(condition)}
        found = column.flags([value in wanted for value in column.values])
        return ~found if condition.op == "ne" else found
    numbers = numbers_of(block, condition.field)
    if condition.op in ("gt", "lt"):
        compare = np.greater if condition.op == "gt" else np.less
        return np.asarray(compare(numbers.values, condition.value) & ~numbers.is_null)
    found = np.isin(numbers.values, [*_operands(condition)]) & ~numbers.is_null
    return ~found if condition.op == "ne" else found


def _operands(condition: Condition) -> tuple[Any, ...]:
    return condition.value if isinstance(condition.value, tuple) else (condition.value,)
