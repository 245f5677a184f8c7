"""Strips: unions over ranges and sliding windows equal the plain way of working them out."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import FrozenBitMap

from analytics.aggregates import Count, Distinct, Quantiles, Repeat, Total
from kpis.series.strips import Strip, members, together

people = st.frozensets(st.integers(0, 40), max_size=12)
buckets = st.dictionaries(st.integers(0, 60), people, max_size=25)


def distinct(found: dict[int, frozenset[int]]) -> Strip:
    return Strip.of("distinct", ((start, Distinct.of(ids).encode()) for start, ids in found.items()))


def plainly(found: dict[int, frozenset[int]], low: int, high: int) -> int:
    return len(frozenset().union(*(ids for start, ids in found.items() if low <= start < high)))


@given(buckets, st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_sliding_windows_equal_one_union_each(found: dict[int, frozenset[int]], steps: list[tuple[int, int]]) -> None:
    """Windows of any width, gaps and standstills included, as long as both ends ascend."""
    lows = [*accumulate(step for step, _ in steps)]
    highs = [*accumulate((max(low, 1) for low, _ in steps), initial=lows[0])][1:]
    spans = [(low, max(low, high)) for low, high in zip(lows, accumulate(highs, max), strict=True)]
    strip = distinct(found)
    strip.prime(spans)
    assert [strip.size(span) for span in spans] == [plainly(found, *span) for span in spans]


@given(buckets, st.integers(0, 60), st.integers(0, 60))
def test_a_merge_is_the_union_of_its_buckets(found: dict[int, frozenset[int]], low: int, high: int) -> None:
    strip = distinct(found)
    assert strip.merged((low, high)).n == plainly(found, low, high) == strip.size((low, high))


@given(buckets, buckets)
def test_two_strips_together_hold_the_people_of_both(
    one: dict[int, frozenset[int]], other: dict[int, frozenset[int]]
) -> None:
    both = together([distinct(one), distinct(other)])
    assert both.starts == sorted({*one, *other})
    for start in both.starts:
        united = one.get(start, frozenset()) | other.get(start, frozenset())
        assert members(both.merged((start, start + 1))) == FrozenBitMap(united)


def test_buckets_of_one_start_are_added() -> None:
    """Bots have buckets of their own, which come beside those of people."""
    counts = Strip.of("count", [(0, Count(2).encode()), (0, Count(3).encode()), (5, Count(1).encode())])
    assert [counts.merged((0, 5)), counts.merged((0, 6)), counts.merged((6, 9))] == [Count(5), Count(6), Count()]


def test_states_of_every_kind_add_and_an_empty_stretch_is_their_zero() -> None:
    totals = Strip.of("total", [(0, Total(1, 250).encode()), (1, Total(2, 50).encode())])
    assert (totals.merged((0, 2)), totals.merged((2, 3))) == (Total(3, 300), Total())
    mixed = Strip.of("total", [(0, Total(1, 25, 1).encode()), (1, Total(1, 5).encode())])
    assert mixed.merged((0, 2)) == Total(2, 75, 1)
    once = Repeat(FrozenBitMap([1, 2]), FrozenBitMap())
    repeats = Strip.of("repeat", [(0, once.encode()), (1, Repeat(FrozenBitMap([2, 3]), FrozenBitMap()).encode())])
    assert repeats.merged((0, 2)) == Repeat(FrozenBitMap([1, 2, 3]), FrozenBitMap([2]))
    spread = Quantiles.of([1.0, 2.0])
    assert Strip.of("quantiles", [(0, spread.encode())]).merged((0, 1)) == spread
