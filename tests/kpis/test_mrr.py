"""Monthly recurring revenue by hand (S18)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from analytics.models import Tenant
from kpis.mrr import MrrMonth, mrr_read
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 4, 15, tzinfo=UTC)


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, 12, tzinfo=UTC)


def subscription(story: Story, what: str, at: datetime, who: str, amount: int = 0, **properties: Any) -> None:
    columns = {"amount": amount} if what != "cancelled" else {}
    story.add(f"subscription_{what}", at, who, object_id=properties.pop("of", "main"), properties=properties, **columns)


def test_every_movement_of_four_months(acme: Tenant, globex: Tenant) -> None:
    """Amounts a month:

    person            January   February   March   April (open)
    Ann (10, then 15)    10        15        15        15
    Bob (120 a year)     10        10         0        20      cancels, comes back
    Cyd                   -        30        20        20
    Dan (13 a week)       -         -       56.33     56.33    13 × 52 / 12
    Eve                   comes and goes within March
    Fay (second plan)     5         5         5+2       7
    """
    neighbour = Story(globex, currency="NPR")
    subscription(neighbour, "started", day(1, 5), "ann", 999_999)
    neighbour.count(NOW)
    story = Story(acme)
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
    story.count(NOW)

    found = mrr_read(tenant_id=acme.pk, start=day(1, 15), months=6, now=NOW)

    dan = Decimal(13) * 52 / 12
    rows: list[tuple[Decimal | int, ...]] = [
        # opening, new, expansion, reactivation, contraction, churn, closing, customers, churned, complete
        (0, 25, 0, 0, 0, 0, 25, 3, 0, True),
        (25, 30, 5, 0, 0, 0, 60, 4, 0, True),
        (60, dan, 2, 0, 10, 10, 42 + dan, 4, 1, True),
        (42 + dan, 0, 0, 20, 0, 0, 62 + dan, 5, 0, False),
    ]
    assert [_values(month) for month in found] == [tuple(round(Decimal(value), 10) for value in row) for row in rows]
    for month in found:
        gained = month.new + month.expansion + month.reactivation
        assert round(month.opening + gained - month.contraction - month.churn - month.closing, 10) == 0


def _values(month: MrrMonth) -> tuple[Decimal, ...]:
    values = (
        month.opening, month.new, month.expansion, month.reactivation, month.contraction, month.churn, month.closing,
        month.customers, month.churned, month.is_complete,
    )  # fmt: skip
    return tuple(round(Decimal(value), 10) for value in values)
