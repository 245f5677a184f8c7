"""Questions over HTTP, over a real lake: sealed from events that were stored and counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics import jobs
from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Job, Tenant
from analytics.tenancy import tenant_context
from kpis.explore.models import PeopleRead
from kpis.explore.services import people_read_record
from tests.api import Caller, caller, logged_in, problem
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db(transaction=True)

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = MONDAY + 10 * DAY
MARCH = {"from": "2026-03-02", "to": "2026-03-09"}
SHOP = [{"events": ["page_view"]}, {"events": ["cart_updated"]}, {"events": ["order_completed"]}]


def told(tenant: Tenant, *happened: tuple[str, str, timedelta, dict[str, Any]]) -> None:
    story = Story(tenant)
    for who, name, after, columns in happened:
        story.add(name, MONDAY + after, who, **columns)
    story.count(NOW)
    lake_mark(tenant_id=tenant.pk, start=MONDAY, end=NOW, reason="test", now=NOW)
    seal_tenant(tenant.pk, now=NOW, workers=1)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Tenant:
    """Ann buys, Bob fills his basket on Monday and no more, Cyd looks on Sunday, and her week is not over."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    told(globex, *[(who, "$pageview", HOUR, {}) for who in ("dan", "eve", "fay")])
    told(
        acme,
        ("ann", "$pageview", HOUR, {"channel": "google", "country": "FR"}),
        ("ann", "cart_updated", 2 * HOUR, {}),
        ("ann", "order_completed", 3 * HOUR, {"amount": 1000, "object_id": "o1"}),
        ("bob", "$pageview", HOUR, {"country": "DE"}),
        ("bob", "cart_updated", 5 * HOUR, {}),
        ("cyd", "$pageview", 6 * DAY, {"country": "FR"}),
        ("cyd", "gift_wrapped", 6 * DAY + timedelta(minutes=1), {}),
    )
    return acme


@pytest.fixture
def api(shop: Tenant) -> Caller:
    return caller(shop)


def test_a_funnel_and_everything_it_stands_on(api: Caller) -> None:
    answer = api.post("explore/funnel/", {"steps": SHOP, **MARCH, "by": "country"})
    assert answer.status_code == 200, answer.content
    found = answer.json()

    assert [(step["reached"], step["dropped"], step["still_open"]) for step in found["steps"]] == [
        (3, 0, 1), (2, 1, 0), (1, 0, 0),
    ]  # fmt: skip
    assert [(part["key"], part["steps"][2]["reached"]) for part in found["breakdown"]] == [("FR", 1), ("DE", 0)]
    assert found["steps"][2]["from_start"]["p50"] == 7200
    assert {name: found[name] for name in ("entered", "converted", "excluded", "timezone", "from", "to")} == {
        "entered": 3,
        "converted": 1,
        "excluded": 0,
        "timezone": "Europe/Paris",
        "from": "2026-03-01T23:00:00+00:00",
        "to": "2026-03-08T23:00:00+00:00",
    }
    assert found["is_complete"] is False
    assert found["executor"] == "duckdb+kernel"
    assert found["reading"].startswith("3 people did “page_view”; 1 of them (33.3 %")
    assert found["data_through"] == found["computed_at"] == NOW.isoformat()
    assert found["definition_version"]


def test_a_page_asks_by_its_address_and_gets_the_same(api: Caller) -> None:
    question = {"steps": SHOP, **MARCH}
    posted = api.post("explore/funnel/", question).json()
    assert api.get("explore/funnel/", q=json.dumps(question)).json() == posted


def test_two_periods_side_by_side(api: Caller) -> None:
    found = api.post("explore/funnel/", {"steps": SHOP[:2], **MARCH, "compare": "previous"}).json()["comparison"]
    assert (found["from"], found["to"]) == ("2026-02-22T23:00:00+00:00", "2026-03-01T23:00:00+00:00")
    assert found["steps"][0]["reached"] == 0
    assert found["changes"][1]["difference"] is None


def test_people_behind_a_bar_are_paged_and_that_they_were_shown_is_written_down(api: Caller, shop: Tenant) -> None:
    asked = {"kind": "funnel", "question": {"steps": SHOP, **MARCH}, "place": {"step": 0}}
    first = api.send("POST", "explore/people/?limit=2", asked).json()
    assert first == {"count": 3, "next": 2, "people": [1, 2]}
    assert api.send("POST", "explore/people/?limit=2&after=2", asked).json() == {
        "count": 3,
        "next": None,
        "people": [3],
    }
    dropped = {**asked, "place": {"step": 1, "outcome": "dropped"}}
    assert api.post("explore/people/", dropped).json()["people"] == [2]
    with tenant_context(shop.pk):
        rows = list(PeopleRead.objects.order_by("id").values_list("what", "people"))
    assert rows == [("explore.funnel", 2), ("explore.funnel", 1), ("explore.funnel", 1)]


def test_who_only_reads_numbers_sees_no_people(shop: Tenant) -> None:
    asked = {"kind": "funnel", "question": {"steps": SHOP, **MARCH}, "place": {"step": 0}}
    assert problem(caller(shop, scopes=["kpis:read"]).post("explore/people/", asked))["status"] == 403


def test_a_neighbour_sees_its_own_people_only(shop: Tenant, globex: Tenant) -> None:
    found = caller(globex).post("explore/funnel/", {"steps": SHOP, **MARCH}).json()
    assert [step["reached"] for step in found["steps"]] == [3, 0, 0]
    assert found["timezone"] == "Asia/Kathmandu"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"steps": SHOP[:1]}, "steps", "at least two steps"),
        ({"steps": []}, "steps", "at least two steps"),
        ({"steps": [{"events": ["page_veiw"]}, SHOP[1]]}, "events", "Did you mean page_view"),
        ({"steps": [{"events": ["gift_wraped"]}, SHOP[1]]}, "events", "Did you mean gift_wrapped"),
        ({"window": "0d"}, "window", "longer than nothing"),
        ({"window": "soon"}, "window", "such as 30m"),
        ({"window": "2000d"}, "window", "at most 366"),
        ({"from": "2001-01-01", "to": "2026-01-01"}, "from", "at most 3660 days"),
        ({"order": "chaos"}, "order", "not a valid choice"),
        ({"by": "colour"}, "by", "properties.<key>"),
        ({"by": "contry"}, "by", "Did you mean country"),
        ({"by": "properties."}, "by", "1 to 200 characters"),
        ({"stpes": []}, "stpes", "Did you mean steps"),
        (
            {"steps": [{"events": ["page_view"], "optoinal": True}, SHOP[1]]},
            "steps.0.optoinal",
            "Did you mean optional",
        ),
        ({"filters": [{"field": "evil", "op": "eq", "value": 1}]}, "filters", "no column"),
        ({"compare": "yesteryear"}, "compare", "previous, year_ago"),
        ({"exclusions": [{"events": ["x_y"], "after": 2, "before": 1}]}, "exclusions.0", "`after` before `before`"),
    ],
)
def test_what_cannot_be_asked_is_told_by_field(api: Caller, change: dict[str, Any], field: str, words: str) -> None:
    found = problem(api.post("explore/funnel/", {"steps": SHOP, **MARCH, **change}))
    assert (found["status"], found["errors"][0]["field"]) == (400, field)
    assert words in found["errors"][0]["detail"]


def test_ten_years_and_repeated_steps_are_fine(api: Caller) -> None:
    """Nobody looked twice, so the second look is a step that nobody reached."""
    long = {"from": "2016-06-01", "to": "2026-03-09"}
    found = api.post("explore/funnel/", {"steps": [SHOP[0], SHOP[0]], **long}).json()
    assert [step["reached"] for step in found["steps"]] == [3, 0]


@pytest.mark.parametrize("name", ['plan"; DROP TABLE bw_event; --', "a'b", "$x.y[0]", "ключ", "`tick`", "{brace}"])
def test_hostile_names_are_names(api: Caller, name: str) -> None:
    by = f"properties.{name}"
    asked = {"steps": SHOP, **MARCH, "by": by, "filters": [{"field": by, "op": "ne", "value": "' OR 1=1 --"}]}
    found = api.post("explore/funnel/", asked)
    assert found.status_code == 200, found.content
    assert [part["key"] for part in found.json()["breakdown"]] == ["__none__"]


def test_a_long_question_runs_as_a_job_that_can_be_read_and_stopped(api: Caller, shop: Tenant) -> None:
    question = {"steps": SHOP, **MARCH}
    queued = api.send("POST", "explore/funnel/?mode=job", question)
    assert (queued.status_code, queued.json()["state"]) == (202, "queued")
    path = queued["Location"].removeprefix("/api/v1/")
    assert jobs.run_due(only=["explore.answer"]) == 1
    done = api.get(path).json()
    assert (done["state"], done["progress"]) == ("done", 1.0)
    assert done["result"]["steps"] == api.post("explore/funnel/", question).json()["steps"]

    path = api.send("POST", "explore/funnel/?mode=job", question)["Location"].removeprefix("/api/v1/")
    assert api.send("POST", f"{path}cancel/").json()["state"] == "cancelled"
    assert jobs.run_due(only=["explore.answer"]) == 0
    wrong = problem(api.send("POST", "explore/funnel/?mode=job", {"steps": []}))
    assert wrong["status"] == 400
    with tenant_context(shop.pk):
        assert Job.objects.filter(kind="explore.answer").count() == 2


def test_attribution_with_a_rule_and_a_cost_of_ones_own(api: Caller) -> None:
    asked = {**MARCH, "models": ["last"]}
    found = api.post("explore/attribution/", asked).json()
    assert (found["revenue"], found["conversions"], found["new_customers"]) == ("10.00", 1, 1)
    assert [(credit["key"], credit["revenue"]) for credit in found["models"][0]["credits"]] == [
        ("search", "10.00"), ("direct", "0.00"),
    ]  # fmt: skip

    rules = [{"channel": "big_search", "source": "goo*", "is_paid": True}]
    assert api.get("explore/channels/").json()["is_own"] is False
    assert api.send("PUT", "explore/channels/", {"rules": rules}).json()["is_own"] is True
    costs = {"csv": "day,channel,amount\n2026-03-02,big_search,2.50\n2026-03-09,big_search,99\n"}
    assert api.post("explore/costs/", costs).json() == {"stored": 2, "without_rate": 0}
    credit = api.post("explore/attribution/", asked).json()["models"][0]["credits"][0]
    assert credit == {
        "key": "big_search",
        "revenue": "10.00",
        "share": 1.0,
        "conversions": 1.0,
        "new_customers": 1.0,
        "cost": "2.50",
        "cac": "2.50",
        "cost_per_conversion": "2.50",
        "roas": 4.0,
    }
    assert api.get("explore/costs/").json()["results"][1]["amount"] == "2.50"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"csv": "date;amount\n1;2"},
        {"csv": "day,channel,amount\n2026-03-02,x,-1"},
        {"csv": "day,channel,amount\nsoon,x,1"},
        {"costs": [{"day": "2026-03-02", "channel": "x", "amount": "1", "currency": "XXY"}]},
    ],
)
def test_costs_that_are_none_are_refused(api: Caller, body: dict[str, Any]) -> None:
    assert problem(api.post("explore/costs/", body))["status"] == 400


def test_costs_in_another_currency_wait_for_their_rate(api: Caller, shop: Tenant) -> None:
    row = {"day": "2026-03-02", "channel": "search", "amount": "3", "currency": "USD"}
    assert api.post("explore/costs/", {"costs": [row]}).json() == {"stored": 1, "without_rate": 1}
    rate = {"rates": [{"day": "2026-03-02", "currency": "USD", "rate": "0.5"}]}
    assert api.post("exchange-rates/", rate).status_code in (200, 201)
    assert api.post("explore/costs/", {"costs": [row]}).json() == {"stored": 1, "without_rate": 0}
    found = api.post("explore/attribution/", {**MARCH, "models": ["last"]}).json()
    assert found["models"][0]["credits"][0]["cost"] == "1.50"


def test_an_analyst_may_look_and_a_reading_is_never_changed(owner_user: Any, teammate: Any, shop: Tenant) -> None:
    found = logged_in("theo").post(
        "explore/people/", {"kind": "funnel", "question": {"steps": SHOP, **MARCH}, "place": {"step": 2}}
    )
    assert found.json()["people"] == [1]
    row = people_read_record(tenant_id=shop.pk, actor="x", what="y", question={}, people=0, at=NOW)
    assert str(row) == "x read 0 of y"


def test_retention_comes_from_bitmaps_or_from_the_lake_and_they_agree(api: Caller) -> None:
    asked = {"from": "2026-03-02", "periods": 3, "unit": "day"}
    bitmaps = api.post("explore/retention/", asked).json()
    assert [(row["size"], [cell["returned"] for cell in row["cells"]]) for row in bitmaps["rows"]] == [
        (2, [2, 0, 0]), (0, [0, 0, 0]), (0, [0, 0, 0]),
    ]  # fmt: skip
    lake = api.post(
        "explore/retention/", {**asked, "first": {"events": ["page_view"]}, "returning": {"events": []}}
    ).json()
    assert (bitmaps["executor"], lake["executor"]) == ("rollup", "duckdb+kernel")
    assert lake["rows"][0]["size"] == 2

    money = {**asked, "clock": "24h", "revenue": True}
    first = api.post("explore/retention/", money).json()["rows"][0]["cells"][0]
    assert first.pop("interval") == {"low": pytest.approx(0.3424, abs=1e-4), "high": 1.0}
    assert first == {"period": 0, "returned": 2, "share": 1.0, "revenue": "10.00", "is_complete": True}
    place = {"kind": "retention", "question": money, "place": {"cohort": 0, "period": 0}}
    assert api.post("explore/people/", place).json()["people"] == [1, 2]
    assert problem(api.post("explore/people/", {**place, "place": {"cohort": 9, "period": 0}}))["status"] == 400


def test_lifecycle_and_its_people(api: Caller) -> None:
    asked = {"from": "2026-03-02", "to": "2026-03-09", "unit": "week"}
    point = api.post("explore/lifecycle/", asked).json()["points"][0]
    assert {name: point[name] for name in ("active", "new", "returning", "resurrected", "dormant", "quick_ratio")} == {
        "active": 3, "new": 3, "returning": 0, "resurrected": 0, "dormant": 0, "quick_ratio": None,
    }  # fmt: skip
    place = {"kind": "lifecycle", "question": asked, "place": {"period": 0, "state": "new"}}
    assert api.post("explore/people/", place).json()["people"] == [1, 2, 3]


def test_paths_of_a_shop(api: Caller) -> None:
    found = api.post(
        "explore/paths/", {**MARCH, "anchor": {"events": ["page_view"]}, "depth": 2, "within": "1d"}
    ).json()
    assert [(row["steps"], row["paths"]) for row in found["rows"]] == [
        (["cart_updated", "__end__"], 1), (["cart_updated", "order_completed"], 1), (["gift_wrapped", "__end__"], 1),
    ]  # fmt: skip


def test_paths_and_credits_against_another_range(api: Caller) -> None:
    """Ann bought on 2 March by search; on the two days together she is the only buyer too."""
    asked = {"anchor": {"events": ["page_view"]}, "depth": 1, "within": "1d", "from": "2026-03-03", "to": "2026-03-09"}
    paths = api.post("explore/paths/", {**asked, "compare": "2026-03-02..2026-03-03"}).json()
    other = paths["comparison"]
    assert (other["paths"], other["people"], other["from"]) == (2, 2, "2026-03-01T23:00:00+00:00")
    assert {
        (change["name"], change["paths"], change["paths_before"], change["difference"], change["is_clear"])
        for change in other["changes"]
    } == {("gift_wrapped", 1, 0, 1.0, False), ("__other__", 0, 2, -1.0, False)}
    assert other["changes"][0]["interval"] is None, "one person says nothing of others"
    assert api.post("explore/paths/", asked).json()["comparison"] is None

    credits = {**MARCH, "models": ["last", "markov"]}
    found = api.post("explore/attribution/", {**credits, "compare": "previous"}).json()["comparison"]
    assert (found["conversions"], found["revenue"], found["to"]) == (0, "0.00", "2026-03-01T23:00:00+00:00")
    assert [table["model"] for table in found["models"]] == ["last", "markov"]
    change = next(each for each in found["models"][0]["changes"] if each["key"] == "search")
    assert {name: change[name] for name in change if "interval" not in name} == {
        "key": "search", "share": 1.0, "share_before": None, "difference": None, "is_clear": False,
        "revenue": "10.00", "revenue_before": "0.00", "revenue_difference": "10.00", "is_revenue_clear": False,
    }  # fmt: skip
    assert api.post("explore/attribution/", credits).json()["comparison"] is None
    refused = problem(api.post("explore/attribution/", {**credits, "compare": "never"}))
    assert refused["errors"][0]["field"] == "compare"


def test_people_behind_a_credit_and_behind_none(api: Caller, shop: Tenant) -> None:
    question = {**MARCH, "models": ["last", "markov"]}
    place = {"model": "last", "key": "search"}
    asked = {"kind": "attribution", "question": question, "place": place}
    assert api.post("explore/people/", asked).json() == {"count": 1, "next": None, "people": [1]}
    with tenant_context(shop.pk):
        assert PeopleRead.objects.filter(what="explore.attribution").count() == 1
    for wrong in ({"model": "first", "key": "search"}, {"model": "last", "key": "zork"}, {"key": 1}):
        assert problem(api.post("explore/people/", {**asked, "place": wrong}))["status"] == 400
    kept = api.post("segments/", {"name": "By search", "source": "answer", "definition": asked})
    assert kept.status_code == 201, kept.content
    assert kept.json()["size"] == 1


def test_everything_that_one_person_did_is_shown_to_analysts_and_written_down(api: Caller, shop: Tenant) -> None:
    found = api.get("users/1/timeline/").json()
    assert [event["name"] for event in found["results"]] == ["order_completed", "cart_updated", "$pageview"]
    assert problem(api.get("users/999/timeline/"))["status"] == 404
    assert problem(caller(shop, scopes=["kpis:read"]).get("users/1/timeline/"))["status"] == 403
    with tenant_context(shop.pk):
        assert list(PeopleRead.objects.values_list("what", "question")) == [("timeline", {"person": 1})]


def test_a_funnel_tells_its_curve_its_times_and_what_changed(api: Caller) -> None:
    """Ann needed two hours, Bob's week is over, Cyd has been watched for four days."""
    asked = {"steps": SHOP, **MARCH, "compare": "2026-02-23..2026-03-02"}
    found = api.post("explore/funnel/", asked).json()
    curve = found["curve"]
    assert [(p["seconds"], p["share"], p["at_risk"], p["converted"]) for p in curve["points"]] == [
        (7200.0, pytest.approx(1 / 3), 3, 1)
    ]
    assert (curve["entered"], curve["censored"], curve["until_seconds"]) == (3, 1, 604_800.0)
    assert found["times"] == [{"low": 3600, "high": 10_800, "n": 1, "share": 1.0}]
    assert found["counts"] == "people"
    assert found["comparison"]["split"] is None  # nobody before
    assert api.post("explore/funnel/", {**asked, "curve": False}).json()["curve"] is None


def test_attempts_visits_and_groups_over_http(api: Caller) -> None:
    """Ann filled her basket an hour after she looked, Bob four: no visit lasts as long without an event."""
    asked = {"steps": SHOP, **MARCH}
    visits = api.post("explore/funnel/", {**asked, "session": True, "entry": "every"}).json()
    assert visits["counts"] == "attempts"
    assert [(step["reached"], step["dropped"], step["still_open"]) for step in visits["steps"]] == [
        (3, 3, 0), (0, 0, 0), (0, 0, 0),
    ]  # fmt: skip
    groups = api.post("explore/funnel/", {**asked, "group": "company"}).json()
    assert (groups["counts"], groups["entered"]) == ("groups", 0)
    who = {"kind": "funnel", "question": {**asked, "group": "company"}, "place": {"step": 0}}
    answer = api.post("explore/people/", who)
    assert answer.status_code == 400
    assert "no lists of people" in str(problem(answer))


def test_two_cohorts_and_the_interval_between_uses_over_http(api: Caller) -> None:
    """Two came first on Monday, one on Sunday; nobody ever came on two days."""
    asked = {"unit": "day", "periods": 8, "from": "2026-03-02", "versus": [6, 0], "min_size": 2}
    found = api.post("explore/retention/", asked).json()
    assert found["executor"] == "rollup"
    assert [row["is_small"] for row in found["rows"]] == [False, *[True] * 7]
    assert found["versus"]["size"] == 1
    assert [(test["period"], test["difference"], test["p"]) for test in found["versus"]["periods"]][:2] == [
        (0, 0.0, None), (1, 0.0, None),
    ]  # fmt: skip
    assert found["usage_interval"] is None
    assert found["rows"][0]["cells"][0]["interval"]["high"] == 1.0
    clock = api.post("explore/retention/", {"clock": "24h", "unit": "day", "periods": 8, "from": "2026-03-02",
                                            "days": [1, 3]}).json()  # fmt: skip
    assert clock["days"] == [1, 3]
    assert [cell["returned"] for cell in clock["rows"][0]["cells"]] == [0, 0]
