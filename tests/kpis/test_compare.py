"""How a number moved (S4), and which earlier range is fair to compare with (S3)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from analytics.models import Tenant
from analytics.periods import Calendar, Period
from kpis.base import Metric, Thresholds, Unit, Value
from kpis.compare import Against, asked_period, change_of, range_before, status_of
from kpis.contracts import Change
from kpis.series import metric_overview, metric_series
from tests.kpis.story import Story

PARIS = Calendar("Europe/Paris")


def D(text: str | int) -> Decimal:
    return Decimal(text)


@pytest.mark.parametrize(
    ("previous", "current", "expected"),
    [
        ("80", "100", Change(D("20"), D("25"), None, "up", "", True)),
        ("100", "80", Change(D("-20"), D("-20"), None, "down", "", False)),
        ("-50", "-25", Change(D("25"), D("50"), None, "up", "", True)),
        ("-50", "50", Change(D("100"), D("200"), None, "up", "", True)),
        ("7", "7", Change(D("0"), D("0"), None, "flat", "", None)),
        ("0", "0", Change(D("0"), D("0"), None, "flat", "", None)),
        ("0", "5", Change(D("5"), None, None, "up", "from_zero", True)),
        ("0", "-5", Change(D("-5"), None, None, "down", "from_zero", False)),
        (None, "5", Change(None, None, None, "", "no_baseline", None)),
        ("5", None, Change(None, None, None, "", "no_value", None)),
        (None, None, Change(None, None, None, "", "no_baseline", None)),
    ],
)
def test_a_number_changes(previous: str | None, current: str | None, expected: Change) -> None:
    numbers = [None if text is None else D(text) for text in (current, previous)]
    assert change_of(*numbers, unit=Unit.COUNT, better="up") == expected


def test_a_ratio_changes_in_percentage_points() -> None:
    change = change_of(D("0.25"), D("0.20"), unit=Unit.RATIO, better="down")
    assert change == Change(D("0.05"), None, D("5.00"), "up", "", False)


def test_the_printed_sample_of_18_point_5_percent_is_18_point_3() -> None:
    change = change_of(D(85_000), D(104_000), unit=Unit.MONEY, better="up")
    assert change.percent is not None
    assert round(change.percent, 1) == D("-18.3")


@pytest.mark.parametrize(
    ("better", "value", "expected"),
    [
        ("down", "0.04", "ok"), ("down", "0.05", "warning"), ("down", "0.10", "critical"),
        ("up", "0.11", "ok"), ("up", "0.10", "warning"), ("up", "0.05", "critical"), ("up", None, "unknown"),
    ],
)  # fmt: skip
def test_a_value_at_its_limit_has_reached_it(better: Any, value: str | None, expected: str) -> None:
    limits = Thresholds(D("0.05"), D("0.10")) if better == "down" else Thresholds(D("0.10"), D("0.05"))
    metric = Metric(id="a.rate", name="", help="", in_words="", form=Value("a.rate"), better=better, thresholds=limits)
    assert status_of(None if value is None else D(value), metric) == expected


def days(first: str, end: str) -> Period:
    return PARIS.days(date.fromisoformat(first), date.fromisoformat(end))


@pytest.mark.parametrize(
    ("asked", "against", "match_weekday", "expected"),
    [
        (("2026-03-02", "2026-03-09"), "previous", False, ("2026-02-23", "2026-03-02")),
        (("2026-03-01", "2026-04-01"), "previous", False, ("2026-02-01", "2026-03-01")),
        (("2026-04-01", "2026-07-01"), "previous", False, ("2026-01-01", "2026-04-01")),
        (("2025-01-01", "2026-01-01"), "previous", False, ("2024-01-01", "2025-01-01")),
        (("2026-03-10", "2026-04-09"), "previous", False, ("2026-02-08", "2026-03-10")),
        (("2026-03-02", "2026-03-09"), "year_ago", False, ("2025-03-02", "2025-03-09")),
        (("2024-02-29", "2024-03-01"), "year_ago", False, ("2023-02-28", "2023-03-01")),
        (("2026-03-02", "2026-03-09"), "year_ago", True, ("2025-03-03", "2025-03-10")),
        (("2026-03-02", "2026-03-05"), "previous", True, ("2026-02-23", "2026-02-26")),
        (("2026-03-02", "2026-03-12"), "previous", True, ("2026-02-16", "2026-02-26")),
        (("2026-03-02", "2026-03-09"), days("2020-01-01", "2020-01-03"), False, ("2020-01-01", "2020-01-03")),
    ],
)
def test_the_range_before(
    asked: tuple[str, str], against: Against, match_weekday: bool, expected: tuple[str, str]
) -> None:
    period = days(*asked)
    found = range_before(
        asked_period(period.start, period.end, PARIS), against, PARIS, through=period.end, match_weekday=match_weekday
    )
    assert (found.start, found.end) == (days(*expected).start, days(*expected).end)


def test_an_open_range_is_compared_over_equal_elapsed_time() -> None:
    """Today until 10:40 meets yesterday until 10:40, also where a clock changed (29 March 2026 has 23 hours)."""
    today = days("2026-03-30", "2026-03-31")
    now = today.start + timedelta(hours=10, minutes=40)
    found = range_before(asked_period(today.start, today.end, PARIS), "previous", PARIS, through=now)
    yesterday = days("2026-03-29", "2026-03-30")
    assert (found.start, found.end) == (yesterday.start, yesterday.start + timedelta(hours=10, minutes=40))


# --- Through the whole path -------------------------------------------------------------------------------------------

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.django_db
@pytest.mark.parametrize("back", [1, 7])
def test_today_until_now_against_the_same_minutes_of_a_day_before(acme: Tenant, globex: Tenant, back: int) -> None:
    """Two orders before 10:40 and one after it then; one today. Minutes of a week ago are counted from their events."""
    today = MONDAY + 8 * DAY
    now = today + timedelta(hours=10, minutes=40)
    Story(globex).add("order_completed", today, "ann", amount=1)
    story = Story(acme)
    for minute in (5, 10 * 60 + 39, 10 * 60 + 40):
        story.add("order_completed", today - back * DAY + timedelta(minutes=minute), "ann", amount=100)
    story.add("order_completed", today + timedelta(hours=3), "bob", amount=100)
    story.count(now)
    against = Period(today - back * DAY, today - back * DAY + timedelta(hours=10, minutes=40))
    series = metric_series(
        tenant_id=acme.pk, metric="orders.count", start=today, end=today + DAY, grain="total",
        compare="previous" if back == 1 else against, now=now,
    )  # fmt: skip
    assert series.comparison is not None
    assert (series.comparison.start, series.comparison.end) == (against.start, against.end)
    assert (series.total, series.comparison.total, series.comparison.change.percent) == (1, 2, -50)


@pytest.mark.django_db
def test_an_overview_compares_every_metric_with_two_readings_of_the_database(
    acme: Tenant, globex: Tenant, django_assert_max_num_queries: Any
) -> None:
    story = Story(acme)
    story.add("order_completed", MONDAY, "ann", amount=2000)
    story.add("order_completed", MONDAY + DAY, "ann", amount=1000)
    story.add("order_completed", MONDAY + DAY, "bob", amount=2000)
    now = MONDAY + 2 * DAY
    story.count(now)
    # Begin, the tenant read and set, context in two, limits; the one statement that reads buckets is not Django's.
    with django_assert_max_num_queries(8):
        items = metric_overview(tenant_id=acme.pk, start=MONDAY + DAY, end=now, now=now)
    changes = {item.metric: item.series.comparison.change for item in items if item.series.comparison is not None}
    found = {item.metric: (item.series.total, changes[item.metric].percent) for item in items}
    wanted: dict[str, tuple[int | None, int | None]] = {
        "revenue.gross": (30, 50),
        "orders.count": (2, 100),
        "users.active": (2, 100),
        "users.mau": (2, 100),
        "revenue.aov": (15, -25),
        "payments.success_rate": (None, None),
    }
    assert {name: found[name] for name in wanted} == wanted
    assert len(found) == 12
