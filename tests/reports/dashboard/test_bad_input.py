"""Whatever the address says: a page with a clear message, never a 500, and nothing of others."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

import pytest
from django.test import Client

from analytics.models import Tenant
from tests.reports.dashboard.conftest import sell, text_of

pytestmark = pytest.mark.django_db

QUESTIONS = [
    ("from=2026-11-30&to=2026-11-01", "must be later than"),
    ("from=2026-99-99&to=2026-11-01", "is no date"),
    ("from=0001-01-02&to=9999-12-31", "between the years 1970"),
    ("from=1970-01-02&to=2199-01-01&granularity=minute", "points"),
    ("period=last_9999m", "between the years"),
    ("period=zork", "is no range"),
    ("timezone=Mars/Olympus", "no time zone"),
    ("timezone=Asia/Tokyo", "counts in Europe/Paris"),
    ("by=zork", "no dimension"),
    ("granularity=fortnight", "is one of"),
    ("compare=zork", "previous, year_ago"),
    ("filters=%5B%7B", "Write JSON"),
    ('filters=[{"field":"zork","op":"eq","value":"x"}]', "no dimension"),
    ('filters=[{"field":"country","op":"gt","value":5}]', "Gross revenue"),
    ('filters=[{"field":"amount","op":"gt","value":"x"}]', "is a number"),
    ('filters=[{"field":"properties.a b","op":"in","value":["x"]}]', "Gross revenue"),
    ('filters=[{"field":"country","op":"is_null","value":3}]', "True or False"),
    ("match_weekday=perhaps", "true or false"),
    ("limit=0", "whole number"),
    ("include=robots", "takes bots"),
    ("country=%00", "at most 100 values"),
    ("nonsense=1", "no parameter"),
    ("counrty=FR", "Did you mean country"),
]


@pytest.mark.parametrize(("query", "message"), QUESTIONS)
@pytest.mark.parametrize("path", ["/", "/revenue/", "/metrics/revenue.gross/"])
def test_a_bad_question_is_told_and_the_rest_of_the_page_stays(
    path: str, query: str, message: str, shops: datetime, olga: Client
) -> None:
    page = text_of(olga.get(f"{path}?{query}"))
    assert message in page
    assert "Gross revenue" in page


def test_everything_wrong_at_once_is_told_at_once(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/?from=2026-11-30&to=2026-11-01&by=zork&compare=zork&include=robots&nonsense=1"))
    assert "€40.49" in page
    assert [text in page for text in ("must be later", "no dimension", "previous, year_ago", "takes bots")] == [
        True
    ] * 4


HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "{{ 7*7 }}",
    "\u202egnp",
    "a" * 300,
    "]]></svg>",
    "</script><b>",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text_wherever_they_are_shown(name: str, acme: Tenant, olga: Client) -> None:
    sell(acme, [500], country=name[:60], platform=name[:60], channel=name[:60])
    for path in ("/", "/revenue/", "/metrics/revenue.gross/", "/metrics/revenue.gross/?by=platform", "/realtime/"):
        page = text_of(olga.get(path))
        for raw in ("<script>alert", "<img src=x", "</svg>]]", "]]></svg>", "</script><b>"):
            assert raw not in page
    filtered = text_of(olga.get("/?" + urlencode({"country": name[:60]})))
    assert "<script>alert" not in filtered
    assert "<img src=x" not in filtered


@pytest.mark.parametrize(
    "next_", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "\n/x"]
)
def test_no_form_leads_to_another_site(next_: str, acme: Tenant, olga: Client) -> None:
    answer = olga.get("/range/", {"next": next_, "first": "2026-11-01", "last": "2026-11-07"})
    assert answer["Location"] == "/?from=2026-11-01&to=2026-11-08"
    assert olga.post("/theme/", {"next": next_, "theme": "dark"})["Location"] == "/"


def test_days_of_a_form_are_both_included(acme: Tenant, olga: Client) -> None:
    answer = olga.get("/range/?next=/revenue/&first=2026-11-01&last=2026-11-07&period=today&country=FR")
    assert answer["Location"] == "/revenue/?country=FR&from=2026-11-01&to=2026-11-08"


def test_a_filter_of_a_form_joins_the_others(acme: Tenant, olga: Client) -> None:
    answer = olga.get("/range/?next=/revenue/%3Fcountry%3DFR%26by%3Dchannel%23top&first=2026-11-01&last=2026-11-07")
    assert answer["Location"] == "/revenue/?country=FR&by=channel&from=2026-11-01&to=2026-11-08"
    answer = olga.get("/range/?next=/&country=FR&filter_by=platform&filter_value=web")
    assert answer["Location"] == "/?country=FR&platform=web"
    answer = olga.get("/range/?next=/&filter_by=country&filter_value=germany, FR,Neverland")
    assert answer["Location"] == "/?country=DE%2CFR%2CNeverland"


def test_an_unknown_page_is_a_page_with_the_id_to_quote(acme: Tenant, olga: Client) -> None:
    answer = olga.get("/nowhere/")
    assert answer.status_code == 404
    assert answer["X-Request-ID"] in answer.content.decode()
    assert answer["Content-Type"].startswith("text/html")


def test_the_api_keeps_its_problem_documents(acme: Tenant, olga: Client) -> None:
    assert olga.get("/api/v1/nowhere/")["Content-Type"] == "application/problem+json"
