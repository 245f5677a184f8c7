"""Series: what a metric is over a range, by points, values of a dimension, and against the range before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import pytest

from analytics.models import Tenant
from kpis.base import Condition
from kpis.contracts import OTHER, Point
from kpis.series import QuestionError, metric_series
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

# Acme is in Paris (+01:00 in March): its Monday 2 March is [1 March 23:00, 2 March 23:00) UTC.
MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = MONDAY + 7 * DAY


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Tenant:
    """Three days of Acme, with a neighbour whose numbers would be seen if they leaked.

    Monday: Ann orders 20.00 (FR), Bob 5.50 (FR). Tuesday: Ann orders 10.00 (DE), somebody unknown 4.50 (DE).
    Wednesday: nothing but Cyd's page view and a refund of 5.50. Nothing after that.
    """
    neighbour = Story(globex, currency="NPR")
    neighbour.add("order_completed", MONDAY + timedelta(hours=10), "ann", amount=999_999, country="NP")
    neighbour.count(NOW)
    story = Story(acme)
    story.add("order_completed", MONDAY + timedelta(hours=9), "ann", amount=2000, country="FR")
    story.add("order_completed", MONDAY + timedelta(hours=10, minutes=30), "bob", amount=550, country="FR")
    story.add("order_completed", MONDAY + DAY + timedelta(hours=9), "ann", amount=1000, country="DE")
    story.add("order_completed", MONDAY + DAY + timedelta(hours=12), None, amount=450, country="DE")
    story.add("order_refunded", MONDAY + 2 * DAY + timedelta(hours=8), "bob", amount=-550, country="FR")
    story.add(
        "$pageview",
        MONDAY + 2 * DAY + timedelta(hours=11),
        "cyd",
        country="FR",
        properties={"path": "/", "section": "front"},
    )
    story.count(NOW)
    return acme


def values(tenant: Tenant, metric: str, days: int = 3, grain: str = "day") -> tuple[object, list[object]]:
    series = metric_series(
        tenant_id=tenant.pk, metric=metric, start=MONDAY, end=MONDAY + days * DAY, grain=grain, now=NOW
    )
    return series.total, [point.value for point in series.points]


def D(text: str | int) -> Decimal:
    return Decimal(text)


def test_money_adds_up_by_local_day(shop: Tenant) -> None:
    assert values(shop, "revenue.gross") == (D("40.00"), [D("25.50"), D("14.50"), D("0")])
    assert values(shop, "revenue.refunds") == (D("5.50"), [D("0"), D("0"), D("5.50")])
    assert values(shop, "revenue.net") == (D("34.50"), [D("25.50"), D("14.50"), D("-5.50")])


def test_distinct_people_of_a_range_are_never_added(shop: Tenant) -> None:
    assert values(shop, "users.active") == (D(3), [D(2), D(1), D(2)])
    assert values(shop, "users.paying") == (D(2), [D(2), D(1), D(0)])


def test_ratios_are_sums_over_sums_and_null_without_a_denominator(shop: Tenant) -> None:
    assert values(shop, "revenue.aov") == (D(10), [D("12.75"), D("7.25"), None])
    assert values(shop, "revenue.arppu") == (D("17.75"), [D("12.75"), D(10), None])


def test_twice_is_counted_over_the_range_that_is_asked_for(shop: Tenant) -> None:
    assert values(shop, "orders.repeat_rate") == (D("0.5"), [D(0), D(0), None])


def test_a_result_carries_what_it_takes_to_trust_it(shop: Tenant) -> None:
    series = metric_series(
        tenant_id=shop.pk, metric="orders.count", start=MONDAY, end=MONDAY + DAY, grain="day", now=NOW
    )
    assert series.points == (Point(MONDAY, D(2), True),)
    assert (series.timezone, series.currency, series.unit) == ("Europe/Paris", "EUR", "count")
    assert (series.data_through, series.computed_at, series.executor) == (NOW, NOW, "rollup")
    assert series.is_complete
    assert not series.is_partial
    assert series.definition_version.startswith("1.")


def test_points_by_hour_week_and_month(shop: Tenant) -> None:
    hours = metric_series(
        tenant_id=shop.pk, metric="orders.count", start=MONDAY + timedelta(hours=9), end=MONDAY + timedelta(hours=11),
        grain="hour", now=NOW,
    )  # fmt: skip
    assert [point.value for point in hours.points] == [1, 1]
    week = metric_series(tenant_id=shop.pk, metric="orders.count", start=MONDAY, end=NOW, grain="week", now=NOW)
    assert [(point.value, point.is_complete) for point in week.points] == [(4, True)]
    month = metric_series(tenant_id=shop.pk, metric="orders.count", start=MONDAY, end=NOW, grain="month", now=NOW)
    assert [(point.start, point.value, point.is_complete) for point in month.points] == [(MONDAY, 4, False)]


def test_nothing_is_known_before_the_first_event_and_after_now(shop: Tenant) -> None:
    series = metric_series(
        tenant_id=shop.pk, metric="orders.count", start=MONDAY - 2 * DAY, end=MONDAY + 9 * DAY, grain="day", now=NOW
    )
    known = [None, None, 2, 2, 0, 0, 0, 0, 0, None, None]
    assert [point.value for point in series.points] == known
    assert [point.is_complete for point in series.points] == [True] * 9 + [False] * 2
    assert series.total == 4
    assert not series.is_complete


def test_an_imported_history_ends_with_its_last_row(acme: Tenant) -> None:
    """A file that ends on Tuesday at noon knows nothing of Tuesday's afternoon: no zero, no drop."""
    story = Story(acme)
    story.add("order_completed", MONDAY + timedelta(hours=9), "ann", amount=2000, source="import")
    story.add("order_completed", MONDAY + DAY + timedelta(hours=12), "bob", amount=550, source="import")
    story.count(NOW)
    series = metric_series(tenant_id=acme.pk, metric="orders.count", start=MONDAY, end=NOW, grain="day", now=NOW)
    assert [(point.value, point.is_complete) for point in series.points] == [
        (1, True), (1, False), *[(None, False)] * 5,
    ]  # fmt: skip
    assert series.data_through == MONDAY + DAY + timedelta(hours=12)


def test_a_breakdown_adds_up_to_its_total(shop: Tenant) -> None:
    series = metric_series(
        tenant_id=shop.pk,
        metric="revenue.gross",
        start=MONDAY,
        end=MONDAY + 3 * DAY,
        grain="total",
        by="country",
        now=NOW,
    )
    assert [(part.key, part.total) for part in series.series] == [("FR", D("25.50")), ("DE", D("14.50"))]
    assert (series.total, series.executor) == (D("40.00"), "rollup")


def test_other_holds_each_person_once(shop: Tenant) -> None:
    """Ann buys in both countries: cut to the top 0, the rest is Ann and Bob, not three."""
    series = metric_series(
        tenant_id=shop.pk,
        metric="users.paying",
        start=MONDAY,
        end=MONDAY + 3 * DAY,
        grain="day",
        by="country",
        limit=1,
        now=NOW,
    )
    assert [(part.key, part.total) for part in series.series] == [("FR", 2), (OTHER, 1)]
    assert [point.value for point in series.series[1].points] == [0, 1, 0]
    rest = metric_series(
        tenant_id=shop.pk,
        metric="users.paying",
        start=MONDAY,
        end=MONDAY + 3 * DAY,
        grain="total",
        by="country",
        limit=0,
        now=NOW,
    )
    assert [(part.key, part.total) for part in rest.series] == [(OTHER, 2)]


@pytest.mark.parametrize(
    ("filters", "executor", "expected"),
    [
        ((Condition("country", "eq", "FR"),), "rollup", "25.50"),
        ((Condition("country", "in", ("FR", "DE")),), "rollup", "40.00"),
        ((Condition("country", "ne", "FR"),), "events", "14.50"),
        ((Condition("amount_base", "gt", 900),), "events", "30.00"),
        ((Condition("country", "eq", "FR"), Condition("amount_base", "lt", 900)), "events", "5.50"),
    ],
)
def test_filters_are_answered_by_whoever_can(
    shop: Tenant, filters: tuple[Condition, ...], executor: str, expected: str
) -> None:
    series = metric_series(
        tenant_id=shop.pk,
        metric="revenue.gross",
        start=MONDAY,
        end=MONDAY + 3 * DAY,
        filters=filters,
        grain="day",
        now=NOW,
    )
    assert (series.executor, series.total) == (executor, D(expected))
    assert sum(point.value or 0 for point in series.points) == D(expected)


def test_a_breakdown_by_a_property_comes_from_the_events(shop: Tenant) -> None:
    series = metric_series(
        tenant_id=shop.pk,
        metric="pageviews.count",
        start=MONDAY,
        end=MONDAY + 3 * DAY,
        by="properties.section",
        grain="total",
        now=NOW,
    )
    assert (series.executor, [(part.key, part.total) for part in series.series]) == ("events", [("front", 1)])


@pytest.mark.parametrize("metric", ["revenue.gross", "users.active", "orders.repeat_rate", "users.mau", "users.new"])
def test_both_executors_give_the_same_numbers(shop: Tenant, metric: str) -> None:
    """`country ne XX` is true for every event, but only the events can say so."""
    asked = {
        "tenant_id": shop.pk,
        "metric": metric,
        "start": MONDAY,
        "end": MONDAY + 3 * DAY,
        "grain": "day",
        "now": NOW,
    }
    stored = metric_series(**asked)  # type: ignore[arg-type]
    counted = metric_series(**asked, filters=[Condition("country", "ne", "XX")])  # type: ignore[arg-type]
    assert (stored.executor, counted.executor) == ("rollup", "events")
    assert (stored.total, stored.points) == (counted.total, counted.points)


def test_bots_are_in_it_only_when_asked_for(acme: Tenant) -> None:
    story = Story(acme)
    story.add("$pageview", MONDAY, "ann")
    story.add("$pageview", MONDAY, "bob", is_bot=True)
    story.add("$pageview", MONDAY, "cyd", is_internal=True)
    story.count(NOW)
    found = [
        metric_series(tenant_id=acme.pk, metric="users.active", start=MONDAY, end=NOW, include=include, now=NOW).total
        for include in ((), ("bots",), ("internal",), ("bots", "internal"))
    ]
    assert found == [1, 2, 2, 3]


def test_what_waits_for_a_roll_up_is_not_complete(shop: Tenant) -> None:
    story = Story(shop, _told=1000)
    late = MONDAY + DAY + timedelta(hours=15, minutes=7)
    story.add("order_completed", late, "bob", amount=100)
    story.store()
    series = metric_series(tenant_id=shop.pk, metric="orders.count", start=MONDAY, end=MONDAY + 3 * DAY, now=NOW)
    assert [(point.value, point.is_complete) for point in series.points] == [(2, True), (2, False), (0, True)]
    assert (series.data_through, series.is_complete) == (late, False)
    story.count(NOW)
    healed = metric_series(tenant_id=shop.pk, metric="orders.count", start=MONDAY, end=MONDAY + 3 * DAY, now=NOW)
    assert [(point.value, point.is_complete) for point in healed.points] == [(2, True), (3, True), (0, True)]


def test_money_without_a_rate_makes_the_sum_partial(acme: Tenant) -> None:
    story = Story(acme)
    story.add("order_completed", MONDAY, "ann", amount=2000)
    story.add("order_completed", MONDAY, "bob", amount=500, currency="USD", amount_base=None)
    story.count(NOW)
    gross = metric_series(tenant_id=acme.pk, metric="revenue.gross", start=MONDAY, end=NOW, now=NOW)
    orders = metric_series(tenant_id=acme.pk, metric="orders.count", start=MONDAY, end=NOW, now=NOW)
    assert (gross.total, gross.is_partial) == (D("20.00"), True)
    assert (orders.total, orders.is_partial) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grain": "fortnight"}, "granularity 'fortnight' is none of"),
        ({"by": "shoe_size"}, "no text column"),
        ({"filters": [Condition("shoe_size", "eq", "43")]}, "no column `shoe_size`"),
        ({"include": ["martians"]}, "include takes bots, internal, not martians"),
        ({"end": MONDAY}, "the range is empty"),
        ({"grain": "minute", "end": MONDAY + 30 * DAY}, "at most 10000"),
    ],
)
def test_a_question_without_an_answer_says_what_would_do(
    shop: Tenant, arguments: dict[str, object], message: str
) -> None:
    asked = {"tenant_id": shop.pk, "metric": "orders.count", "start": MONDAY, "end": NOW, "now": NOW} | arguments
    with pytest.raises(QuestionError, match=message):
        metric_series(**asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("grain", ["hour", "day", "total"])
@pytest.mark.parametrize("compare", [None, "previous"])
def test_who_comes_for_the_first_time_after_an_odd_beginning_is_new(
    shop: Tenant, grain: str, compare: Literal["previous"] | None
) -> None:
    """Bob's first order is ten minutes after the range begins, in the same hour and day; Ann's was before."""
    start, end = MONDAY + timedelta(hours=10, minutes=20), MONDAY + 2 * DAY
    found = {
        name: metric_series(
            tenant_id=shop.pk, metric=name, start=start, end=end, grain=grain, compare=compare, now=NOW
        ).total
        for name in ("customers.new", "customers.returning", "orders.customers", "orders.repeat_customers")
    }
    assert found == {
        "customers.new": 1,
        "customers.returning": 1,
        "orders.customers": 2,
        "orders.repeat_customers": 0,
    }
