"""What moved a number: hand-worked cases, the sum of the terms for any numbers, and the answer over real buckets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.models import Tenant
from kpis.contributions import OVERLAP, Pair, Term, difference_terms, ratio_terms, rounded, with_overlap
from tests.api import caller, problem
from tests.kpis.story import Story

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def pairs(**found: tuple[int, int]) -> dict[str, Pair]:
    return {key: (Fraction(over), Fraction(under)) for key, (over, under) in found.items()}


# --- Arithmetic -------------------------------------------------------------------------------------------------------


def test_sums_contribute_their_differences() -> None:
    found = difference_terms({"fr": Fraction(10), "de": Fraction(5)}, {"fr": Fraction(8), "np": Fraction(4)})

    assert found == [Term("fr", Fraction(-2)), Term("np", Fraction(4)), Term("de", Fraction(-5))]


def test_mix_and_rate_of_two_values() -> None:
    """Before: A 10 of 100, B 40 of 100 (together 0.25). After: A 30 of 150, B 20 of 50 (together 0.25 again).
    A got better (0.1 → 0.2, at a mean weight of 0.625: +0.0625) and there is more of it (0.5 → 0.75, seen from the
    mean of 0.25 its 0.15 is 0.1 too little: -0.025). B kept its 0.4 and there is less of it: -0.25 × 0.15 = -0.0375.
    Together nothing moved.
    """
    found = ratio_terms(pairs(a=(10, 100), b=(40, 100)), pairs(a=(30, 150), b=(20, 50)))

    assert found == [
        Term("a", Fraction(3, 80), mix=Fraction(-1, 40), rate=Fraction(1, 16)),
        Term("b", Fraction(-3, 80), mix=Fraction(-3, 80), rate=Fraction(0)),
    ]
    assert sum(term.contribution for term in found) == 0


def test_only_better_rates_are_all_rate_and_only_another_mix_is_all_mix() -> None:
    """Weights as before and each rate up by 0.1; then rates as before and all of the worse value gone."""
    better = ratio_terms(pairs(a=(10, 100), b=(40, 100)), pairs(a=(20, 100), b=(50, 100)))
    shifted = ratio_terms(pairs(a=(10, 100), b=(40, 100)), pairs(b=(40, 100)))

    assert [(term.mix, term.rate) for term in better] == [(0, Fraction(1, 20))] * 2
    assert {term.key: (term.mix, term.rate) for term in shifted} == {
        "a": (Fraction(9, 80), 0), "b": (Fraction(3, 80), 0),
    }  # fmt: skip
    assert sum(term.contribution for term in shifted) == Fraction(3, 20)


def test_a_numerator_without_a_denominator_stands_for_itself() -> None:
    """Refunds in a country that sold nothing: 5 of 100 more."""
    found = ratio_terms(pairs(fr=(10, 100)), pairs(fr=(10, 100), de=(5, 0)))

    assert [(term.key, term.contribution) for term in found] == [("fr", 0), ("de", Fraction(1, 20))]


def test_nothing_to_divide_by_has_no_terms() -> None:
    with pytest.raises(ZeroDivisionError):
        ratio_terms(pairs(a=(1, 0)), pairs(a=(1, 1)))


def test_what_counts_once_is_taken_off_as_an_overlap() -> None:
    """Two countries with 3 and 2 people who are 4 in all."""
    found = with_overlap(pairs(fr=(6, 3), de=(2, 2)), (Fraction(8), Fraction(4)))

    assert found == pairs(fr=(6, 3), de=(2, 2), **{OVERLAP: (0, -1)})


def test_rounding_gives_the_rest_to_those_cut_most() -> None:
    """Three thirds of one."""
    assert rounded([Fraction(1, 3)] * 3, 2) == [Decimal("0.34"), Decimal("0.33"), Decimal("0.33")]
    assert rounded([Fraction(-1, 3), Fraction(4, 3)], 0) == [0, 1]


numbers = st.integers(-(10**12), 10**12)
sides = st.dictionaries(st.sampled_from("abcdef"), st.tuples(numbers, st.integers(0, 10**12)), min_size=1)


@given(before=sides, after=sides)
def test_the_terms_of_a_ratio_always_add_up_to_its_change(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]
) -> None:
    early, late = pairs(**before), pairs(**after)
    under = [sum((pair[1] for pair in side.values()), Fraction(0)) for side in (early, late)]
    if not all(under):
        return
    over = [sum((pair[0] for pair in side.values()), Fraction(0)) for side in (early, late)]
    terms = ratio_terms(early, late)

    change = over[1] / under[1] - over[0] / under[0]
    assert sum((term.contribution for term in terms), Fraction(0)) == change
    assert all(term.mix is not None and term.rate is not None for term in terms)
    assert all(term.mix + term.rate == term.contribution for term in terms)  # type: ignore[operator]
    assert sum(rounded([term.contribution for term in terms]), Decimal(0)) == rounded([change])[0]


@given(st.lists(st.fractions(-(10**15), 10**15), max_size=20), st.integers(0, 10))
def test_rounded_terms_always_add_up_and_are_never_off_by_a_unit(values: list[Fraction], places: int) -> None:
    found = rounded(values, places)

    assert sum(found, Decimal(0)).scaleb(places) == round(sum(values, Fraction(0)) * 10**places)
    unit = Fraction(1, 10**places)
    assert all(abs(Fraction(term) - value) <= unit for term, value in zip(found, values, strict=True))


# --- Over buckets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_days(acme: Tenant, globex: Tenant) -> Tenant:
    """Monday: France 20.00 in two orders by Ann and Bob, Germany 30.00 in one by Cyd. Tuesday: France 60.00 in three by
    Ann (twice) and Dan, Nepal 10.00 in one by Ann.
    """
    for tenant in (acme, globex):
        story = Story(tenant)
        for day, country, who, amount in (
            (0, "FR", "ann", 500), (0, "FR", "bob", 1500), (0, "DE", "cyd", 3000),
            (1, "FR", "ann", 2000), (1, "FR", "ann", 1000), (1, "FR", "dan", 3000), (1, "NP", "ann", 1000),
        ):  # fmt: skip
            times = 10 if tenant == globex else 1
            at = MONDAY + day * DAY + 9 * HOUR
            story.add("order_completed", at, who, amount=amount * times, country=country)
        story.count(MONDAY + 3 * DAY)
    return acme


def moved(tenant: Tenant, metric: str, **asked: Any) -> Any:
    question = {"from_": "2026-03-03", "to": "2026-03-04", "by": "country", **asked}
    answer = caller(tenant).get(f"kpis/{metric}/contributions/", **question)
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.mark.django_db
def test_a_sum_is_taken_apart(two_days: Tenant) -> None:
    body = moved(two_days, "revenue.gross")

    assert (body["total"], body["before"]["total"], body["change"], body["overlap"]) == ("70.00", "50.00", "20", "0")
    assert [(item["key"], item["before"], item["value"], item["contribution"]) for item in body["items"]] == [
        ("FR", "20.00", "60.00", "40"), ("DE", "30.00", "0.00", "-30"), ("NP", "0.00", "10.00", "10"),
    ]  # fmt: skip
    assert [item["share"] for item in body["items"]] == [2.0, -1.5, 0.5]


@pytest.mark.django_db
def test_a_ratio_is_taken_apart_into_mix_and_rate(two_days: Tenant) -> None:
    """Average order: 50/3 → 70/4. France 10 → 20 at weights 2/3 → 3/4: rate 10 × 17/24; Germany and Nepal are mix."""
    body = moved(two_days, "revenue.aov")

    assert body["method"] == "ratio"
    assert "Kitagawa" in body["source"]
    items = {item["key"]: item for item in body["items"]}
    mean = (Fraction(50, 3) + Fraction(70, 4)) / 2
    expected = {
        "FR": (Fraction(1, 12) * (15 - mean), 10 * Fraction(17, 24)),
        "DE": (Fraction(-1, 3) * (30 - mean), Fraction(0)),
        "NP": (Fraction(1, 4) * (10 - mean), Fraction(0)),
    }
    for key, (mix, rate) in expected.items():
        assert float(items[key]["mix"]) == pytest.approx(float(mix), abs=1e-9)
        assert float(items[key]["rate"]) == pytest.approx(float(rate), abs=1e-9)
    total = sum(Decimal(item["contribution"]) for item in body["items"]) + Decimal(body["overlap"])
    assert total == Decimal(body["change"]) == Decimal("0.8333333333")


@pytest.mark.django_db
def test_people_come_go_and_stay_and_who_is_under_several_values_is_said(two_days: Tenant) -> None:
    """Three people became two: France Ann and Bob → Ann and Dan, Germany lost Cyd, Nepal has Ann, who is in France."""
    body = moved(two_days, "users.paying")

    assert (body["before"]["total"], body["total"], body["change"], body["overlap"]) == (3, 2, -1.0, -1.0)
    found = {item["key"]: (item["contribution"], item["new"], item["lost"], item["stayed"]) for item in body["items"]}
    assert found == {"FR": (0.0, 1, 1, 1), "DE": (-1.0, 0, 1, 0), "NP": (1.0, 1, 0, 0)}


@pytest.mark.django_db
def test_a_ratio_of_people_shows_its_overlap(two_days: Tenant) -> None:
    body = moved(two_days, "revenue.arppu")

    total = sum(Decimal(item["contribution"]) for item in body["items"]) + Decimal(body["overlap"])
    assert total == Decimal(body["change"])
    assert Decimal(body["overlap"]) != 0


@pytest.mark.django_db
def test_the_rest_is_one_and_nothing_gets_lost(two_days: Tenant) -> None:
    body = moved(two_days, "revenue.gross", limit=1)

    assert [(item["key"], item["contribution"]) for item in body["items"]] == [("FR", "40"), ("__other__", "-20")]


@pytest.mark.django_db
def test_a_mean_of_sessions_is_a_ratio(two_days: Tenant) -> None:
    body = moved(two_days, "sessions.mean_duration", by="platform")

    assert body["method"] == "ratio"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("metric", "asked", "field"),
    [
        ("users.mau", {}, "metric"),
        ("revenue.gross", {"by": ""}, "by"),
        ("revenue.gross", {"by": "mood"}, "by"),
        ("revenue.aov", {"from_": "2020-01-01", "to": "2020-02-01"}, "period"),
    ],
)
def test_what_cannot_be_taken_apart_says_so(two_days: Tenant, metric: str, asked: dict[str, str], field: str) -> None:
    question = {"from_": "2026-03-03", "to": "2026-03-04", "by": "country", **asked}
    answer = caller(two_days).get(f"kpis/{metric}/contributions/", **question)

    assert (answer.status_code, problem(answer)["errors"][0]["field"]) == (400, field)
