"""RFM by hand: edges, scores, ties, the table of segments, migration; and the orders of 995 customers."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from insights.customers.rfm import (
    SEGMENTS,
    Rule,
    Segment,
    equal_edges,
    migration,
    quantile_edges,
    score,
    scored,
    segments_of,
)


def test_quantile_edges_lie_one_above_the_quantiles_between_the_values() -> None:
    """0 … 10: the fifths are at 2, 4, 6 and 8. With 1, 2, 3, 4 the median lies halfway, at 2.5."""
    assert quantile_edges(np.arange(11.0)) == (3.0, 5.0, 7.0, 9.0)
    assert quantile_edges(np.array([1.0, 2.0, 3.0, 4.0]), bins=2) == (3.5,)


def test_a_value_at_an_edge_scores_the_higher() -> None:
    assert score(np.array([0.0, 2.9, 3.0, 8.9, 9.0, 100.0]), (3.0, 5.0, 7.0, 9.0)).tolist() == [1, 1, 2, 4, 5, 5]


def test_equal_fifths_never_part_equal_values() -> None:
    """Ten values, six of them 1: the cuts at 2, 4, 6 and 8 of 10 fall at 1|2 or nowhere else they could."""
    values = np.array([1.0] * 6 + [2.0, 3.0, 4.0, 5.0])
    edges = equal_edges(values)
    found = score(values, edges).tolist()
    assert len(set(found[:6])) == 1
    assert found == sorted(found)
    assert equal_edges(np.arange(1.0, 11.0)) == (3.0, 5.0, 7.0, 9.0)


def test_few_days_score_high_and_a_small_group_has_fixed_edges() -> None:
    """Three customers, mean order 600 / 12 = 50: edges of money at 50, 100, 200 and 400."""
    found = scored(
        recency_days=np.array([10.0, 100.0, 400.0]),
        orders=np.array([9.0, 2.0, 1.0]),
        money=np.array([500.0, 60.0, 40.0]),
    )
    assert found.rule is Rule.FIXED
    assert found.code.tolist() == [545, 322, 111]
    names = [SEGMENTS[place].name for place in segments_of(found)]
    assert names == ["Champions", "Potential loyalists", "Lost"]


def test_the_first_segment_of_the_table_that_fits_wins() -> None:
    found = scored(recency_days=np.array([10.0]), orders=np.array([9.0]), money=np.array([500.0]))
    table = (Segment("Anyone", (1, 5), (1, 5), (1, 5)), *SEGMENTS)
    assert segments_of(found, table).tolist() == [0]
    assert segments_of(found, (Segment("Nobody", (1, 1), (1, 1), (1, 1)),)).tolist() == [-1]


def test_a_segment_whose_range_is_turned_round_is_refused() -> None:
    with pytest.raises(ValueError, match="recency runs from a lower to a higher score, not 4 to 2"):
        Segment("Odd", (4, 2), (1, 5), (1, 5))


def test_migration_adds_up_to_both_snapshots() -> None:
    assert migration({1: "Champions", 2: "Lost", 3: "Lost"}, {1: "At risk", 2: "Lost", 4: "New customers"}) == {
        ("Champions", "At risk"): 1,
        ("Lost", "Lost"): 1,
        ("Lost", ""): 1,
        ("", "New customers"): 1,
    }


def test_nobody_scores_nothing() -> None:
    empty = np.empty(0)
    assert scored(recency_days=empty, orders=empty, money=empty).code.tolist() == []


def test_the_orders_of_995_customers_score_as_worked_out_one_by_one(shared_dir: Path) -> None:
    """Each score counted in plain Python: one more than the number of edges that are not above the value."""
    file = shared_dir / "data" / "rfm_orders" / "rfm_data_orders.csv.gz"
    if not file.exists():
        pytest.skip(f"{file} is absent: name its folder with BELLWETHER_SHARED")
    orders: dict[str, list[tuple[date, float]]] = {}
    with gzip.open(file, "rt", encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            day = date.fromisoformat(row["order_date"])
            orders.setdefault(row["customer_id"], []).append((day, float(row["revenue"])))
    end = date(2006, 12, 31)
    recency = [float((end - max(day for day, _ in found)).days) for found in orders.values()]
    counts = [float(len(found)) for found in orders.values()]
    money = [sum(value for _, value in found) for found in orders.values()]
    found = scored(recency_days=np.array(recency), orders=np.array(counts), money=np.array(money))

    def by_hand(values: list[float], reverse: bool = False) -> list[int]:
        ordered = sorted(values)
        edges = []
        for part in (1, 2, 3, 4):
            place = (len(ordered) - 1) * part / 5
            low = int(place)
            edges.append(ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) + 1)
        scores = [1 + sum(value >= edge for edge in edges) for value in values]
        return [6 - each for each in scores] if reverse else scores

    assert (len(orders), sum(counts)) == (995, 4906)
    assert found.recency.tolist() == by_hand(recency, reverse=True)
    assert found.frequency.tolist() == by_hand(counts)
    assert found.monetary.tolist() == by_hand(money)
    places = Counter(int(place) for place in segments_of(found))
    assert sum(places.values()) == 995
