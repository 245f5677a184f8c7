"""What the screens, the files and the API say of visitors without a cookie (S35)."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from analytics.models import Tenant
from kpis.contracts import Change, Comparison
from kpis.daily_visitors import DailyVisitors
from kpis.goals.services import GoalDraft, goal_create
from kpis.rollup.refresh import refresh_tenant
from reports.dashboard.cards import daily_marks
from tests.api import Caller, caller
from tests.architecture.test_api_schema import schema
from tests.kpis.visitors import seen, tell
from tests.reports.dashboard.conftest import text_of

pytestmark = pytest.mark.django_db

SALT = "(the salt of their ids changes at 00:00 UTC)"
INCLUDES = f"Includes 3 daily visitors, counted anew each day {SALT}."
EVERYBODY = f"All of them are daily visitors, counted anew each day {SALT}."


@pytest.fixture
def site(acme: Tenant, globex: Tenant) -> Tenant:
    """Cleo came to Acme on each of the last three days, without a cookie, and Ann yesterday; Cleo alone to Globex."""
    now = timezone.now()
    days = [now - timedelta(days=ago) for ago in (3, 2, 1)]
    tell(acme, *(seen(acme, "cleo", at) for at in days), seen(acme, "ann", days[-1], by="ann"))
    tell(globex, *(seen(globex, "cleo", at) for at in days))
    for tenant in (acme, globex):
        refresh_tenant(tenant.pk, now=now)
    return acme


def test_the_page_of_a_number_says_how_many_in_it_are_daily(site: Tenant, olga: Client, sam: Client) -> None:
    page = text_of(olga.get("/metrics/users.active/?period=7d"))
    assert f'<span class="told">{INCLUDES}</span>' in page
    assert "incl. 3 daily visitors</span>" not in page  # not twice
    theirs = text_of(sam.get("/metrics/users.active/?period=7d"))
    assert f'<span class="told">{EVERYBODY}</span>' in theirs
    assert "daily visitor" not in text_of(olga.get("/metrics/pageviews.count/?period=7d"))


def test_its_explanation_and_the_tile_of_the_overview_say_so_too(site: Tenant, olga: Client) -> None:
    assert INCLUDES in text_of(olga.get("/metrics/users.wau/explained/?period=7d"))
    overview = text_of(olga.get("/?period=7d"))
    assert f'<li class="mark muted" title="{INCLUDES}">incl. 3 daily visitors</li>' in overview
    assert f'<span class="mark muted" title="{INCLUDES}">incl. 3 daily visitors</span>' in overview  # a chart's


def test_a_chart_says_it_of_its_points_its_parts_and_what_it_is_compared_with(site: Tenant, olga: Client) -> None:
    """WAU as a table has it beside each day; by country each line has its own; a change may be due to them alone."""
    table = text_of(olga.get("/metrics/users.wau/?period=7d"))
    assert '<small class="muted">(incl. 3 daily visitors)</small>' in table
    parts = text_of(olga.get("/metrics/users.active/?period=7d&by=properties.$browser"))
    legend = parts.partition('<ul class="legend"')[2].partition("</ul>")[0]
    assert f'<span class="mark muted" title="{INCLUDES}">incl. 3 daily visitors</span>' in legend
    assert 'Chrome <small class="muted">incl. 3 daily visitors</small></a>' in parts
    day = (timezone.now() - timedelta(days=1)).date()
    gone = text_of(olga.get(f"/metrics/users.wau/?from={day + timedelta(days=1)}&to={day + timedelta(days=9)}"))
    assert "daily visitor" in gone
    only_before = daily_marks(None, compared_with(DailyVisitors(3)))
    assert [(mark.text, mark.title) for mark in only_before] == [
        ("before: incl. 3 daily visitors", "What it is compared with includes 3 daily visitors.")
    ]
    (both,) = daily_marks(DailyVisitors(3), compared_with(DailyVisitors(1)))
    assert both.title == f"{INCLUDES} What it is compared with includes 1 daily visitor."


def compared_with(daily: DailyVisitors) -> Comparison:
    now = timezone.now()
    change = Change(None, None, None, "", "no_value", None)
    return Comparison(now - timedelta(days=7), now, Decimal(5), change, (), daily)


def test_strangers_read_it_of_whole_numbers_only(site: Tenant, globex: Tenant, olga: Client) -> None:
    """Nine in all, six of them daily; within a platform, or under a filter, the mark would divide a group (S36)."""
    now = timezone.now()
    others = [seen(site, "ann", now - timedelta(days=1), by=name) for name in ("ben", "cyd")]
    tell(site, *others, *(seen(site, "dora", now - timedelta(days=ago)) for ago in (3, 2, 1)))
    refresh_tenant(site.pk, now=now)
    cards: list[dict[str, Any]] = [
        {"kind": "tile", "metric": "users.active", "y": 1},
        {"kind": "tile", "metric": "users.wau", "query": {"platform": "web"}, "y": 2},
        {"kind": "chart", "metric": "users.wau", "query": {"platform": "web"}, "y": 3},
        {"kind": "table", "metric": "users.active", "query": {"by": "platform"}, "y": 4},
    ]
    api = caller(site)
    board = api.post("boards/", {"title": "People", "query": {"period": "7d"}, "cards": cards}).json()
    ours = text_of(olga.get(f"/boards/{board['id']}/"))
    link = api.post(
        f"boards/{board['id']}/links/", {"name": "All", "expires_at": (now + timedelta(days=7)).isoformat()}
    )
    theirs = text_of(Client().get(link.json()["url"].removeprefix("http://testserver")))
    assert [page.count("incl. 6 daily visitors") for page in (ours, theirs)] == [5, 1]
    assert [page.count(f'<article class="tile" data-metric="users.{name}"') for name in ("active", "wau") for page in
            (ours, theirs)] == [1, 1, 1, 1]  # fmt: skip


def test_a_goal_and_a_segment_say_it_on_their_pages(site: Tenant, globex: Tenant, olga: Client) -> None:
    today = timezone.now().date()
    draft = GoalDraft(name="Visitors", metric="users.mau", target=Decimal(9), first=today, period="month")
    goal = goal_create(tenant_id=site.pk, draft=draft, actor="olga", now=timezone.now())
    assert INCLUDES in text_of(olga.get(f"/goals/{goal.pk}/"))
    week = {"source": "measure", "definition": {"measure": "users.active", "period": "last_7d"}}
    made = [caller(each).post("segments/", {"name": "A week", **week}).json() for each in (site, globex)]
    mark = {"count": 3, "salt_period": "1 day (UTC)", "is_everybody": False, "are_left_out": False}
    assert [(each["size"], each["daily_visitors"]) for each in made] == [(4, mark), (3, {**mark, "is_everybody": True})]
    assert caller(site).get(f"segments/{made[0]['id']}/").json()["daily_visitors"] == mark
    assert "daily_visitors" not in caller(site).get("segments/").json()["results"][0]
    assert INCLUDES in text_of(olga.get(f"/segments/{made[0]['id']}/"))


def test_retention_and_lifecycle_leave_them_out_and_say_so(site: Tenant, olga: Client) -> None:
    page = text_of(olga.get('/explore/retention/?q={"unit":"day","periods":7}'))
    assert page.count(f"3 daily visitors left out: no day knows those of another {SALT}.") == 2


def test_files_say_it_beside_their_numbers_and_in_what_they_stand_on(site: Tenant) -> None:
    """A CSV has rows only, and whoever has days adds them; a JSON file (and a workbook) ends with the sentence."""
    api = caller(site)
    table = list(csv.reader(io.StringIO(file_of(api, "users.active", "csv").decode("utf-8-sig"))))
    assert table[0] == ["start", "value", "is_complete", "daily_visitors"]
    assert {row[3] for row in table[1:] if row[1]} == {"never add rows: incl. 3 daily visitors"}
    assert {row[3] for row in table[1:] if not row[1]} <= {""}
    weeks = list(csv.reader(io.StringIO(file_of(api, "users.wau", "csv", compare="previous").decode("utf-8-sig"))))
    assert weeks[0][-2:] == ["daily_visitors", "compared_daily_visitors"]
    assert weeks[-1][-2:] == ["incl. 3 daily visitors", ""]
    about = json.loads(file_of(api, "users.active", "json"))["about"]
    assert about["Daily visitors"] == INCLUDES
    assert b"daily" not in file_of(api, "pageviews.count", "csv")


def file_of(api: Caller, metric: str, format: str, **more: str) -> bytes:
    answer = api.get(f"kpis/{metric}/export/", period="7d", granularity="day", format=format, **more)
    return b"".join(answer.streaming_content)


def test_every_answer_of_the_api_that_counts_them_has_the_field(site: Tenant) -> None:
    api, seven = caller(site), {"period": "7d"}
    mark = {"count": 3, "salt_period": "1 day (UTC)", "is_everybody": False, "are_left_out": False}
    assert api.get("kpis/users.active/series/", **seven).json()["daily_visitors"] == mark
    overview = api.get("kpis/overview/", **seven).json()
    assert overview["daily_visitors"] == mark
    found = {item["metric"]: item.get("daily_visitors") for item in overview["items"]}
    assert (found["users.active"], found["users.mau"], found["revenue.gross"]) == (mark, mark, None)
    listed = api.get("kpis/", family="users", **seven).json()
    values: dict[str, Any] = {item["metric"]: item.get("daily_visitors") for item in listed["results"]}
    assert (listed["daily_visitors"], values["users.wau"], values["users.signups"]) == (mark, mark, None)
    weeks = api.get("kpis/users.active/series/", granularity="month", compare="previous", period="30d").json()
    assert sum(point["daily_visitors"]["count"] for point in weeks["points"] if "daily_visitors" in point) == 3
    assert "daily_visitors" not in weeks["comparison"]
    assert api.get("kpis/users.active/explain/", **seven).json()["daily_visitors"] == mark
    retention = api.post("explore/retention/", {"unit": "day", "periods": 7, "clock": "calendar"}).json()
    assert retention["daily_visitors"] == {**mark, "are_left_out": True}


def test_the_schema_documents_it() -> None:
    schemas = schema()["components"]["schemas"]
    assert set(schemas["DailyVisitors"]["required"]) == {"count", "salt_period", "is_everybody", "are_left_out"}
    for answer in (
        "Series",
        "Overview",
        "Catalogue",
        "Value",
        "Explanation",
        "ExploreAnswer",
        "Point",
        "Comparison",
        "Breakdown",
        "Standing",
        "PeopleSegment",
    ):
        assert "daily_visitors" in schemas[answer]["properties"], answer
        assert "daily_visitors" not in schemas[answer].get("required", ()), answer


def test_the_command_says_it(site: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    last = timezone.now().date()
    call_command("kpi", "users.wau", "--tenant", "acme", "--from", str(last - timedelta(days=7)), "--to", str(last))
    assert "daily visitors, counted anew each day" in capsys.readouterr().out
