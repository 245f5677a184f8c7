"""The API of metrics, by numbers worked by hand: Acme (Paris, EUR) and Globex (Kathmandu, NPR)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import Tenant
from tests.api import Caller, caller, problem
from tests.kpis.story import Story

# Acme's local Monday 2026-03-02 begins at 23:00 UTC the day before.
MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
WEEK = {"from_": "2026-03-02", "to": "2026-03-09"}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is Monday 2026-03-09, 12:00 UTC."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Story:
    """Acme: 20.00 and 5.50 on Monday (FR, DE), 7.00 on Tuesday (FR). Globex: one order of 999.00."""
    story = Story(acme)
    story.add("order_completed", MONDAY + timedelta(hours=10), "ann", amount=2000, country="FR", channel="ads")
    story.add("order_completed", MONDAY + timedelta(hours=10, minutes=5), "bob", amount=550, country="DE")
    story.add("order_completed", MONDAY + timedelta(days=1, hours=9), "ann", amount=700, country="FR")
    story.add("order_refunded", MONDAY + timedelta(days=2), "bob", amount=550, country="DE")
    story.count(NOW)
    neighbour = Story(globex, currency="NPR")
    neighbour.add("order_completed", MONDAY + timedelta(hours=11), "ann", amount=99900, country="NP")
    neighbour.count(NOW)
    return story


@pytest.fixture
def api(acme: Tenant) -> Caller:
    """Acme's secret key."""
    return caller(acme)


def values(points: list[dict[str, Any]]) -> list[Any]:
    return [point["value"] for point in points]


# --- Series -----------------------------------------------------------------------------------------------------------


def test_a_series_has_the_documented_form(shop: Story, api: Caller) -> None:
    body = api.get("kpis/revenue.gross/series/", **WEEK, granularity="day").json()

    assert {
        key: body[key] for key in ("metric", "unit", "currency", "timezone", "from", "to", "granularity", "total")
    } == {
        "metric": "revenue.gross",
        "unit": "money",
        "currency": "EUR",
        "timezone": "Europe/Paris",
        "from": "2026-03-01T23:00:00+00:00",
        "to": "2026-03-08T23:00:00+00:00",
        "granularity": "day",
        "total": "32.50",
    }
    assert body["points"][:3] == [
        {"start": "2026-03-01T23:00:00+00:00", "value": "25.50", "is_complete": True},
        {"start": "2026-03-02T23:00:00+00:00", "value": "7.00", "is_complete": True},
        {"start": "2026-03-03T23:00:00+00:00", "value": "0.00", "is_complete": True},
    ]
    assert len(body["points"]) == 7
    assert (body["is_complete"], body["is_partial"], body["executor"], body["comparison"]) == (
        True,
        False,
        "rollup",
        None,
    )


def test_a_breakdown_has_a_total_and_points_for_each_key(shop: Story, api: Caller) -> None:
    body = api.get("kpis/revenue.gross/series/", **WEEK, by="country", granularity="week").json()

    assert [(part["key"], part["total"], values(part["points"])) for part in body["series"]] == [
        ("FR", "27.00", ["27.00"]),
        ("DE", "5.50", ["5.50"]),
    ]


def test_filters_by_name_and_by_json_say_the_same(shop: Story, api: Caller) -> None:
    short = api.get("kpis/orders.count/series/", **WEEK, country="FR").json()
    written = api.get(
        "kpis/orders.count/series/", **WEEK, filters='[{"field": "country", "op": "eq", "value": "FR"}]'
    ).json()
    several = api.get("kpis/orders.count/series/", **WEEK, country="FR,DE").json()

    assert short["total"] == written["total"] == 2
    assert short["filters"] == written["filters"] == [{"field": "country", "op": "eq", "value": "FR"}]
    assert several["total"] == 3


def test_a_comparison_follows_the_conventions(shop: Story, api: Caller) -> None:
    body = api.get("kpis/revenue.gross/series/", from_="2026-03-03", to="2026-03-04", compare="previous").json()

    assert body["comparison"]["total"] == "25.50"
    change = body["comparison"]["change"]
    assert (change["absolute"], change["direction"], change["is_good"]) == ("-18.50", "down", False)
    assert change["percent"] == pytest.approx(-72.549, abs=0.001)


def test_each_tenant_sees_its_own_numbers(shop: Story, api: Caller, globex: Tenant) -> None:
    mine = api.get("kpis/revenue.gross/series/", **WEEK).json()
    theirs = caller(globex).get("kpis/revenue.gross/series/", **WEEK).json()

    assert (mine["total"], mine["currency"]) == ("32.50", "EUR")
    assert (theirs["total"], theirs["currency"], theirs["timezone"]) == ("999.00", "NPR", "Asia/Kathmandu")


def test_a_period_is_that_many_complete_days(shop: Story, api: Caller) -> None:
    body = api.get("kpis/orders.count/series/", period="7d").json()

    assert (body["from"], body["to"], body["total"]) == ("2026-03-01T23:00:00+00:00", "2026-03-08T23:00:00+00:00", 3)


def test_an_instant_may_have_an_offset_whose_plus_became_a_blank(shop: Story, api: Caller) -> None:
    body = api.get("kpis/orders.count/series/?from=2026-03-02T00:00:00+01:00&to=2026-03-03T00:00:00%2B01:00").json()

    assert (body["from"], body["total"]) == ("2026-03-01T23:00:00+00:00", 2)


@pytest.mark.parametrize(
    ("parameters", "field", "code", "says"),
    [
        ({"from_": "2026-03-09", "to": "2026-03-02"}, "to", "reversed_range", "must be later"),
        ({"from_": "2026-03-02", "to": "2026-03-02"}, "to", "reversed_range", "must be later"),
        ({"to": "2026-03-02"}, "from", "missing_from", "needs a `from`"),
        ({"from_": "yesterday-ish", "to": "2026-03-02"}, "from", "invalid_instant", "2026-11-21"),
        ({"from_": "2026-02-30"}, "from", "invalid_instant", "2026-11-21"),
        ({"period": "30 days"}, "period", "invalid_period", "last_7d"),
        ({"period": "7d", "from_": "2026-03-02"}, "period", "ambiguous_range", "either"),
        ({**WEEK, "granularity": "dya"}, "granularity", "invalid_granularity", "Did you mean day"),
        (
            {"from_": "1990-01-01", "to": "2026-01-01", "granularity": "minute"},
            "granularity",
            "invalid_question",
            "at most",
        ),
        ({**WEEK, "by": "country", "granularity": "minute", "limit": "1000"}, "limit", "too_many_points", "room for 9"),
        ({"from_": "2300-01-01"}, "from", "out_of_range", "1970 and 2200"),
        ({"period": "2300"}, "period", "out_of_range", "1970 and 2200"),
        ({**WEEK, "by": "countri"}, "by", "unknown_dimension", "Did you mean country"),
        ({**WEEK, "filters": "country=FR"}, "filters", "invalid_filters", "JSON"),
        ({**WEEK, "filters": '[{"field": "country"}]'}, "filters", "invalid_filters", "`op`"),
        (
            {**WEEK, "filters": '[{"field": "contry", "op": "eq", "value": "x"}]'},
            "filters",
            "invalid_question",
            "contry",
        ),
        ({**WEEK, "filters": "[" * 5000}, "filters", "invalid_filters", "JSON"),
        ({**WEEK, "include": "robots"}, "include", "invalid_choice", "bots"),
        ({**WEEK, "compare": "last"}, "compare", "invalid_compare", "year_ago"),
        ({**WEEK, "limit": "0"}, "limit", "invalid_number", "from 1 to"),
        ({**WEEK, "limit": "ten"}, "limit", "invalid_number", "whole number"),
        ({**WEEK, "timezone": "Europe/Pari"}, "timezone", "unknown_timezone", "time zone"),
        ({**WEEK, "timezone": "Asia/Tokyo"}, "timezone", "other_timezone", "Europe/Paris"),
        ({**WEEK, "contry": "FR"}, "contry", "unknown_parameter", "Did you mean country"),
        ({**WEEK, "country": "F\x00R"}, "country", "invalid_text", "at most"),
        ({**WEEK, "country": "x" * 500}, "country", "invalid_text", "at most"),
    ],
)
def test_a_bad_question_is_refused_by_field(
    acme: Tenant, globex: Tenant, api: Caller, parameters: dict[str, str], field: str, code: str, says: str
) -> None:
    response = api.get("kpis/revenue.gross/series/", **parameters)

    assert response.status_code == 400
    (error,) = problem(response)["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert says in error["detail"]


def test_an_unknown_metric_offers_the_nearest(acme: Tenant, globex: Tenant, api: Caller) -> None:
    answer = problem(api.get("kpis/revenue.gros/series/", **WEEK))

    assert (answer["status"], answer["code"]) == (404, "unknown_metric")
    assert answer["detail"].startswith("There is no metric 'revenue.gros'; did you mean revenue.gross")


# --- 304 --------------------------------------------------------------------------------------------------------------


def test_the_same_numbers_are_not_sent_twice(shop: Story, api: Caller, acme: Tenant) -> None:
    path = "kpis/revenue.gross/series/?from=2026-03-02&to=2026-03-09"
    first = api.get(path)
    again = api.send("GET", path, headers={"If-None-Match": first["ETag"]})

    assert again.status_code == 304
    assert again.content == b""
    assert again["ETag"] == first["ETag"]
    assert {"Authorization", "Cookie"} <= {name.strip() for name in first["Vary"].split(",")}
    # What is over may be shown again for five minutes; what is not is asked for each time.
    assert first["Cache-Control"] == "private, max-age=300"
    assert api.get("kpis/revenue.gross/series/?period=today")["Cache-Control"] == "private, no-cache"

    story = Story(acme, _told=100)
    story.add("order_completed", MONDAY + timedelta(days=4), "ann", amount=100)
    story.store()
    waiting = api.send("GET", path, headers={"If-None-Match": first["ETag"]})
    story.count(NOW + timedelta(minutes=1))
    counted = api.send("GET", path, headers={"If-None-Match": waiting["ETag"]})

    assert waiting.status_code == 200
    assert (counted.status_code, counted.json()["total"]) == (200, "33.50")


def test_a_new_rate_changes_the_tag_of_money(acme: Tenant, globex: Tenant, api: Caller) -> None:
    story = Story(acme, currency="USD")
    story.add("order_completed", MONDAY + timedelta(hours=10), "ann", amount=1000, amount_base=None)
    story.count(NOW)
    path = "kpis/revenue.gross/series/?from=2026-03-02&to=2026-03-09"
    before = api.get(path)

    api.post("exchange-rates/", {"rates": [{"day": "2026-03-02", "currency": "USD", "rate": "0.9"}]})
    story.count(NOW + timedelta(minutes=1))

    after = api.send("GET", path, headers={"If-None-Match": before["ETag"]})
    assert (before.json()["total"], before.json()["is_partial"]) == ("0.00", True)
    assert (after.json()["total"], after.json()["is_partial"]) == ("9.00", False)


def test_a_tag_of_another_tenant_is_worth_nothing(shop: Story, api: Caller, globex: Tenant) -> None:
    path = "kpis/revenue.gross/series/?from=2026-03-02&to=2026-03-09"
    tag = api.get(path)["ETag"]

    assert caller(globex).send("GET", path, headers={"If-None-Match": tag}).status_code == 200


# --- Overview, catalogue, trends, hours -------------------------------------------------------------------------------


def test_the_catalogue_has_values(shop: Story, api: Caller) -> None:
    body = api.get("kpis/", **WEEK, family="orders", compare="previous").json()

    found = {row["metric"]: row for row in body["results"]}
    assert found["orders.count"]["value"] == 3
    assert found["orders.gross"]["value"] == "32.50"
    assert found["orders.count"]["change"]["direction"] in ("up", "")
    assert set(found) >= {"orders.count", "orders.gross", "orders.refunded", "orders.customers", "orders.repeat_rate"}
    assert all(row["metric"].startswith("orders.") for row in body["results"])


def test_the_catalogue_alone_reads_no_numbers(acme: Tenant, globex: Tenant, api: Caller) -> None:
    body = api.get("kpis/", values="false", search="stickiness").json()

    assert [row["metric"] for row in body["results"]] == ["users.stickiness"]
    assert body["results"][0]["value"] is None


def test_metrics_without_the_column_of_a_filter_have_no_value_under_it(shop: Story, api: Caller) -> None:
    body = api.get("kpis/", **WEEK, method="card").json()

    found = {row["metric"]: row["value"] for row in body["results"]}
    assert found["orders.count"] == 0
    assert found["sessions.count"] is None


def test_the_overview_has_twelve_metrics_with_their_standing(shop: Story, api: Caller) -> None:
    body = api.get("kpis/overview/", **WEEK).json()

    found = {item["metric"]: item for item in body["items"]}
    assert len(found) == 12
    assert (found["revenue.net"]["total"], found["users.paying"]["total"]) == ("27.00", 2)
    assert found["revenue.gross"]["comparison"]["from"] == "2026-02-22T23:00:00+00:00"
    assert {item["status"] for item in body["items"]} <= {"ok", "warning", "critical", "unknown"}


def test_a_metric_says_how_it_is_made(acme: Tenant, globex: Tenant, api: Caller) -> None:
    body = api.get("kpis/revenue.aov/").json()

    assert (body["metric"], body["unit"], body["is_own"]) == ("revenue.aov", "money", False)
    assert "country" in body["dimensions"]


def test_this_week_is_compared_at_equal_elapsed_time(shop: Story, api: Caller) -> None:
    """Monday 13:00 in Paris: the week so far against last Monday until 13:00, which had two orders."""
    body = api.get("kpis/trends/week/", metrics="orders.count").json()

    (item,) = body["items"]
    assert (item["from"], item["total"]) == ("2026-03-08T23:00:00+00:00", 0)
    assert (item["comparison"]["from"], item["comparison"]["to"]) == (
        "2026-03-01T23:00:00+00:00",
        "2026-03-02T12:00:00+00:00",
    )
    assert item["comparison"]["total"] == 2
    assert len(item["points"]) == 7


@pytest.mark.parametrize("period", ["today", "week", "month"])
def test_trends_answer(shop: Story, api: Caller, period: str) -> None:
    assert len(api.get(f"kpis/trends/{period}/").json()["items"]) == 12


def test_an_unknown_trend_is_not_found(acme: Tenant, api: Caller) -> None:
    assert problem(api.get("kpis/trends/century/"))["code"] == "not_found"


def test_realtime_is_the_last_half_hour_by_minute(acme: Tenant, globex: Tenant, api: Caller) -> None:
    story = Story(acme)
    story.add("order_completed", NOW - timedelta(minutes=10), "ann", amount=1000)
    story.add("order_completed", NOW - timedelta(minutes=40), "bob", amount=500)
    story.count(NOW)

    body = api.get("kpis/realtime/", metrics="revenue.gross").json()

    (item,) = body["items"]
    assert (item["total"], item["comparison"]["total"], item["granularity"]) == ("10.00", "5.00", "minute")


def test_busy_hours_are_local(shop: Story, api: Caller) -> None:
    body = api.get("kpis/peak-times/", **WEEK, metric="orders.count").json()

    assert body["peak"] == {"weekday": 0, "hour": 10, "total": 2, "mean": 2.0}
    assert len(body["hours"]) == 168
    assert sum(hour["total"] for hour in body["hours"]) == 3


def test_hours_of_a_ratio_are_refused(shop: Story, api: Caller) -> None:
    assert "do not add up" in problem(api.get("kpis/peak-times/", **WEEK, metric="users.stickiness"))["detail"]


def test_several_metrics_are_worked_out_at_once(shop: Story, api: Caller) -> None:
    body = {
        "metrics": ["orders.count", "revenue.gross"],
        "from": "2026-03-02",
        "to": "2026-03-09",
        "granularity": "total",
    }
    answer = api.post("kpis/calculate/", {**body, "filters": [{"field": "country", "op": "in", "value": ["FR"]}]})

    assert [(series["metric"], series["total"]) for series in answer.json()["results"]] == [
        ("orders.count", 2),
        ("revenue.gross", "27.00"),
    ]


def test_a_calculation_of_nothing_known_is_refused(acme: Tenant, api: Caller) -> None:
    (error,) = problem(api.post("kpis/calculate/", {"metrics": ["orders.cuont"]}))["errors"]

    assert (error["field"], error["code"]) == ("metrics", "unknown_metric")
    assert "orders.count" in error["detail"]


# --- Own metrics ------------------------------------------------------------------------------------------------------


def test_a_tenant_makes_changes_and_archives_a_metric(shop: Story, api: Caller, globex: Tenant) -> None:
    wanted = {"metric": "shop.margin", "name": "Margin", "formula": "revenue.net / orders.count", "unit": "number"}
    made = api.post("kpis/definitions/", wanted)
    assert made.status_code == 201, made.content
    assert api.get("kpis/shop.margin/series/", **WEEK).json()["total"] == 9.0

    assert caller(globex).get("kpis/definitions/").json()["results"] == []
    assert caller(globex).get("kpis/shop.margin/series/", **WEEK).status_code == 404
    assert caller(globex).get("kpis/definitions/shop.margin/").status_code == 404

    changed = api.send("PUT", "kpis/definitions/shop.margin/", {**wanted, "formula": "revenue.net"})
    assert changed.json()["version"] == 2
    assert api.send("DELETE", "kpis/definitions/shop.margin/").status_code == 204
    assert api.get("kpis/definitions/shop.margin/").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metric": "Margin"}, "metric"),
        ({"metric": "revenue.gross"}, "metric"),
        ({"formula": "revenue.net /"}, "formula"),
        ({"formula": "revenue.nett"}, "formula"),
        ({"formula": "shop.margin + 1"}, "formula"),
        ({"formula": "__import__('os')"}, "formula"),
        ({"unit": "apples"}, "unit"),
        ({"nmae": "x"}, "nmae"),
    ],
)
def test_a_bad_definition_names_the_field(acme: Tenant, api: Caller, change: dict[str, str], field: str) -> None:
    wanted = {"metric": "shop.margin", "name": "Margin", "formula": "revenue.net / orders.count", **change}

    assert [error["field"] for error in problem(api.post("kpis/definitions/", wanted))["errors"]] == [field]
