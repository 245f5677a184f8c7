"""Links to boards: signed, expiring, revocable; behind them nobody is recognised."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pyroaring import FrozenBitMap

from analytics.access.throttles import gcra
from analytics.models import Tenant
from kpis.groups import Crowd, withheld
from reports.boards.tokens import token_read
from tests.api import Caller, caller, logged_in, problem
from tests.kpis.story import Story

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
NOBODY = "00000000-0000-4000-8000-000000000000"
BOARD: dict[str, Any] = {
    "title": "Sales",
    "query": {"period": "last_7d"},
    "cards": [
        {"kind": "tile", "metric": "revenue.gross", "y": 1},
        {"kind": "chart", "metric": "orders.count", "y": 2},
        {"kind": "table", "metric": "revenue.gross", "query": {"by": "country"}, "y": 3},
        {"kind": "table", "metric": "orders.count", "query": {"by": "object_id"}, "y": 4},
        {"kind": "tile", "metric": "revenue.net", "query": {"country": "DE"}, "y": 5},
        {"kind": "text", "text": "<script>alert(1)</script>", "y": 6},
        {"kind": "retention", "y": 7},
    ],
}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    yield
    for key in gcra()._redis.scan_iter("bw:rate:share:*"):
        gcra()._redis.delete(key)


def sell(story: Story, country: str, *people: str) -> None:
    for number, who in enumerate(people):
        at = MONDAY + timedelta(days=2, hours=number)
        story.add("order_completed", at, who, amount=1000, country=country, object_id=f"order-of-{who}")


@pytest.fixture
def story(acme: Tenant, globex: Tenant) -> Story:
    """FR: five people. ES: five people. DE: gil alone, who is of ES too. Globex: NP."""
    neighbour = Story(globex, currency="NPR")
    sell(neighbour, "NP", "ann", "bob", "cyd", "dan", "eve", "fay")
    neighbour.count(NOW)
    story = Story(acme)
    sell(story, "FR", "ann", "bob", "cyd", "dan", "eve")
    sell(story, "ES", "cyd", "dan", "eve", "fay", "gil")
    return story


@pytest.fixture
def api(acme: Tenant) -> Caller:
    return caller(acme)


def link(api: Caller, board: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    made = api.post("boards/", board or BOARD).json()
    wanted = {"name": "Directors", "expires_at": (NOW + timedelta(days=7)).isoformat(), **changes}
    answer = api.post(f"boards/{made['id']}/links/", wanted)
    assert answer.status_code == 201, answer.content
    return {**answer.json(), "board": made["id"], "path": answer.json()["url"].removeprefix("http://testserver")}


def page(path: str, **more: Any) -> Any:
    return Client(raise_request_exception=False).get(path, **more)


# --- Open and closed --------------------------------------------------------------------------------------------------


def test_a_link_shows_the_board_to_whoever_has_it(story: Story, api: Caller) -> None:
    story.count(NOW)
    made = link(api)
    answer = page(made["path"])
    html = answer.content.decode()

    assert answer.status_code == 200
    assert "€100.00" in html  # ten orders of ten euros
    assert "&lt;script&gt;alert(1)" in html
    assert (answer["X-Robots-Tag"], answer["Referrer-Policy"]) == ("noindex, nofollow, noarchive", "no-referrer")
    assert answer["Cache-Control"] == "private, no-cache"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert "Set-Cookie" not in answer
    (listed,) = api.get(f"boards/{made['board']}/links/").json()["results"]
    assert (listed["state"], listed["opened"], listed["url"]) == ("open", 1, made["url"])


def test_the_page_leads_nowhere_inside(story: Story, api: Caller) -> None:
    story.count(NOW)
    html = page(link(api)["path"]).content.decode()

    for inside in ("/metrics/", "/boards/", "/export/", "/api/", "/admin/", "/goals/", "live-badge", "order-of-"):
        assert inside not in html


def test_expired_revoked_forged_and_foreign_links_get_the_same_page(
    story: Story, api: Caller, monkeypatch: Any
) -> None:
    story.count(NOW)
    expired, revoked, gone = link(api, expires_at=(NOW + timedelta(days=1)).isoformat()), link(api), link(api)
    assert api.send("DELETE", f"boards/{revoked['board']}/links/{revoked['id']}/").status_code == 204
    assert api.send("DELETE", f"boards/{gone['board']}/", headers={"If-Match": '"1"'}).status_code == 204
    token = revoked["path"].split("/")[2]
    paths = [expired["path"], revoked["path"], gone["path"], "/shared/x/", f"/shared/{token[:-2]}AA/"]
    paths += [f"/shared/{'A' * 59}/", f"/shared/{'é' * 59}/", f"/shared/{token}{token}/"]
    monkeypatch.setattr(timezone, "now", lambda: NOW + timedelta(days=2))

    answers = [page(path) for path in paths]

    assert {answer.status_code for answer in answers} == {404}
    bodies = {answer.content.decode().replace(answer["X-Request-ID"], "") for answer in answers}
    assert len(bodies) == 1
    assert "This link is closed" in bodies.pop()


def test_no_changed_token_is_genuine(acme: Tenant, api: Caller) -> None:
    token = link(api, {"title": "Empty"})["path"].split("/")[2]
    pick = random.Random(3)
    raw = base64.urlsafe_b64decode(token + "=")
    assert token_read(token) is not None
    for _ in range(2000):
        changed = bytearray(raw)
        changed[pick.randrange(len(raw))] ^= 1 << pick.randrange(8)
        assert token_read(base64.urlsafe_b64encode(bytes(changed)).decode().rstrip("=")) is None


def test_a_link_of_one_tenant_cannot_be_managed_by_another(
    story: Story, api: Caller, globex: Tenant, stranger: Any
) -> None:
    made = link(api)
    for other in (caller(globex), logged_in("sam")):
        assert other.get(f"boards/{made['board']}/links/").status_code == 404
        assert other.send("DELETE", f"boards/{made['board']}/links/{made['id']}/").status_code == 404
    assert api.send("DELETE", f"boards/{made['board']}/links/{NOBODY}/").status_code == 404
    assert page(made["path"]).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"expires_at": (NOW - timedelta(days=1)).isoformat()}, "expires_at"),
        ({"expires_at": (NOW + timedelta(days=400)).isoformat()}, "expires_at"),
        ({"password": "short"}, "password"),
        ({"embed_origins": ["*"]}, "embed_origins"),
        ({"embed_origins": ["https://a.example/path"]}, "embed_origins"),
        ({"embed_origins": ["https://a.example; script-src *"]}, "embed_origins"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_link_that_makes_no_sense_is_refused(acme: Tenant, api: Caller, changes: dict[str, Any], field: str) -> None:
    board = api.post("boards/", {"title": "Empty"}).json()
    wanted = {"name": "x", "expires_at": (NOW + timedelta(days=7)).isoformat(), **changes}
    answer = api.post(f"boards/{board['id']}/links/", wanted)

    assert [error["field"] for error in problem(answer)["errors"]] == [field]


# --- Password, frames, range ------------------------------------------------------------------------------------------


def test_a_password_is_asked_for_and_remembered_for_this_link_only(story: Story, api: Caller) -> None:
    story.count(NOW)
    made, other = link(api, password="open sesame"), link(api, password="open sesame")
    client = Client()

    assert client.get(made["path"]).status_code == 401
    assert "€" not in client.get(made["path"]).content.decode()
    assert client.post(made["path"], {"password": "wrong"}).status_code == 401
    assert client.post(made["path"], {"password": "open sesame"}).status_code == 302
    assert "€100.00" in client.get(made["path"]).content.decode()
    assert client.get(other["path"]).status_code == 401
    assert "open sesame" not in api.get(f"boards/{made['board']}/links/").content.decode()


def test_passwords_cannot_be_tried_at_speed(acme: Tenant, api: Caller) -> None:
    made = link(api, {"title": "Empty"}, password="open sesame")
    client = Client(REMOTE_ADDR="198.18.77.77")
    answers = [client.post(made["path"], {"password": f"guess {n}"}).status_code for n in range(14)]

    assert answers[:10] == [401] * 10
    assert answers[-1] == 429


def test_only_the_named_sites_may_frame_this_link(acme: Tenant, api: Caller) -> None:
    framed = link(api, {"title": "Empty"}, embed_origins=["https://Intra.example.org/"])
    answer = page(framed["path"])

    assert "frame-ancestors 'self' https://intra.example.org" in answer["Content-Security-Policy"]
    assert "X-Frame-Options" not in answer
    assert "frame-ancestors 'none'" in page(link(api, {"title": "Other"})["path"])["Content-Security-Policy"]


def test_the_range_is_locked_or_free_among_whole_ranges(story: Story, api: Caller) -> None:
    story.count(NOW)
    locked, free = link(api), link(api, is_range_locked=False)

    def shown(made: dict[str, Any], query: str) -> str:
        html: str = page(f"{made['path']}?{query}").content.decode()
        return html.split('<li class="chip">')[1].split("<")[0]

    week = shown(locked, "")
    assert [shown(locked, "period=last_30d"), shown(free, "from=2026-03-04&to=2026-03-05")] == [week, week]
    assert shown(free, "country=DE&by=country") == week
    assert shown(free, "period=last_30d") != week


# --- Small groups -----------------------------------------------------------------------------------------------------


def countries(html: str) -> list[str]:
    return [name for name in ("France", "Spain", "Germany", "Nepal") if f"<span>{name}</span>" in html]


def test_groups_of_five_are_shown(story: Story, api: Caller) -> None:
    story.count(NOW)
    assert countries(page(link(api)["path"]).content.decode()) == ["France", "Spain"]


def test_a_small_group_takes_the_next_smallest_with_it_so_that_nobody_can_subtract(story: Story, api: Caller) -> None:
    sell(story, "DE", "gil")
    story.count(NOW)
    html = page(link(api)["path"]).content.decode()

    assert len(countries(html)) == 1
    assert "Germany" not in countries(html)
    assert "2 small groups are left out (fewer than 5 people)." in html


def test_a_filter_that_leaves_few_people_hides_the_number(story: Story, api: Caller) -> None:
    sell(story, "DE", "gil")
    story.count(NOW)
    html = page(link(api)["path"]).content.decode()

    assert "Fewer than 5 people: not shown outside of the team." in html
    assert "This breakdown could name people" in html  # by object


def test_members_see_what_strangers_do_not(story: Story, api: Caller, teammate: Any) -> None:
    sell(story, "DE", "gil")
    story.count(NOW)
    made = link(api)
    client = Client()
    client.force_login(teammate)
    html = client.get(f"/boards/{made['board']}/").content.decode()

    assert all(f">{name}</a>" in html for name in ("France", "Spain", "Germany"))


def people(**groups: range) -> Crowd:
    return Crowd({"orders.count": {key: (FrozenBitMap(each),) for key, each in groups.items()}})


@pytest.mark.parametrize(
    ("groups", "shown", "hidden"),
    [
        ({"a": range(10), "b": range(10, 20)}, 8, set()),
        ({"a": range(10), "b": range(10, 15), "c": range(20, 24)}, 8, {"b", "c"}),
        ({"a": range(10), "b": range(10, 14), "c": range(20, 24)}, 8, {"b", "c"}),  # four and four are eight
        ({"a": range(10), "b": range(4), "c": range(4)}, 8, {"a", "b", "c"}),  # the same four: the rest is four people
        ({"a": range(9), "b": range(10, 19), "c": range(20, 23)}, 2, {"a", "c"}),
        ({"a": range(9), "b": range(10, 19), "c": range(20, 29)}, 2, set()),  # what the limit cuts is nine people
        ({"a": range(3)}, 8, {"a"}),
        ({}, 8, set()),
    ],
)
def test_what_is_left_out_is_never_few(groups: dict[str, range], shown: int, hidden: set[str]) -> None:
    """Worked by hand; k is 5."""
    assert withheld(people(**groups), list(groups), shown=shown) == hidden


def test_a_hundred_visitors_do_not_hide_one_buyer() -> None:
    crowd = Crowd(
        {
            "visits": {"a": (FrozenBitMap(range(100)),), "b": (FrozenBitMap(range(100, 200)),)},
            "orders": {"a": (FrozenBitMap([1]),), "b": (FrozenBitMap(range(100, 120)),)},
        }
    )
    assert withheld(crowd, ["a", "b"], shown=8) == {"a", "b"}
