"""Forms as an enemy fills them in: half characters, numbers without end, the last day of time. Never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.models import PeopleSegment
from reports.boards.models import Board

pytestmark = pytest.mark.django_db

HALF = "\\ud800"  # as JSON and YAML write half of a surrogate pair
ENDLESS = "9" * 5000  # more digits than Python turns into a number
GOAL = {"name": "Far", "metric": "orders.count", "target": "5", "period": "custom", "shape": "linear"}
CARD = '{{"title": "t", "cards": [{{"kind": "text", "text": "{0}"}}]}}'
EDITS: dict[str, dict[str, str]] = {
    "a version without end": {"version": ENDLESS, "document": CARD.format("x")},
    "half a character in the title": {"version": "1", "document": f'{{"title": "{HALF}", "cards": []}}'},
    "half a character in a card": {"version": "1", "document": CARD.format(HALF)},
    "half a character in the question": {
        "version": "1",
        "document": f'{{"title": "t", "query": {{"country": "{HALF}"}}, "cards": []}}',
    },
    "half a character in YAML": {"version": "1", "yaml": f'title: "{HALF}"\ncards: []\n'},
    "half a character as a key of YAML": {"version": "1", "yaml": f'title: t\n"{HALF}": 1\n'},
}


@pytest.fixture
def olga(owner_user: Any, stranger: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(owner_user)
    return client


@pytest.fixture
def board(acme: Tenant, owner_user: Any) -> str:
    made = Client()
    made.force_login(owner_user)
    return str(made.post("/boards/new/", {"starter": "empty", "title": "Sales"})["Location"].split("/")[2])


def boards(tenant: Tenant) -> list[tuple[str, int]]:
    with tenant_context(tenant.pk):
        return list(Board.objects.values_list("title", "version"))


@pytest.mark.parametrize("sent", EDITS.values(), ids=EDITS)
def test_the_editor_refuses_what_nothing_can_store(
    olga: Client, acme: Tenant, board: str, sent: dict[str, str]
) -> None:
    answer = olga.post(f"/boards/{board}/edit/", sent)
    assert answer.status_code in (400, 409)
    assert boards(acme) == [("Sales", 1)]


@pytest.mark.parametrize(
    "body",
    [
        f'{{"card": {{"kind": "text", "text": "{HALF}"}}}}',
        f'{{"card": {{"kind": "tile", "metric": "orders.count", "query": {{"country": "{HALF}"}}}}}}',
        f'{{"card": {{"kind": "table", "metric": "orders.count", "query": {{"by": "properties.{HALF}"}}}}}}',
    ],
)
def test_a_preview_of_half_a_character_is_refused(olga: Client, body: str) -> None:
    answer = olga.post("/boards/preview/", body, content_type="application/json")
    assert (answer.status_code, answer.json()) == (400, {"problems": ["This is no card."]})


def test_a_file_with_half_a_character_makes_no_board(olga: Client, acme: Tenant) -> None:
    answer = olga.post("/boards/import/", {"yaml": f'title: "{HALF}"\ncards: []\n'}, follow=True)
    assert answer.status_code == 200
    assert "surrogate" in answer.content.decode()
    assert boards(acme) == []


def test_a_view_is_not_kept_over_a_version_without_end(olga: Client, acme: Tenant, board: str) -> None:
    assert olga.post(f"/boards/{board}/keep/", {"version": ENDLESS, "period": "last_7d"}).status_code == 302
    assert boards(acme) == [("Sales", 1)]


def test_a_link_does_not_outlive_time(olga: Client, board: str) -> None:
    answer = olga.post(f"/boards/{board}/links/", {"name": "For ever", "expires_on": "9999-12-31"})
    assert answer.status_code == 400
    assert "Write the last day as" in answer.content.decode()


def test_a_goal_does_not_end_after_time(olga: Client) -> None:
    answer = olga.post("/goals/new/", {**GOAL, "first": "2026-03-01", "last": "9999-12-31"})
    assert answer.status_code == 400
    assert "before the year 2200" in answer.content.decode()


def test_a_segment_is_not_named_with_nul(olga: Client, acme: Tenant) -> None:
    place = {"kind": "lifecycle", "q": "{}", "at": json.dumps({"period": 0, "state": "new"})}
    answer = olga.post("/segments/", {"name": "a\0b", **place}, follow=True)
    assert answer.status_code == 200
    assert "Not kept" in answer.content.decode()
    with tenant_context(acme.pk):
        assert not PeopleSegment.objects.exists()


def test_a_window_longer_than_time_is_told(olga: Client) -> None:
    question = {"steps": [{"events": ["page_view"]}, {"events": ["order_completed"]}], "window": "999999999w"}
    page = olga.get("/explore/funnel/", {"q": json.dumps(question)})
    assert page.status_code == 200
    assert "longer than anybody can wait" in page.content.decode()
    answer = olga.get("/api/v1/explore/funnel/", {"q": json.dumps(question)})
    assert answer.status_code == 400
