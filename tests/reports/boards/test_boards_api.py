"""Boards by the API: kept whole, seen by whom they are for, never overwritten unseen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.models import Tenant
from reports.boards.grid import Box, settle
from reports.boards.models import Board
from tests.api import Caller, caller, logged_in, problem

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
NOBODY = "00000000-0000-4000-8000-000000000000"
SALES: dict[str, Any] = {
    "title": "Sales",
    "description": "What came in.",
    "query": {"period": "last_7d", "compare": "previous"},
    "cards": [
        {"kind": "tile", "metric": "revenue.gross", "x": 1, "y": 1, "w": 3, "h": 2},
        {"kind": "chart", "metric": "orders.count", "query": {"period": "last_30d"}, "x": 4, "y": 1, "w": 6, "h": 5},
        {"kind": "table", "metric": "revenue.gross", "query": {"by": "country"}, "x": 1, "y": 3, "w": 3, "h": 5},
        {"kind": "text", "text": "Ask Olga.", "x": 10, "y": 1, "w": 3, "h": 2},
    ],
}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is Monday 2026-03-09."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def api(acme: Tenant, globex: Tenant) -> Caller:
    """Acme's secret key."""
    return caller(acme)


@pytest.fixture
def viewer(acme: Tenant) -> Any:
    """Vera only looks."""
    user = get_user_model().objects.create_user(username="vera", password="correct horse")
    membership_set(tenant_id=acme.pk, user=user, role="viewer")
    return user


def made(api: Caller, **changes: Any) -> dict[str, Any]:
    answer = api.post("boards/", {**SALES, **changes})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def mistakes(answer: Any) -> dict[str, str]:
    assert answer.status_code == 400, answer.content
    return {error["field"]: error["detail"] for error in problem(answer)["errors"]}


# --- Kept whole -------------------------------------------------------------------------------------------------------


def test_a_board_comes_back_as_it_was_sent(api: Caller) -> None:
    board = made(api)
    again = api.get(f"boards/{board['id']}/")

    assert {key: again.json()[key] for key in SALES} == {**SALES, "cards": sorted_cards(SALES["cards"])}
    assert (again["ETag"], again.json()["version"], again.json()["visibility"]) == ('"1"', 1, "team")


def sorted_cards(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(cards, key=lambda card: (card["y"], card["x"]))


def test_the_list_names_boards_by_title_with_their_size(api: Caller) -> None:
    made(api, title="Zeta")
    made(api, title="Alpha", cards=[])

    found = api.get("boards/").json()

    assert [(row["title"], row["cards"], row["version"], row["open_links"]) for row in found["results"]] == [
        ("Alpha", 0, 1, 0),
        ("Zeta", 4, 1, 0),
    ]


def test_cards_that_lie_on_one_another_are_moved_apart(api: Caller) -> None:
    card = {"kind": "text", "text": "x", "w": 12, "h": 2}
    board = made(api, cards=[{**card, "y": 5}, {**card, "y": 5}, {**card, "x": 1, "w": 3, "y": 900}])

    assert [(each.get("x", 1), each.get("y", 1)) for each in board["cards"]] == [(1, 1), (1, 3), (1, 5)]


def test_settled_cards_never_overlap_and_keep_their_order() -> None:
    boxes = [Box(1, 1, 6, 4), Box(7, 1, 6, 2), Box(7, 3, 6, 2), Box(1, 9, 12, 1), Box(4, 2, 4, 4)]
    placed = settle(boxes)

    # The fifth lies across both halves, so it falls below the first; the third slips in above it.
    assert placed == [Box(1, 1, 6, 4), Box(7, 1, 6, 2), Box(7, 3, 6, 2), Box(1, 9, 12, 1), Box(4, 5, 4, 4)]
    assert settle(placed) == placed


def test_a_copy_is_a_board_of_its_own(api: Caller) -> None:
    board = made(api)
    copy = api.post(f"boards/{board['id']}/copy/").json()

    assert (copy["title"], copy["cards"], copy["version"]) == ("Sales (copy)", board["cards"], 1)
    assert copy["id"] != board["id"]


# --- Two editors ------------------------------------------------------------------------------------------------------


def put(api: Caller, board: dict[str, Any], version: str | None, **changes: Any) -> Any:
    headers = {} if version is None else {"If-Match": version}
    return api.send("PUT", f"boards/{board['id']}/", {**SALES, **changes}, headers)


def test_the_second_of_two_editors_is_told_and_overwrites_nothing(api: Caller, owner_user: Any, teammate: Any) -> None:
    board = made(api)
    first, second = logged_in("olga"), logged_in("theo")

    assert put(first, board, '"1"', title="By Olga").json()["version"] == 2
    refused = put(second, board, '"1"', title="By Theo")

    assert refused.status_code == 412
    assert problem(refused)["detail"] == "olga changed this board meanwhile (version 2)."
    assert api.get(f"boards/{board['id']}/").json()["title"] == "By Olga"
    assert put(second, board, '"2"', title="By both").json()["title"] == "By both"


def test_a_change_that_does_not_say_what_it_was_made_from_is_refused(api: Caller) -> None:
    board = made(api)

    assert put(api, board, None).status_code == 428
    assert put(api, board, '"first"').status_code == 412
    assert api.send("DELETE", f"boards/{board['id']}/").status_code == 428
    assert api.send("DELETE", f"boards/{board['id']}/", headers={"If-Match": '"9"'}).status_code == 412
    assert api.send("DELETE", f"boards/{board['id']}/", headers={"If-Match": '"1"'}).status_code == 204
    assert api.get(f"boards/{board['id']}/").status_code == 404


# --- Who sees what ----------------------------------------------------------------------------------------------------


def test_a_viewer_sees_and_does_not_edit(api: Caller, viewer: Any) -> None:
    board = made(api)
    vera = logged_in("vera")

    assert vera.get(f"boards/{board['id']}/").status_code == 200
    assert put(vera, board, '"1"').status_code == 403
    assert vera.post("boards/", SALES).status_code == 403
    assert vera.get(f"boards/{board['id']}/links/").status_code == 403


def test_a_private_board_is_there_for_its_owner_alone(owner_user: Any, teammate: Any, acme: Tenant) -> None:
    olga, theo = logged_in("olga"), logged_in("theo")
    board = made(olga, visibility="private")

    assert olga.get(f"boards/{board['id']}/").json()["owner"] == "olga"
    for other in (theo, caller(acme)):
        assert other.get(f"boards/{board['id']}/").status_code == 404
        assert put(other, board, '"1"').status_code == 404
        assert other.get("boards/").json()["results"] == []


def test_a_key_and_a_colleague_cannot_make_a_board_private(api: Caller, owner_user: Any, teammate: Any) -> None:
    assert "belongs to a person" in mistakes(api.post("boards/", {**SALES, "visibility": "private"}))["visibility"]
    board = made(logged_in("olga"))
    assert "Only the owner" in mistakes(put(logged_in("theo"), board, '"1"', visibility="private"))["visibility"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_foreign_board_is_as_missing_as_one_that_never_was(
    api: Caller, globex: Tenant, owner_user: Any, stranger: Any, method: str
) -> None:
    board = made(api)
    foreign = [
        problem(caller(globex).send(method, f"boards/{id_}/", SALES, {"If-Match": '"1"'}))
        for id_ in (board["id"], NOBODY)
    ]

    assert foreign[0] == foreign[1]
    assert foreign[0]["status"] == 404
    for path in ("copy/", "links/"):
        assert logged_in("sam").post(f"boards/{board['id']}/{path}", {}).status_code == 404
    assert Board.objects.count() == 0  # without a tenant nothing is seen at all


# --- Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"title": " "}, "title", "Give the board a title."),
        ({"title": "x" * 201}, "title", "At most 200 characters"),
        ({"title": "a\x00b"}, "title", "Control characters"),
        ({"visibility": "world"}, "visibility", "private or team"),
        ({"colour": "red"}, "colour", "There is no `colour` here"),
        ({"query": {"period": "lst_30d"}}, "query.period", "lst_30d"),
        ({"query": {"county": "FR"}}, "query.county", "Did you mean country"),
        ({"query": {"filters": "{"}}, "query.filters", "list of {field, op, value}"),
        ({"query": []}, "query", "Expected `object`"),
        ({"cards": "none"}, "cards", "Expected `array`"),
        ({"cards": [{"kind": "pie"}]}, "cards.0.kind", "A card is one of tile"),
        ({"cards": [{"kind": "tile"}]}, "cards.0.metric", "needs `metric`"),
        ({"cards": [{"kind": "tile", "metric": "revenue.gros"}]}, "cards.0.metric", "revenue.gross"),
        ({"cards": [{"kind": "table", "metric": "revenue.gross"}]}, "cards.0.query.by", "needs `query.by`"),
        ({"cards": [{"kind": "text", "text": "x", "x": 8, "w": 8}]}, "cards.0.w", "room for 5 columns"),
        ({"cards": [{"kind": "text", "text": "x", "h": 99}]}, "cards.0.h", "from 1 to 12"),
        ({"cards": [{"kind": "text", "text": "x", "w": "6"}]}, "cards.0.w", "Expected `int`"),
        ({"cards": [{"kind": "text", "text": "x", "wide": 6}]}, "cards.0.wide", "no `wide` here"),
        ({"cards": [{"kind": "goal", "goal": "42"}]}, "cards.0.goal", "id of a goal"),
        ({"cards": [{"kind": "tile", "metric": "revenue.gross", "query": {"by": "age"}}]}, "cards.0.query.by", "'age'"),
        ({"cards": [{"kind": "text", "text": "x"}] * 61}, "cards", "at most 60 cards"),
    ],
)
def test_each_mistake_is_told_at_its_place(api: Caller, changes: dict[str, Any], field: str, said: str) -> None:
    found = mistakes(api.post("boards/", {**SALES, **changes}))

    assert list(found) == [field]
    assert said in found[field]


@pytest.mark.parametrize("body", [[], "board", 5, None, {"title": None}, {"title": "x", "cards": [None]}, {}])
def test_bodies_that_are_no_board_are_refused(api: Caller, body: Any) -> None:
    assert api.send("POST", "boards/", body if body is not None else "null").status_code == 400
