"""Attribution by hand: four people, eight touches, four sales, a refund in two parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from kpis.attribution import MODELS, Attribution, AttributionAnswer, attribution_people, attribution_read
from kpis.attribution.channels import DEFAULT_RULES, ChannelRule, Touchpoint, channel_of
from kpis.attribution.money import apportion, split
from kpis.series.question import QuestionError
from tests.lake_tables import lake_store

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
PROPERTIES = ("utm_medium", "$referring_domain")


def hit(person: int, day: float, source: str | None = None, medium: str | None = None) -> dict[str, Any]:
    return {
        "name": "$pageview", "person_id": person, "ts": START + day * DAY, "channel": source,
        "properties": {"utm_medium": medium},
    }  # fmt: skip


def sale(
    person: int, day: float, cents: int, order: str | None = None, name: str = "order_completed"
) -> dict[str, Any]:
    return {"name": name, "person_id": person, "ts": START + day * DAY, "amount_base": cents, "object_id": order}


# ann: google cpc → newsletter → direct → sale of 10.00       (7 days, 1 day and 0 days before)
# bob: newsletter → google cpc → sale of 10.01
# cyd: direct → sale of 5.00;   dan: sale of 3.00 out of the blue
# eve: google cpc, and nothing came of it
STORY = [
    hit(1, 0, "google", "cpc"), hit(1, 6, "news", "email"), hit(1, 7), sale(1, 7, 1000, "o1"),
    hit(2, 1, "news", "email"), hit(2, 2, "google", "cpc"), sale(2, 3, 1001, "o2"),
    hit(3, 4), sale(3, 4.1, 500, "o3"),
    sale(4, 5, 300, "o4"),
    hit(5, 5, "google", "cpc"),
]  # fmt: skip


def asked(rows: list[dict[str, Any]], **more: Any) -> AttributionAnswer:
    known = {name: more.pop(name) for name in ("costs", "known_before") if name in more}
    question = Attribution(**{"start": START, "end": START + 10 * DAY, **more})
    store = lake_store(rows, properties=PROPERTIES, data_through=START + 30 * DAY)
    return attribution_read(store, question, timezone="UTC", currency="EUR", now=START + 30 * DAY, **known)


def revenue(answer: AttributionAnswer) -> dict[str, dict[str, int]]:
    return {table.model: {credit.key: credit.revenue for credit in table.credits} for table in answer.models}


def test_the_models_by_hand() -> None:
    """decay of ann: 2^-1, 2^(-1/7), 1 → 0.5 : 0.90572 : 1 of 2.40572 → 207.84, 376.49, 415.68 cents; one unit is left
    over after 207 + 376 + 415 = 998: two go, to .84 and .68. bob: newsletter is a day older: 2^(-1/7)=0.90572 of
    1.90572 → 475.74, 525.26 cents → 476, 525. position of ann 400, 200, 400; bob 500.5 each: a tie goes to the
    earlier.
    Last non-direct of ann is the newsletter; cyd has nothing but direct."""
    found = revenue(asked(STORY))

    assert found["first"] == {"paid_search": 1000, "email": 1001, "direct": 500, "__none__": 300}
    assert found["last"] == {"paid_search": 1001, "email": 0, "direct": 1500, "__none__": 300}
    assert found["last_non_direct"] == {"paid_search": 1001, "email": 1000, "direct": 500, "__none__": 300}
    assert found["last_paid"] == {"paid_search": 2001, "email": 0, "direct": 500, "__none__": 300}
    assert found["linear"] == {"paid_search": 334 + 500, "email": 333 + 501, "direct": 333 + 500, "__none__": 300}
    assert found["time_decay"] == {"paid_search": 208 + 525, "email": 376 + 476, "direct": 416 + 500, "__none__": 300}
    assert found["position"] == {"paid_search": 400 + 500, "email": 200 + 501, "direct": 400 + 500, "__none__": 300}


def test_markov_by_hand() -> None:
    """Paths: P→E→D→sale, E→P→sale, D→sale, P→nothing (P paid search, E email, D direct).

    From P: to E 1/3, sale 1/3, nothing 1/3. From E: to D 1/2, to P 1/2. From D: sale 1. Begins: P 2/4, E 1/4, D 1/4.
    p(P) = 1/3 p(E) + 1/3; p(E) = 1/2 + 1/2 p(P) → p(P) = 3/5, p(E) = 4/5; whole = 0.3 + 0.2 + 0.25 = 0.75.
    Without P: p(E) = 1/2 → 0.125 + 0.25 = 0.375, effect 0.5. Without E: p(P) = 1/3 → 1/6 + 1/4 = 5/12, effect 4/9.
    Without D: p(E) = p(P)/2, p(P) = p(E)/3 + 1/3 → p(P) = 2/5, p(E) = 1/5 → 0.2 + 0.05 = 0.25, effect 2/3.
    Shares 9 : 8 : 12 of 29. Of 2501 cents: 776.17, 689.93, 1034.90 → 776, 690, 1035.
    """
    assert revenue(asked(STORY, models=("markov",)))["markov"] == {
        "paid_search": 776, "email": 690, "direct": 1035, "__none__": 300,
    }  # fmt: skip


def test_shapley_shares_each_sale_among_its_different_channels() -> None:
    """Ann came twice by search: three channels still, 333.33 each; the unit left goes to the one that came first."""
    rows = [hit(1, 2, "google", "cpc"), *STORY]
    found = revenue(asked(rows, models=("shapley", "linear")))
    assert found["shapley"] == {"paid_search": 334 + 500, "email": 333 + 501, "direct": 333 + 500, "__none__": 300}
    assert found["linear"]["paid_search"] == 500 + 500


def test_parts_of_a_refund_take_back_what_the_sale_gave_to_the_cent() -> None:
    """1001 cents refunded as 334 and 667: every key of bob's sale is back to nothing, by every model of one sale."""
    rows = [*STORY, sale(2, 8, -334, "o2", "order_refunded"), sale(2, 9, 667, "o2", "order_refunded")]
    without = revenue(asked([row for row in STORY if row["person_id"] != 2]))
    found = asked(rows)
    for model in MODELS:
        if model != "markov":
            assert {k: v for k, v in revenue(found)[model].items() if v} == {
                k: v for k, v in without[model].items() if v
            }
    assert (found.gross, found.refunded, found.revenue) == (2801, 1001, 1800)


def test_a_refund_reverses_a_sale_of_an_earlier_range_on_its_own_day() -> None:
    rows = [*STORY, sale(1, 12, 500, "o1", "order_refunded")]
    later = {"start": START + 10 * DAY, "end": START + 20 * DAY}
    found = asked(rows, **later)
    assert revenue(found)["position"] == {"paid_search": -200, "email": -100, "direct": -200}
    assert (found.conversions, found.gross, found.revenue) == (0, 0, -500)
    assert asked(rows).revenue == 2801
    assert asked(rows, refunds="restated").revenue == 2301
    assert asked(rows, **later, refunds="restated").revenue == 0


def test_a_refund_without_an_order_goes_to_the_persons_latest_sale_and_else_to_nobody() -> None:
    rows = [*STORY, sale(3, 6, 200, None, "order_refunded"), sale(9, 6, 100, "unknown", "order_refunded")]
    found = asked(rows)
    assert revenue(found)["first"]["direct"] == 300
    assert (found.revenue, found.unmatched_refunds) == (2601, 100)


def who(model: str, key: str, rows: list[dict[str, Any]] = STORY) -> list[int]:
    question = Attribution(start=START, end=START + 10 * DAY, models=(model,))
    store = lake_store(rows, properties=PROPERTIES, data_through=START + 30 * DAY)
    return list(attribution_people(store, question, model=model, key=key))


def test_who_is_behind_a_credit() -> None:
    """Ann and bob came by search and newsletter; a sale that models share is of all keys on its path."""
    assert who("last", "paid_search") == [2]
    assert who("first", "paid_search") == [1]
    assert who("last_non_direct", "email") == [1]
    assert who("last", "direct") == [1, 3]
    for model in ("linear", "time_decay", "position", "shapley", "markov"):
        assert who(model, "paid_search") == who(model, "email") == [1, 2], model
        assert who(model, "direct") == [1, 3], model
        assert who(model, "__none__") == [4]
    assert who("last", "direct", [*STORY, sale(1, 8, 200, "o1", "order_refunded")]) == [1, 3], "also when given back"
    with pytest.raises(QuestionError, match="no touch"):
        who("last", "zork")
    with pytest.raises(QuestionError, match="no touch"):
        who("markov", "email", [sale(1, 1, 100)])


@pytest.mark.parametrize("touch", ["session", "hit"])
def test_credits_sum_to_the_revenue_to_the_cent_whatever_happens(touch: str) -> None:
    dice = np.random.default_rng(7)
    rows: list[dict[str, Any]] = []
    for person in range(1, 60):
        for _ in range(dice.integers(0, 12)):
            source = dice.choice(np.array(["google", "facebook", "news", "partner", ""]))
            medium = dice.choice(np.array(["cpc", "email", ""]))
            rows.append(hit(person, float(dice.uniform(-20, 12)), str(source) or None, str(medium) or None))
        for number in range(dice.integers(0, 4)):
            day, order = float(dice.uniform(-5, 12)), f"{person}-{number}"
            rows.append(sale(person, day, int(dice.integers(0, 100_000)), order))
            if dice.random() < 0.4:
                rows.append(sale(person, day + 1, int(dice.integers(1, 5000)), order, "order_refunded"))
    for by in ("channel", "source"):
        found = asked(rows, touch=touch, by=by, limit=3)
        assert found.conversions > 20
        for table in found.models:
            assert sum(credit.revenue for credit in table.credits) == found.revenue, table.model
            assert abs(sum(credit.conversions for credit in table.credits) - found.conversions) < 1e-6


def test_what_things_cost() -> None:
    """Search cost 6.00. Last touch: one sale of 10.01 and Bob is new: CAC 6.00, ROAS 1.6683. Had he bought before,
    there is no new customer to pay for. What was spent on a channel without a touch is shown with its cost."""
    found = asked(STORY, models=("last",), costs={"paid_search": 600, "radio": 50})
    search, radio = (next(c for c in found.models[0].credits if c.key == key) for key in ("paid_search", "radio"))
    assert (search.cac, search.cost_per_conversion, str(search.roas)[:6]) == (600, 600, "1.6683")
    assert (radio.cost, radio.cac, radio.roas) == (50, None, 0)
    again = asked(STORY, models=("last",), costs={"paid_search": 600}, known_before=np.array([2]))
    assert next(c for c in again.models[0].credits if c.key == "paid_search").cac is None
    assert (found.new_customers, again.new_customers) == (4, 3)


def test_only_the_first_event_of_a_visit_is_a_touch() -> None:
    """29 minutes later is the same visit, 30 minutes of silence end it."""
    minute = 1 / 1440
    rows = [
        hit(1, 0, "google", "cpc"),
        hit(1, 29 * minute, "news", "email"),
        hit(1, 59 * minute, "fb"),
        sale(1, 1, 100),
    ]
    assert revenue(asked(rows, models=("last",)))["last"] == {"social": 100, "paid_search": 0}
    hits = revenue(asked(rows, models=("linear",), touch="hit"))["linear"]
    assert hits == {"email": 33, "paid_search": 34, "social": 33}


def test_a_touch_counts_at_the_very_moment_of_the_sale_and_at_the_edge_of_the_lookback() -> None:
    rows = [hit(1, 0, "google", "cpc"), hit(1, 5, "news", "email"), sale(1, 5, 100)]
    assert revenue(asked(rows, models=("first",), lookback=5 * DAY))["first"] == {"paid_search": 100, "email": 0}
    short = asked(rows, models=("first",), lookback=5 * DAY - timedelta(microseconds=1))
    assert revenue(short)["first"] == {"email": 100, "paid_search": 0}


def test_rules_decide_in_their_order_and_a_tenants_own_come_instead() -> None:
    def named(*parts: str) -> str:
        return channel_of(Touchpoint(*parts), DEFAULT_RULES)[0]

    assert named("google", "cpc") == "paid_search"
    assert named("Google") == "search"
    assert named("", "", "", "www.google.com") == "search"
    assert named("", "", "", "l.facebook.com") == "social"
    assert named("", "", "", "blog.example.org") == "referral"
    assert named("", "", "", "$direct") == "direct"
    assert named("", "", "spring-sale") == "campaign"
    assert named() == "direct"
    assert named("partner") == "other"
    own = (ChannelRule("radio", campaign="radio-*", is_paid=True),)
    assert channel_of(Touchpoint("x", "y", "radio-7"), own) == ("radio", True)
    assert channel_of(Touchpoint(), own) == ("direct", False)


def test_money_is_split_to_the_last_unit() -> None:
    """100 by thirds: 34, 33, 33. 1 cent by 40/20/40: the first of the two largest. Huge amounts keep their sum."""
    weights = np.array([1 / 3, 1 / 3, 1 / 3, 0.4, 0.2, 0.4, 0.5, 0.5])
    starts, counts = np.array([0, 3, 6]), np.array([3, 3, 2])
    huge = 9_007_199_254_740_993
    found = split(np.array([100, 1, huge]), weights, starts, counts)
    assert found[:6].tolist() == [34, 33, 33, 1, 0, 0]
    assert int(found[6]) + int(found[7]) == huge
    assert apportion(-100, np.array([1.0, 1.0, 1.0])).tolist() == [-34, -33, -33]


@pytest.mark.parametrize(
    "wrong",
    [
        {"end": START}, {"models": ("best",)}, {"models": ()}, {"lookback": timedelta(0)}, {"limit": 0},
        {"half_life": timedelta(0)}, {"by": "colour"}, {"include": ("aliens",)}, {"end": START + 4000 * DAY},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QuestionError):
        Attribution(**{"start": START, "end": START + 10 * DAY, **wrong})
