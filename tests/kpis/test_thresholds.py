"""Limits that tenants set, by numbers worked by hand: Acme (Paris, EUR) and Globex (Kathmandu, NPR)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.utils import timezone

from analytics.audit import audit_entries
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.base import Additivity, Formula, Metric, Thresholds, Value
from kpis.catalogue import Catalogue
from kpis.compare import days_covered, limits_at
from kpis.models import MetricThreshold
from kpis.series import metric_overview, metric_series
from kpis.services import Definition, metric_archive, metric_define
from kpis.sums import adds_up
from tests.api import Caller, caller, problem
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

# Acme's local Monday 2026-03-02 begins at 23:00 UTC the day before; it is Monday the 9th, 13:00 in Paris.
MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
TODAY = MONDAY + timedelta(days=7)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
WEEK = {"from_": "2026-03-02", "to": "2026-03-09"}
DAY = {"from_": "2026-03-09", "to": "2026-03-10"}
GROSS = "kpis/revenue.gross/thresholds/"
RATE = "kpis/payments.success_rate/thresholds/"
UNSET = {"warning": None, "critical": None, "is_per_day": False}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Story:
    """Acme: 32.50 in the week from Monday, 3.00 today at 09:00. Globex: 32.50 too, on the same Monday."""
    story = Story(acme)
    story.add("order_completed", MONDAY + timedelta(hours=10), "ann", amount=2550)
    story.add("order_completed", MONDAY + timedelta(days=1, hours=9), "ann", amount=700)
    story.add("order_completed", TODAY + timedelta(hours=9), "bob", amount=300)
    story.count(NOW)
    neighbour = Story(globex, currency="NPR")
    neighbour.add("order_completed", MONDAY + timedelta(hours=11), "ann", amount=3250)
    neighbour.count(NOW)
    return story


@pytest.fixture
def api(acme: Tenant) -> Caller:
    """Acme's secret key."""
    return caller(acme)


def put(api: Caller, path: str, **limits: Any) -> Any:
    return api.send("PUT", path, limits)


def refused(answer: Any, code: int) -> dict[str, Any]:
    assert answer.status_code == code
    return problem(answer)


def status(api: Caller, metric: str = "revenue.gross", **asked: str) -> str:
    (item,) = api.get("kpis/overview/", metrics=metric, **(asked or WEEK)).json()["items"]
    return str(item["status"])


# --- Meaning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("warning", "critical", "expected"),
    [
        ("4.6", "1", "ok"),  # 32.50 / 7 days = 4.642857…
        ("4.65", "4.6", "warning"),
        ("4.7", "4.65", "critical"),
        (None, "4.65", "critical"),
        ("4.65", None, "warning"),
    ],
)
def test_the_sum_of_a_week_is_held_against_a_limit_of_one_day(
    shop: Story, api: Caller, warning: str | None, critical: str | None, expected: str
) -> None:
    put(api, GROSS, warning=warning, critical=critical)

    assert status(api) == expected


def test_a_value_at_a_limit_of_one_day_has_reached_it(shop: Story, api: Caller) -> None:
    put(api, GROSS, warning=32.5, critical=25.5)  # of one day: 25.50 on Monday, nothing from Wednesday on

    assert status(api, from_="2026-03-02", to="2026-03-03") == "critical"
    assert status(api, from_="2026-03-02", to="2026-03-04") == "critical"
    put(api, GROSS, warning=25.5, critical=16.24)  # 32.50 / 2 days = 16.25
    assert status(api, from_="2026-03-02", to="2026-03-03") == "warning"
    assert status(api, from_="2026-03-02", to="2026-03-04") == "warning"


def test_of_a_running_day_the_part_that_has_passed_counts(shop: Story, api: Caller) -> None:
    put(api, GROSS, warning=6, critical=5)  # 3.00 in 13 of 24 hours = 5.538… a day
    assert status(api, **DAY) == "warning"

    put(api, GROSS, warning=6, critical=5.54)
    assert status(api, **DAY) == "critical"

    put(api, GROSS, warning=4.71, critical=4.70)  # the week and today: 35.50 in 7 13/24 days = 4.707…
    assert status(api, from_="2026-03-02", to="2026-03-10") == "warning"


def test_in_the_first_hours_of_a_day_nothing_is_said(shop: Story, api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    put(api, GROSS, warning=6, critical=5)
    monkeypatch.setattr(timezone, "now", lambda: TODAY + timedelta(hours=5, minutes=59))
    assert status(api, **DAY) == "unknown"

    monkeypatch.setattr(timezone, "now", lambda: TODAY + timedelta(hours=6))
    assert status(api, **DAY, granularity="hour") == "ok"  # 3.00 in a quarter of a day = 12.00 a day


def test_days_before_the_first_event_are_no_days(shop: Story, api: Caller) -> None:
    put(api, GROSS, warning=4.65, critical=4.6)

    assert status(api, from_="2026-02-01", to="2026-03-09") == "warning"
    assert status(api, from_="2026-01-01", to="2026-02-01") == "unknown"


def test_the_day_that_clocks_are_set_forward_is_one_day(shop: Story, acme: Tenant) -> None:
    series = metric_series(tenant_id=acme.pk, metric="revenue.gross", start=MONDAY, end=TODAY, now=NOW)
    sunday = datetime(2026, 3, 28, 23, tzinfo=UTC)  # 23 hours long

    assert days_covered(series) == 7
    assert days_covered(replace(series, covered=(sunday, sunday + timedelta(hours=23)))) == 1
    assert days_covered(replace(series, covered=(sunday, sunday + timedelta(hours=11.5)))) == Fraction(1, 2)


def test_shares_and_means_are_held_against_limits_as_they_are(shop: Story, api: Caller) -> None:
    put(api, "kpis/revenue.aov/thresholds/", warning=17, critical=16)  # 32.50 of two orders = 16.25

    assert status(api, "revenue.aov") == "warning"
    assert api.get("kpis/revenue.aov/").json()["thresholds"] == {"warning": 17, "critical": 16, "is_per_day": False}


def test_where_less_is_better_a_high_value_reaches_them(shop: Story, api: Caller, acme: Tenant) -> None:
    wanted = Definition(metric="shop.load", name="Load", formula="orders.count * 7", better="down")
    metric_define(tenant_id=acme.pk, definition=wanted, now=NOW)
    put(api, "kpis/shop.load/thresholds/", warning=2, critical=3)  # 2 orders × 7 / 7 days = 2 a day

    assert status(api, "shop.load") == "warning"
    put(api, "kpis/shop.load/thresholds/", warning=1, critical=2)
    assert status(api, "shop.load") == "critical"
    put(api, "kpis/shop.load/thresholds/", warning=2.01, critical=3)
    assert status(api, "shop.load") == "ok"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.sum", True), ("a.sum - a.sum * 2", True), ("-a.sum / 4", True), ("0.5 * (a.sum + a.sum)", True),
        ("a.share", False), ("a.sum / a.sum", False), ("a.sum * a.sum", False), ("a.sum + 1", False), ("3", False),
        ("2 / a.sum", False), ("max(0, a.sum)", False), ("a.sum ^ 2", False), ("a.gone", False),
        ("a.sum + a.share", False),
    ],
)  # fmt: skip
def test_formulas_that_add_subtract_and_scale_sums_are_sums(text: str, expected: bool) -> None:
    share = Metric(id="a.share", name="", help="", in_words="", form=Value("a.share"))
    parts = {"a.share": share, "a.sum": replace(share, id="a.sum", additivity=Additivity.ADDITIVE)}

    assert adds_up(replace(share, id="b.made", form=Formula(text)), parts) is expected


def test_lines_of_limits_by_day_are_as_high_as_the_points_are_long() -> None:
    limits = Thresholds(Decimal(48), Decimal(24), is_per_day=True)
    metric = Metric(id="a.sum", name="", help="", in_words="", form=Value("a.sum"), thresholds=limits)

    assert limits_at(metric, "hour") == {"warning": 2, "critical": 1}
    assert limits_at(metric, "day") == {"warning": 48, "critical": 24}
    assert limits_at(metric, "week") == {"warning": 336, "critical": 168}
    assert limits_at(metric, "month") == limits_at(metric, "total") == {}
    as_it_is = replace(metric, thresholds=replace(limits, is_per_day=False))
    assert limits_at(as_it_is, "month") == {"warning": 48, "critical": 24}


# --- Setting them -----------------------------------------------------------------------------------------------------


def test_limits_hold_at_once_and_for_their_tenant_only(shop: Story, api: Caller, globex: Tenant) -> None:
    theirs = caller(globex)
    tags = [who.get("kpis/overview/", metrics="revenue.gross", **WEEK)["ETag"] for who in (api, theirs)]
    assert (status(api), status(theirs)) == ("ok", "ok")

    put(api, GROSS, warning=4.7, critical=4.65)

    assert (status(api), status(theirs)) == ("critical", "ok")
    assert api.get("kpis/revenue.gross/").json()["thresholds"] == {"warning": 4.7, "critical": 4.65, "is_per_day": True}
    assert theirs.get("kpis/revenue.gross/").json()["thresholds"] == UNSET
    assert theirs.get(GROSS).json()["is_own"] is False
    after = [who.get("kpis/overview/", metrics="revenue.gross", **WEEK)["ETag"] for who in (api, theirs)]
    assert (after[0] == tags[0], after[1] == tags[1]) == (False, True)
    listed = api.get("kpis/", **WEEK, family="revenue").json()["results"]
    assert [row["status"] for row in listed if row["metric"] == "revenue.gross"] == ["critical"]


def test_limits_change_no_number_and_no_definition(shop: Story, api: Caller) -> None:
    before = api.get("kpis/revenue.gross/series/", **WEEK).json()
    put(api, GROSS, warning=4.7, critical=4.65)

    assert api.get("kpis/revenue.gross/series/", **WEEK).json() == before


def test_the_overview_of_the_library_follows_too(shop: Story, api: Caller, acme: Tenant) -> None:
    put(api, GROSS, warning=4.7, critical=4.65)
    (item,) = metric_overview(tenant_id=acme.pk, start=MONDAY, end=TODAY, metrics=["revenue.gross"], now=NOW)

    assert item.status == "critical"


def test_they_stand_in_place_of_both_declared_ones_until_they_are_taken_away(shop: Story, api: Caller) -> None:
    declared = {"warning": 0.95, "critical": 0.9, "is_per_day": False}
    whole = {"metric": "payments.success_rate", "declared": declared}
    assert api.get(RATE).json() == {**whole, **declared, "is_own": False}

    answer = put(api, RATE, warning=0.5)
    mine = {"warning": 0.5, "critical": None, "is_per_day": False, "is_own": True}
    assert (answer.status_code, answer.json()) == (200, {**whole, **mine})
    assert api.get(RATE).json() == {**whole, **mine}

    assert api.send("DELETE", RATE).status_code == 204
    assert api.get(RATE).json() == {**whole, **declared, "is_own": False}
    put(api, RATE, warning=0.5)
    assert put(api, RATE, warning=None, critical=None).json() == {**whole, **declared, "is_own": False}
    assert api.send("DELETE", RATE).status_code == 204


def test_an_own_metric_has_limits_by_its_definition_or_by_these(shop: Story, api: Caller, acme: Tenant) -> None:
    wanted = Definition(metric="shop.double", name="Double", formula="revenue.gross * 2", unit="money", critical=60)
    metric_define(tenant_id=acme.pk, definition=wanted, now=NOW)
    assert status(api, "shop.double") == "ok"  # 65.00, as it is

    put(api, "kpis/shop.double/thresholds/", critical=9.3)  # 65.00 / 7 = 9.285…
    assert status(api, "shop.double") == "critical"

    metric_define(tenant_id=acme.pk, definition=replace(wanted, better="down"), now=NOW)  # the other way round: gone
    assert api.get("kpis/shop.double/thresholds/").json()["is_own"] is False
    put(api, "kpis/shop.double/thresholds/", critical=9.3)
    metric_archive(tenant_id=acme.pk, metric="shop.double")
    with tenant_context(acme.pk):
        assert not MetricThreshold.objects.exists()


@pytest.mark.parametrize(("warning", "critical"), [(4, 5), (5, 5)])
def test_the_wrong_order_is_refused_in_words(shop: Story, api: Caller, warning: int, critical: int) -> None:
    body = refused(put(api, GROSS, warning=warning, critical=critical), 400)
    assert "More is better for Gross revenue, so the warning comes first: it has to lie above 5." in str(body)

    body = refused(put(api, "kpis/payments.failure_rate/thresholds/", warning=5, critical=min(warning, 5)), 400)
    assert "Less is better for" in str(body)
    assert api.get(GROSS).json()["is_own"] is False


@pytest.mark.parametrize("limit", ["NaN", "Infinity", "1e400", "many", [], "1" * 400, True])
def test_what_is_no_number_is_refused(shop: Story, api: Caller, limit: Any) -> None:
    refused(put(api, GROSS, warning=limit), 400)
    refused(put(api, GROSS, alarm=1), 400)


def test_an_unknown_metric_is_told_the_nearest(shop: Story, api: Caller) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = api.send(method, "kpis/revenue.gros/thresholds/", {"warning": 1} if method == "PUT" else None)
        assert "revenue.gross" in str(refused(answer, 404))


def test_changes_are_in_the_audit_trail(shop: Story, api: Caller, acme: Tenant) -> None:
    put(api, GROSS, warning=5, critical=4)
    put(api, GROSS, warning=5, critical=4)
    api.send("DELETE", GROSS)
    with tenant_context(acme.pk):
        found = [(row.what, row.detail) for row in audit_entries(tenant_id=acme.pk, action="thresholds").order_by("id")]

    assert found == [
        ("revenue.gross", {"warning": [None, "5"], "critical": [None, "4"]}),
        ("revenue.gross", {"warning": ["5", None], "critical": ["4", None]}),
    ]


def test_rows_of_the_neighbour_are_out_of_reach(shop: Story, api: Caller, acme: Tenant, globex: Tenant) -> None:
    put(api, GROSS, warning=5, critical=4)
    with tenant_context(globex.pk):
        assert not MetricThreshold.objects.exists()
        assert Catalogue(acme.pk)["revenue.gross"].thresholds == Thresholds()
