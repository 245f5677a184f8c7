"""Two ranges of attribution beside each other: by hand, and against leaving each person out one by one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from kpis.attribution import MODELS, Attribution, AttributionAnswer, attribution_read, with_other
from kpis.attribution.versus import CreditChange
from kpis.explore.intervals import Z95, Interval, newcombe, score
from tests.kpis.explore.test_attribution import DAY, PROPERTIES, START, STORY, hit, sale
from tests.lake_tables import lake_store

# Twenty days before: fay, gus and hal by the newsletter, ida directly; 2.00 each.
BEFORE = [
    *(event for person in (11, 12, 13) for event in (hit(person, -20, "news", "email"), sale(person, -19, 200))),
    hit(14, -20), sale(14, -19, 200),
]  # fmt: skip


def read(rows: list[dict[str, Any]], start: Any = START, **more: Any) -> AttributionAnswer:
    question = Attribution(start=start, end=start + 10 * DAY, **more)
    store = lake_store(rows, properties=PROPERTIES, data_through=START + 30 * DAY)
    return attribution_read(store, question, timezone="UTC", currency="EUR", now=START + 30 * DAY, with_samples=True)


def compared(
    model: str, rows: list[dict[str, Any]] | None = None, **more: Any
) -> tuple[AttributionAnswer, dict[str, CreditChange]]:
    events = [*STORY, *BEFORE] if rows is None else rows
    now, before = (read(events, start, models=(model,), **more) for start in (START, START - 20 * DAY))
    found = with_other(now, before)
    assert found.comparison is not None
    return found, {change.key: change for change in found.comparison.models[0].changes}


def test_shares_of_the_last_touch_are_counted_people_so_their_intervals_are_newcombes() -> None:
    """Now: search 1 of 4, direct 2 of 4, nothing 1 of 4. Before: newsletter 3 of 4, direct 1 of 4."""
    found, changes = compared("last")
    assert set(changes) == {"paid_search", "email", "direct", "__none__"}
    for key, hits, hits_before in (("paid_search", 1, 0), ("email", 0, 3), ("direct", 2, 1), ("__none__", 1, 0)):
        change, exact = changes[key], newcombe(hits, 4, hits_before, 4)
        assert (change.share, change.share_before) == (hits / 4, hits_before / 4)
        assert change.difference == (hits - hits_before) / 4
        assert change.interval is not None
        assert exact is not None
        assert (change.interval.low, change.interval.high) == pytest.approx((exact.low, exact.high))
        assert change.is_clear == (exact.low > 0 or exact.high < 0)
    assert found.comparison is not None
    assert (found.comparison.conversions, found.comparison.revenue) == (4, 800)


def test_the_interval_of_revenue_by_hand() -> None:
    """Direct: 10.00 of ann and 5.00 of cyd against 2.00 of ida. 1000² + 500² + 200² = 1,290,000."""
    change = compared("last")[1]["direct"]
    half = Z95 * 1_290_000**0.5
    assert (change.revenue, change.revenue_before, change.revenue_difference) == (1500, 200, 1300)
    assert change.revenue_interval is not None
    assert (change.revenue_interval.low, change.revenue_interval.high) == pytest.approx((1300 - half, 1300 + half))
    assert not change.is_revenue_clear


def test_parts_of_sales_by_hand() -> None:
    """Search by the linear model: a third of ann's sale, half of bob's: 5/24. Without ann 1/6, without bob 1/9, without
    cyd or dan 5/18: the squares of the differences are 1/48 together, 3/4 of which is 1/64. As many trials as vary so
    are 11.6; of four people it stays four."""
    found = read([*STORY, *BEFORE], models=("linear",)).samples["linear"]
    place = found.keys.index("paid_search")
    assert found.share.value[place] == pytest.approx(5 / 24)
    assert found.share.variance[place] == pytest.approx(1 / 64)
    change = compared("linear")[1]["paid_search"]
    mine, theirs = score(5 / 24, 4), score(0.0, 4)
    assert change.interval is not None
    assert change.interval.low == pytest.approx(5 / 24 - ((5 / 24 - mine.low) ** 2 + theirs.high**2) ** 0.5)


@pytest.mark.parametrize("model", MODELS)
def test_samples_are_what_is_left_without_each_person(model: str) -> None:
    """The jackknife by its own words: everything asked again without one, for shares and for revenue."""
    rows = [*STORY, sale(2, 8, -334, "o2", "order_refunded"), hit(6, 1, "x", "social"), hit(6, 2), sale(6, 3, 700)]
    found = read(rows, models=(model,))
    sampled = found.samples[model]
    people = sorted({row["person_id"] for row in rows} - ({5} if model != "markov" else set()))
    shares, money = [], []
    for person in people:
        rest = read([row for row in rows if row["person_id"] != person], models=(model,))
        credits = {credit.key: credit for credit in rest.models[0].credits}
        values = [
            (credits[key].conversions, credits[key].revenue) if key in credits else (0, 0) for key in sampled.keys
        ]
        shares.append([conversions / rest.conversions for conversions, _ in values])
        money.append([revenue for _, revenue in values])
    count = len(people)
    variance = (count - 1) / count * ((np.array(shares) - sampled.share.value) ** 2).sum(axis=0)
    assert sampled.share.variance == pytest.approx(variance, abs=1e-9)
    left = np.array(money) * count / (count - 1)
    spread = ((count - 1) / count) ** 2 * ((left - sampled.revenue.value) ** 2).sum(axis=0)
    # Money is split to the whole cent, and without somebody another key may get the one that is left over.
    assert sampled.revenue.variance == pytest.approx(spread + sampled.revenue.value**2 / count, rel=0.01)
    assert sampled.people == 5


def test_the_largest_clear_difference_is_told_in_words() -> None:
    many = [event for person in range(100, 160) for event in (hit(person, 1, "news", "email"), sale(person, 2, 100))]
    few = [event for person in range(200, 260) for event in (hit(person, -19), sale(person, -18, 100))]
    found, changes = compared("first", [*many, *few])
    assert (
        found.reading.endswith(
            "By “first” the share of the conversions from “email” is +100.0 percentage points against the other period"
            " (+91.5 to +100.0), a clear difference."
        )
        or "“direct” is -100.0" in found.reading
    )
    assert changes["email"].is_clear
    assert changes["email"].is_revenue_clear


def test_nothing_clear_and_nothing_at_all_are_told_too() -> None:
    found, _ = compared("last")
    assert "a clear difference" in found.reading or "no share of the conversions differs" in found.reading
    alone, changes = compared("last", STORY)
    assert alone.reading.endswith("There was no conversion in the other period to compare with.")
    assert changes["direct"].difference is None
    assert changes["direct"].interval is None
    assert changes["direct"].revenue_before == 0


def test_a_key_that_the_other_range_counts_among_all_others_is_not_compared() -> None:
    found, changes = compared("last", limit=1)
    assert "__other__" in changes
    kept = next(key for key in changes if key not in ("__other__", "__none__"))
    assert changes[kept].share is not None
    assert found.comparison is not None


def test_ranges_without_any_touch_are_answered() -> None:
    rows = [sale(1, 1, 100), sale(2, -19, 100)]
    for model in MODELS:
        _, changes = compared(model, rows)
        assert list(changes) == ["__none__"]
        assert changes["__none__"].difference == 0


def test_very_many_people_are_put_into_groups() -> None:
    """5,000 people in 2,000 groups: the interval is within some percent of Newcombe's."""
    rows = [
        event
        for person in range(1, 5001)
        for event in (
            hit(person, 1 + person % 5, "news" if person % 3 else None, "email" if person % 3 else None),
            sale(person, 1.5 + person % 5, 100),
        )
    ]
    few = [{**row, "person_id": row["person_id"] + 10_000, "ts": row["ts"] - timedelta(days=20)} for row in rows[:2000]]
    _, changes = compared("last", [*rows, *few])
    exact = newcombe(1666, 5000, 333, 1000)
    found = changes["direct"].interval
    assert exact is not None
    assert found is not None
    assert found.high - found.low == pytest.approx(exact.high - exact.low, rel=0.06)
    assert isinstance(found, Interval)
