"""Recurring revenue of four months by hand (S18, S19): every movement, and that they close."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from analytics.models import Tenant
from kpis.base import Condition, metrics
from kpis.contracts import Series
from kpis.series import QuestionError, metric_series, metrics_series
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 4, 15, tzinfo=UTC)
NAMES = [metric.id for metric in metrics if metric.family == "mrr"]


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, 12, tzinfo=UTC)


def subscription(story: Story, what: str, at: datetime, who: str, amount: int = 0, **properties: Any) -> None:
    columns = {"amount": amount} if what != "cancelled" else {}
    columns |= {name: properties.pop(name) for name in ("currency", "amount_base") if name in properties}
    story.add(f"subscription_{what}", at, who, object_id=properties.pop("of", "main"), properties=properties, **columns)


def tell(story: Story) -> None:
    """Amounts a month:

    person            January   February   March   April (open)
    Ann (10, then 15)    10        15        15        15
    Bob (120 a year)     10        10         0        20      cancels, comes back
    Cyd                   -        30        20        20
    Dan (13 a week)       -         -       56.33     56.33    13 × 52 / 12
    Eve                   comes and goes within March
    Fay (second plan)     5         5         5+2       7
    Gil (10 dollars)      9         9        9.50      9.50    renewed at another rate
    """
    subscription(story, "started", day(1, 5), "ann", 1000)
    subscription(story, "changed", day(2, 7), "ann", 1500)
    subscription(story, "renewed", day(3, 5), "ann", 1500)
    subscription(story, "started", day(1, 9), "bob", 12_000, interval="year")
    subscription(story, "cancelled", day(3, 2), "bob")
    subscription(story, "started", day(4, 3), "bob", 2000)
    subscription(story, "started", day(2, 1), "cyd", 6000, interval="month", interval_count=2)
    subscription(story, "changed", day(3, 20), "cyd", 2000)
    subscription(story, "started", day(3, 10), "dan", 1300, interval="week")
    subscription(story, "started", day(3, 10), "eve", 5000)
    subscription(story, "cancelled", day(3, 30), "eve")
    subscription(story, "started", day(1, 20), "fay", 500)
    subscription(story, "started", day(3, 20), "fay", 200, of="second")
    subscription(story, "started", day(1, 20), "gil", 1000, currency="USD", amount_base=900)
    subscription(story, "renewed", day(3, 21), "gil", 1000, currency="USD", amount_base=950)


DAN = Decimal(13) * 52 / 12
EXPECTED: dict[str, tuple[Decimal | float | str | None, ...]] = {
    "mrr.opening": (0, 34, 69, 51.5 + float(DAN)),
    "mrr.new": (34, 30, DAN, 0),
    "mrr.expansion": (0, 5, 2, 0),
    "mrr.reactivation": (0, 0, 0, 20),
    "mrr.contraction": (0, 0, 10, 0),
    "mrr.churn": (0, 0, 10, 0),
    "mrr.fx": (0, 0, "0.5", 0),
    "mrr.closing": (34, 69, 51.5 + float(DAN), 71.5 + float(DAN)),
    "mrr.customers": (4, 5, 5, 6),
    "mrr.opening_customers": (0, 4, 5, 5),
    "mrr.churned_customers": (0, 0, 1, 0),
    "mrr.arr": (408, 828, 12 * (51.5 + float(DAN)), 12 * (71.5 + float(DAN))),
    "mrr.arpa": (8.5, 13.8, (51.5 + float(DAN)) / 5, (71.5 + float(DAN)) / 6),
    "mrr.quick_ratio": (None, None, (float(DAN) + 2) / 20, None),
    "mrr.logo_churn": (None, 0, 0.2, 0),
    "mrr.gross_churn": (None, 0, 20 / 69, 0),
    "mrr.nrr": (None, 39 / 34, 51 / 69, 1),
    "mrr.grr": (None, 1, 49 / 69, 1),
}


@pytest.fixture
def story(acme: Tenant, globex: Tenant) -> Story:
    neighbour = Story(globex, currency="NPR")
    subscription(neighbour, "started", day(1, 5), "ann", 999_999)
    neighbour.count(NOW)
    story = Story(acme)
    tell(story)
    story.count(NOW)
    return story


def read(story: Story, grain: str = "month", months: tuple[int, int] = (1, 5)) -> dict[str, Series]:
    start, end = (datetime(2026, month, 1, tzinfo=UTC) - timedelta(hours=1) for month in months)
    if months[1] > 3:
        end -= timedelta(hours=1)  # summer in Paris
    found = metrics_series(tenant_id=story.tenant.pk, metrics=NAMES, start=start, end=end, grain=grain, now=NOW)
    return {series.metric: series for series in found}


def test_every_number_of_four_months(story: Story) -> None:
    found = read(story)
    assert set(found) == set(EXPECTED)
    for name, expected in EXPECTED.items():
        values = [point.value for point in found[name].points]
        wanted = [None if value is None else pytest.approx(Decimal(value), abs=Decimal("1e-9")) for value in expected]
        assert values == wanted, name
    assert [point.is_complete for point in found["mrr.closing"].points] == [True, True, True, False]


@pytest.mark.parametrize("grain", ["day", "week", "month", "total"])
def test_opening_and_movements_make_closing_at_every_width(story: Story, grain: str) -> None:
    found = read(story, grain)
    columns = [[series.total, *(point.value for point in series.points)] for series in found.values()]
    for row in zip(*columns, strict=True):
        of = dict(zip(found, row, strict=True))
        if of["mrr.opening"] is None:
            continue
        gained = sum(of[f"mrr.{name}"] or 0 for name in ("new", "expansion", "reactivation", "fx"))
        lost = sum(of[f"mrr.{name}"] or 0 for name in ("contraction", "churn"))
        assert round(of["mrr.opening"] + gained - lost - (of["mrr.closing"] or 0), 12) == 0


def test_the_opening_of_a_period_is_the_closing_of_the_one_before(story: Story) -> None:
    found = read(story, "day")
    closing = [point.value for point in found["mrr.closing"].points]
    opening = [point.value for point in found["mrr.opening"].points]
    known = [pair for pair in zip(opening[1:], closing, strict=False) if None not in pair]
    assert len(known) == 100
    assert all(after == before for after, before in known)


def test_who_comes_and_goes_within_the_period_is_in_no_movement(story: Story) -> None:
    """From January to March as one: Cyd is new at 20, Eve was never there; by the day she is new and lost."""
    found = read(story, "total", months=(1, 4))
    assert found["mrr.new"].total == pytest.approx(Decimal("51.5") + DAN, abs=Decimal("1e-9"))
    assert found["mrr.churn"].total == 0


def test_recurring_revenue_is_neither_split_nor_filtered(story: Story) -> None:
    french = (Condition("country", "eq", "FR"),)
    for question in ({"by": "country"}, {"filters": french}):
        with pytest.raises(QuestionError, match="neither broken down nor filtered"):
            metric_series(
                tenant_id=story.tenant.pk, metric="mrr.nrr", start=day(1, 1), end=day(3, 1), now=NOW, **question
            )
