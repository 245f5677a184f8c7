"""Visitors without a cookie in answers that are read from events (S35), over a real lake.

Dora looks on Monday and buys on Tuesday, Ezra does both on Monday, both without a cookie; Ann, who is known, looks on
Monday and buys on Tuesday. By ids: d1 (Dora, Monday), d2 (Ezra), d3 (Dora, Tuesday) and Ann.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Tenant
from kpis.rollup.refresh import refresh_tenant
from tests.api import Caller, caller
from tests.kpis.visitors import seen, tell

pytestmark = pytest.mark.django_db(transaction=True)

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = MONDAY + 13 * HOUR
NOW = MONDAY + 20 * DAY
MARCH = {"from": "2026-03-02", "to": "2026-03-09"}
STEPS = {"steps": [{"events": ["page_view"]}, {"events": ["order_completed"]}]}
SALT = "(the salt of their ids changes at 00:00 UTC)"
INCLUDED = {"salt_period": "1 day (UTC)", "is_everybody": False, "are_left_out": False}
LEFT_OUT = {**INCLUDED, "are_left_out": True}


@pytest.fixture
def api(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> Caller:
    """Acme's owner. Globex has three visitors of Monday, whom nobody here may see."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    tell(
        acme,
        seen(acme, "dora", NOON),
        seen(acme, "ezra", NOON),
        seen(acme, "ezra", NOON + HOUR, "order_completed"),
        seen(acme, "ann", NOON, by="ann"),
        seen(acme, "dora", NOON + DAY, "order_completed"),
        seen(acme, "ann", NOON + DAY, "order_completed", by="ann"),
    )
    tell(globex, *(seen(globex, who, NOON) for who in ("cleo", "dora", "ezra")))
    for tenant in (acme, globex):
        refresh_tenant(tenant.pk, now=NOW)
        lake_mark(tenant_id=tenant.pk, start=MONDAY, end=NOW, reason="test", now=NOW)
        seal_tenant(tenant.pk, now=NOW, workers=1)
    return caller(acme)


def asked(api: Caller, kind: str, **question: Any) -> dict[str, Any]:
    answer = api.post(f"explore/{kind}/", question)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_funnel_says_how_many_of_those_who_entered_are_daily(api: Caller, globex: Tenant) -> None:
    """Three entered, two of them daily; of Dora's two days it makes one who went no further."""
    found = asked(api, "funnel", **STEPS, **MARCH)
    assert (found["entered"], found["converted"]) == (3, 2)
    assert found["daily_visitors"] == {**INCLUDED, "count": 2}
    assert found["reading"].endswith(f" Those who entered include 2 daily visitors, counted anew each day {SALT}.")
    theirs = asked(caller(globex), "funnel", **STEPS, **MARCH)
    assert theirs["daily_visitors"] == {**INCLUDED, "count": 3, "is_everybody": True}


def test_each_value_of_a_funnel_and_what_it_is_compared_with_have_their_own(api: Caller, globex: Tenant) -> None:
    """All came by one browser; of the six days before them, which end on Monday at 12:30 of Paris, none bought."""
    found = asked(api, "funnel", **STEPS, **MARCH, by="properties.$browser")
    assert [(part["steps"][0]["reached"], part["daily_visitors"]) for part in found["breakdown"]] == [
        (3, {**INCLUDED, "count": 2})
    ]
    later = {"from": "2026-03-03", "to": "2026-03-05", "compare": "previous"}
    question = {"steps": [{"events": ["order_completed"]}, {"events": ["page_view"]}]}
    found = asked(api, "funnel", **question, **later)
    assert (found["entered"], found["daily_visitors"]) == (2, {**INCLUDED, "count": 1})
    before = {**INCLUDED, "count": 1, "is_everybody": True}  # Ezra
    assert (found["comparison"]["steps"][0]["reached"], found["comparison"]["daily_visitors"]) == (1, before)
    theirs = asked(caller(globex), "funnel", **STEPS, **{"from": "2026-03-03", "to": "2026-03-05"}, compare="previous")
    assert "daily_visitors" not in theirs
    assert theirs["comparison"]["daily_visitors"] == {**INCLUDED, "count": 3, "is_everybody": True}


def test_attribution_says_it_of_new_customers(api: Caller, globex: Tenant) -> None:
    """Dora's order of Tuesday, Ezra's and Ann's; what they had seen as others is nobody's."""
    found = asked(api, "attribution", **MARCH, models=["last"])
    assert (found["new_customers"], found["daily_visitors"]) == (3, {**INCLUDED, "count": 2})
    assert found["reading"].endswith(f" New customers include 2 daily visitors, counted anew each day {SALT}.")
    day = asked(api, "attribution", **{"from": "2026-03-02T10:00", "to": "2026-03-02T15:00"}, models=["last"])
    assert (day["new_customers"], "daily_visitors" in day) == (1, False)
    assert "daily_visitors" not in asked(caller(globex), "attribution", **MARCH, models=["last"])


def test_a_funnel_within_one_day_of_utc_counts_nobody_twice(api: Caller) -> None:
    found = asked(api, "funnel", **STEPS, **{"from": "2026-03-02T10:00", "to": "2026-03-02T15:00"}, window="2h")
    assert (found["entered"], found["converted"]) == (3, 1)
    assert "daily_visitors" not in found


def test_paths_say_it_of_their_people(api: Caller) -> None:
    found = asked(api, "paths", anchor={"events": ["page_view"]}, **MARCH)
    assert (found["people"], found["daily_visitors"]) == (3, {**INCLUDED, "count": 2})
    anchor = {"events": ["order_completed"]}
    found = asked(api, "paths", anchor=anchor, **{"from": "2026-03-03", "to": "2026-03-05"}, compare="previous")
    assert (found["people"], found["daily_visitors"]) == (2, {**INCLUDED, "count": 1})
    before = found["comparison"]
    assert (before["people"], before["daily_visitors"]) == (1, {**INCLUDED, "count": 1, "is_everybody": True})


@pytest.mark.parametrize("clock", ["24h", "calendar"])
def test_cohorts_are_of_others_whatever_they_are_read_from(api: Caller, clock: str) -> None:
    """Ann comes on Monday and on Tuesday. With ids of a day it would be 1 of 3, and Dora a cohort of Tuesday."""
    question = {"unit": "day", "periods": 2, "from": "2026-03-02", "clock": clock, "filters": []}
    found = asked(api, "retention", **question)
    assert [(row["size"], row["cells"][1]["returned"]) for row in found["rows"]] == [(1, 1), (0, 0)]
    assert found["daily_visitors"] == {**LEFT_OUT, "count": 3}
    assert f"3 daily visitors left out: no day knows those of another {SALT}." in found["reading"]
    place = {"kind": "retention", "question": question, "place": {"cohort": 0, "period": 0}}
    assert api.post("explore/people/", place).json()["count"] == 1


def test_both_ways_to_read_cohorts_by_the_calendar_agree(api: Caller) -> None:
    question = {"unit": "day", "periods": 3, "from": "2026-03-02", "clock": "calendar", "cohort": "recurring"}
    bitmaps = asked(api, "retention", **question)
    events = asked(api, "retention", **question, include=["bots"])
    assert (bitmaps["executor"], events["executor"]) == ("rollup", "duckdb+kernel")
    shapes = [
        [(row["size"], [cell["returned"] for cell in row["cells"]]) for row in found["rows"]]
        for found in (bitmaps, events)
    ]
    assert shapes[0] == shapes[1]
    assert bitmaps["daily_visitors"] == events["daily_visitors"] == {**LEFT_OUT, "count": 3}


def test_lifecycle_is_of_others(api: Caller) -> None:
    found = asked(api, "lifecycle", **{"from": "2026-03-02", "to": "2026-03-04"}, unit="day")
    assert [(each["active"], each["new"], each["returning"]) for each in found["points"]] == [(1, 1, 0), (1, 0, 1)]
    assert found["daily_visitors"] == {**LEFT_OUT, "count": 3}


def test_usage_says_it_of_the_active_and_tells_strangers_of_no_small_group(api: Caller) -> None:
    found = api.get("usage/", **MARCH).json()
    assert (found["active_users"], found["daily_visitors"]) == (4, {**INCLUDED, "count": 3})
    assert "daily_visitors" not in api.get("usage/", **MARCH, shared="true").json()


def test_without_them_nothing_is_said(api: Caller, acme: Tenant) -> None:
    ann = asked(api, "funnel", **STEPS, **{"from": "2026-03-10", "to": "2026-03-12"})
    assert "daily_visitors" not in ann
    assert "daily visitor" not in ann["reading"]
