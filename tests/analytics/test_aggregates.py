"""States that add: the three laws, encoding, and numbers worked by hand."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.aggregates import (
    ACCURACY,
    AGGREGATES,
    Count,
    Distinct,
    DistinctKeys,
    Extremes,
    Moments,
    Price,
    Prices,
    Quantiles,
    Repeat,
    Total,
    decode,
    merge_encoded,
)

ids = st.lists(st.integers(0, 2**32 - 1), max_size=30)
floats = st.floats(-1e12, 1e12, allow_nan=False)


def repeat_of(members: list[int]) -> Repeat:
    once, twice = set(members), {m for m in members if members.count(m) > 1}
    return Repeat(Distinct.of(once).ids, Distinct.of(twice).ids)


def extremes_of(values: list[float]) -> Extremes:
    return Extremes(len(values), min(values), max(values)) if values else Extremes()


def moments_of(values: list[int], places: int) -> Moments:
    return Moments(len(values), sum(values), sum(v * v for v in values), places)


price = st.builds(
    Price,
    st.integers(0, 3),
    st.sampled_from((7, 2**64 - 1)),
    st.integers(0, 3),
    st.sampled_from((0, 900, -(2**40))),
    st.sampled_from((0, 1000)),
    st.sampled_from(("", "EUR", "USD")),
    st.integers(0, 4),
    st.integers(1, 999),
    st.booleans(),
)


STATES: dict[str, st.SearchStrategy[Any]] = {
    "count": st.builds(Count, st.integers(0, 2**62)),
    "total": st.builds(Total, st.integers(0, 2**31), st.integers(-(2**90), 2**90), st.sampled_from((0, 6))),
    "moments": st.builds(moments_of, st.lists(st.integers(-(2**62), 2**62), max_size=5), st.sampled_from((0, 6))),
    "extremes": st.builds(extremes_of, st.lists(floats, max_size=5)),
    "distinct": st.builds(Distinct.of, ids),
    "repeat": st.builds(repeat_of, ids),
    "quantiles": st.builds(Quantiles.of, st.lists(floats, max_size=20)),
    "prices": st.builds(Prices.of, st.lists(price, max_size=6)),
}
KEYS = st.builds(DistinctKeys, st.frozensets(st.integers(0, 2**64 - 1), max_size=20))

every_state = pytest.mark.parametrize("name", sorted(STATES))


def test_every_aggregate_is_tried() -> None:
    assert set(STATES) == set(AGGREGATES)


@every_state
@given(data=st.data())
def test_zero_changes_nothing(name: str, data: st.DataObject) -> None:
    state, zero = data.draw(STATES[name]), AGGREGATES[name]()
    assert state + zero == zero + state == state


@every_state
@given(data=st.data())
def test_order_does_not_matter(name: str, data: st.DataObject) -> None:
    a, b, c = (data.draw(STATES[name]) for _ in range(3))
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)


@every_state
@given(data=st.data())
def test_what_is_encoded_decodes_to_the_same(name: str, data: st.DataObject) -> None:
    state = data.draw(STATES[name])
    assert decode(name, *state.encode()) == state
    assert state.encode()[0] == state.n


@every_state
@given(data=st.data())
def test_merging_encodings_is_adding_states(name: str, data: st.DataObject) -> None:
    states = data.draw(st.lists(STATES[name], min_size=1, max_size=4))
    total = states[0]
    for state in states[1:]:
        total = total + state
    assert decode(name, *merge_encoded(name, [state.encode() for state in states])) == total


@given(a=KEYS, b=KEYS)
def test_sets_of_texts_add_and_decode_like_bitmaps(a: DistinctKeys, b: DistinctKeys) -> None:
    assert (a + b).keys == (b + a).keys == a.keys | b.keys
    assert decode("distinct", *(a + b).encode()) == a + b
    assert decode("distinct", *merge_encoded("distinct", [a.encode(), b.encode()])) == a + b


@given(total=STATES["total"])
def test_a_total_survives_the_six_decimals_of_its_column(total: Total) -> None:
    n, value, _ = total.encode()
    assert value is not None
    stored = value.quantize(Decimal("0.000001"), context=Context(prec=60))
    assert Total.decode(n, stored, None) == total


def test_totals_of_mixed_columns_are_exact() -> None:
    # A cent added a thousand times is ten, which floats miss by 1e-13.
    state = Total()
    for _ in range(1000):
        state += Total(1, 10_000, 6)
    assert (state.value, state.n, state.mean) == (10, 1000, 0.01)
    assert Total(1, 1_500_000, 6).value == Decimal("1.5")


def test_the_variance_of_three_orders() -> None:
    # 2, 4, 9: mean 5, squared distances 9 + 1 + 16 = 26, over n − 1 = 2: 13.
    state = Moments(3, 15, 4 + 16 + 81)
    assert (state.mean, state.variance) == (5.0, 13.0)
    assert Moments(1, 5, 25).variance is None


def test_who_came_twice_is_known_after_merging() -> None:
    monday, tuesday = repeat_of([1, 2, 2]), repeat_of([1, 3])
    both = monday + tuesday
    assert (set(both.once), set(both.twice)) == ({1, 2, 3}, {1, 2})


@given(values=st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=300), q=st.floats(0, 1))
def test_a_quantile_is_within_one_percent(values: list[float], q: float) -> None:
    ordered = sorted(values)
    rank = q * (len(ordered) - 1)
    low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    exact = low + (high - low) * (rank - math.floor(rank))
    answer = Quantiles.of(values).quantile(q)
    assert answer is not None
    assert abs(answer - exact) <= ACCURACY * exact * (1 + 1e-9)


def test_quantiles_know_zero_and_negative_values() -> None:
    state = Quantiles.of([-100.0, 0.0, 100.0])
    assert state.quantile(0.5) == 0.0
    assert state.quantile(0.0) == pytest.approx(-100, rel=ACCURACY)
    assert Quantiles().quantile(0.5) is None
