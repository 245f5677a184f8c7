"""What the screens, the files and the API say of visitors without a cookie (S35)."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from analytics.models import Tenant
from kpis.rollup.refresh import refresh_tenant
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
    assert f'<span class="mark muted" title="{INCLUDES}">incl. 3 daily visitors</span>' in page
    assert f'<span class="told">{INCLUDES}</span>' in page
    theirs = text_of(sam.get("/metrics/users.active/?period=7d"))
    assert f'<span class="mark muted" title="{EVERYBODY}">daily visitors</span>' in theirs
    assert "daily visitor" not in text_of(olga.get("/metrics/pageviews.count/?period=7d"))


def test_its_explanation_and_the_tile_of_the_overview_say_so_too(site: Tenant, olga: Client) -> None:
    assert INCLUDES in text_of(olga.get("/metrics/users.wau/explained/?period=7d"))
    overview = text_of(olga.get("/?period=7d"))
    assert f'<li class="mark muted" title="{INCLUDES}">incl. 3 daily visitors</li>' in overview


def test_retention_and_lifecycle_leave_them_out_and_say_so(site: Tenant, olga: Client) -> None:
    page = text_of(olga.get('/explore/retention/?q={"unit":"day","periods":7}'))
    assert page.count(f"3 daily visitors left out: no day knows those of another {SALT}.") == 2


def test_files_say_it_beside_their_numbers_and_in_what_they_stand_on(site: Tenant) -> None:
    """A CSV has rows only; a JSON file (and a workbook) ends with the sentence."""
    api = caller(site)
    table = list(csv.reader(io.StringIO(file_of(api, "users.active", "csv").decode("utf-8-sig"))))
    assert table[0] == ["start", "value", "is_complete", "daily_visitors"]
    assert {row[3] for row in table[1:]} == {"incl. 3 daily visitors"}
    about = json.loads(file_of(api, "users.active", "json"))["about"]
    assert about["Daily visitors"] == INCLUDES
    assert b"daily" not in file_of(api, "pageviews.count", "csv")


def file_of(api: Caller, metric: str, format: str) -> bytes:
    answer = api.get(f"kpis/{metric}/export/", period="7d", granularity="day", format=format)
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
    assert api.get("kpis/users.active/explain/", **seven).json()["daily_visitors"] == mark
    retention = api.post("explore/retention/", {"unit": "day", "periods": 7, "clock": "calendar"}).json()
    assert retention["daily_visitors"] == {**mark, "are_left_out": True}


def test_the_schema_documents_it() -> None:
    schemas = schema()["components"]["schemas"]
    assert set(schemas["DailyVisitors"]["required"]) == {"count", "salt_period", "is_everybody", "are_left_out"}
    for answer in ("Series", "Overview", "Catalogue", "Value", "Explanation", "ExploreAnswer"):
        assert "daily_visitors" in schemas[answer]["properties"], answer
        assert "daily_visitors" not in schemas[answer].get("required", ()), answer


def test_the_command_says_it(site: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    last = timezone.now().date()
    call_command("kpi", "users.wau", "--tenant", "acme", "--from", str(last - timedelta(days=7)), "--to", str(last))
    assert "daily visitors, counted anew each day" in capsys.readouterr().out
