"""Boards and their neighbours on screen: what each role sees, and what happens when two people save."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.models import Tenant
from tests.api import Caller, caller
from tests.kpis.story import Story
from tests.reports.boards.test_boards_api import SALES

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
NOBODY = "00000000-0000-4000-8000-000000000000"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Story:
    story = Story(acme)
    story.add("order_completed", MONDAY + timedelta(days=2), "ann", amount=2000, country="FR")
    story.add("order_completed", MONDAY + timedelta(days=3), "bob", amount=550, country="DE")
    story.count(NOW)
    neighbour = Story(globex, currency="NPR")
    neighbour.add("order_completed", MONDAY + timedelta(days=2), "ann", amount=99900)
    neighbour.count(NOW)
    return story


@pytest.fixture
def api(acme: Tenant) -> Caller:
    return caller(acme)


def signed_in(user: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.fixture
def viewer(acme: Tenant) -> Any:
    user = get_user_model().objects.create_user(username="vera")
    membership_set(tenant_id=acme.pk, user=user, role="viewer")
    return user


def board_of(api: Caller, **changes: Any) -> str:
    return str(api.post("boards/", {**SALES, **changes}).json()["id"])


def sent(version: int, **changes: Any) -> dict[str, Any]:
    return {"version": version, "document": json.dumps({**SALES, **changes}), "then": "save"}


# --- A board ----------------------------------------------------------------------------------------------------------


def test_a_board_shows_its_cards_without_script(shop: Story, api: Caller, teammate: Any) -> None:
    html = signed_in(teammate).get(f"/boards/{board_of(api)}/").content.decode()

    assert "€25.50" in html
    assert html.count('class="slot ') == 4
    assert 'class="slot tile-slot bx-1 bw-3 bh-2"' in html
    assert "Ask Olga." in html
    assert "style=" not in html
    assert "<noscript" not in html


def test_the_address_moves_the_board_but_not_a_card_with_its_own_range(shop: Story, api: Caller, teammate: Any) -> None:
    client, path = signed_in(teammate), f"/boards/{board_of(api)}/"
    html = client.get(path, {"from": "2026-03-04", "to": "2026-03-05", "country": "FR"}).content.decode()

    assert "€20.00" in html  # the tile: one day, one country
    assert "7 Feb" in html  # the chart keeps its last 30 days
    assert "There is no parameter" in client.get(path, {"county": "FR"}).content.decode()


def test_a_tile_with_a_question_of_its_own_is_left_alone_by_the_live_socket(
    shop: Story, api: Caller, teammate: Any
) -> None:
    own = {**SALES["cards"][0], "query": {"country": "FR"}, "y": 3}
    html = signed_in(teammate).get(f"/boards/{board_of(api, cards=[SALES['cards'][0], own])}/").content.decode()

    assert html.count('data-metric="revenue.gross"') == 2
    assert html.count('data-live="off"') == 1
    assert 'data-query="period=last_7d&amp;compare=previous"' in html


def test_a_viewer_sees_the_board_and_no_way_to_change_it(shop: Story, api: Caller, viewer: Any) -> None:
    client, path = signed_in(viewer), f"/boards/{board_of(api)}/"
    html = client.get(path).content.decode()

    assert "/edit/" not in html
    assert "/delete/" not in html
    for below in ("edit/", "links/"):
        assert client.get(f"{path}{below}").status_code == 403
    for below in ("copy/", "delete/", "edit/"):
        assert client.post(f"{path}{below}").status_code == 403
    assert client.post("/boards/new/").status_code == 403
    assert "Make a board" not in client.get("/boards/").content.decode()


@pytest.mark.parametrize("below", ["", "edit/", "links/", "file/"])
def test_a_foreign_board_is_not_there(shop: Story, api: Caller, stranger: Any, below: str) -> None:
    client = signed_in(stranger)
    answers = [client.get(f"/boards/{key}/{below}") for key in (board_of(api), NOBODY)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert "Sales" not in answers[0].content.decode()


def test_nobody_gets_in_without_signing_in(api: Caller, globex: Tenant) -> None:
    for path in (
        "/boards/",
        f"/boards/{board_of(api)}/",
        "/goals/",
        "/annotations/",
        "/settings/events/",
        "/palette.json",
    ):
        answer = Client().get(path)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/login/")


def test_hostile_texts_are_only_shown(shop: Story, api: Caller, teammate: Any) -> None:
    cards = [{"kind": "text", "text": HOSTILE, "title": HOSTILE}, {**SALES["cards"][0], "title": HOSTILE}]
    board = board_of(api, title=HOSTILE, description=HOSTILE, cards=cards)
    client = signed_in(teammate)
    for path in (f"/boards/{board}/", f"/boards/{board}/edit/", "/boards/", f"/boards/{board}/links/"):
        html = client.get(path).content.decode()
        assert "<script>alert" not in html
        assert "<img src=x" not in html


def test_a_board_on_a_wall_shows_the_next_one_after_a_while(shop: Story, api: Caller, teammate: Any) -> None:
    first, second = board_of(api, title="A"), board_of(api, title="B")
    client = signed_in(teammate)
    html = client.get("/boards/", {"kiosk": "1", "seconds": "30"}, follow=True).content.decode()

    assert f'data-kiosk="/boards/{second}/?kiosk=1&amp;seconds=30"' in html
    assert 'class="top"' not in html
    html = client.get(f"/boards/{second}/", {"kiosk": "1", "seconds": "1"}).content.decode()
    assert f'data-kiosk="/boards/{first}/?kiosk=1&amp;seconds=10"' in html


# --- Editing ----------------------------------------------------------------------------------------------------------


def test_making_changing_copying_and_deleting(shop: Story, teammate: Any) -> None:
    client = signed_in(teammate)
    assert client.get("/boards/new/")["Location"] == "/boards/"  # typed, or loaded again: boards are made there
    path = client.post("/boards/new/", {"title": "Mine", "starter": "sales"})["Location"].removesuffix("edit/")
    assert client.get(path).content.decode().count('class="slot ') == 8
    assert client.post(f"{path}edit/", sent(1, title="Ours"))["Location"] == path
    assert "<h1>Ours</h1>" in client.get(path).content.decode()
    copied = client.post(f"{path}copy/")["Location"].removesuffix("edit/")
    assert "Ours (copy)" in client.get(copied).content.decode()
    client.post(f"{path}delete/")
    assert client.get(path).status_code == 404


def test_two_people_save_and_neither_loses_anything(shop: Story, api: Caller, owner_user: Any, teammate: Any) -> None:
    path = f"/boards/{board_of(api)}/"
    olga, theo = signed_in(owner_user), signed_in(teammate)
    olga.post(f"{path}edit/", sent(1, title="By Olga"))
    refused = theo.post(f"{path}edit/", sent(1, title="By Theo"))
    html = refused.content.decode()

    assert refused.status_code == 409
    assert "olga changed this board meanwhile (version 2)." in html
    assert 'value="By Theo"' in html
    assert 'name="version" value="2"' in html
    kept = theo.post(f"{path}edit/", {**sent(2, title="By Theo"), "then": "copy"})["Location"]
    assert "By Theo (mine)" in theo.get(kept).content.decode()
    assert "<h1>By Olga</h1>" in theo.get(path).content.decode()


def test_a_view_is_kept_with_its_range_and_filters(shop: Story, api: Caller, teammate: Any, viewer: Any) -> None:
    path = f"/boards/{board_of(api)}/"
    client = signed_in(teammate)
    assert "Keep this view" not in client.get(path).content.decode()
    assert "Keep this view" in client.get(path, {"country": "FR"}).content.decode()
    assert signed_in(viewer).post(f"{path}keep/", {"version": "1", "country": "FR"}).status_code == 403
    client.post(
        f"{path}keep/", {"version": "1", "country": "FR", "from": "2026-03-04", "to": "2026-03-06", "zork": "1"}
    )
    board = api.get(path.removeprefix("/")).json()

    assert board["query"] == {"compare": "previous", "country": "FR", "from": "2026-03-04", "to": "2026-03-06"}
    assert (
        "meanwhile (version 2)"
        in client.post(f"{path}keep/", {"version": "1", "country": "DE"}, follow=True).content.decode()
    )


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"version": "1", "document": "{"}, "reload the page"),
        ({"version": "1", "document": "[" * 100_000}, "reload the page"),
        ({"version": "1"}, "reload the page"),
        ({"version": "1", "yaml": "title: [x"}, "Line 1: This is no YAML"),
        ({"version": "1", "yaml": "title: x\ncards:\n  - kind: pie"}, "Line 3: A card is one of"),
        ({"version": "1", "document": '{"title": ""}'}, "Give the board a title."),
    ],
)
def test_what_cannot_be_saved_is_told_on_the_page(
    shop: Story, api: Caller, teammate: Any, form: dict[str, str], said: str
) -> None:
    answer = signed_in(teammate).post(f"/boards/{board_of(api)}/edit/", form)

    assert answer.status_code == 400
    assert said in answer.content.decode()


def test_the_yaml_of_the_editor_saves_without_script(shop: Story, api: Caller, teammate: Any) -> None:
    path = f"/boards/{board_of(api)}/"
    client = signed_in(teammate)
    text = re.search(r'<textarea name="yaml"[^>]*>(.*?)</textarea>', client.get(f"{path}edit/").content.decode(), re.S)
    assert text is not None
    assert client.post(f"{path}edit/", {"version": "1", "yaml": text[1].replace("Sales", "By hand")}).status_code == 302
    assert "<h1>By hand</h1>" in client.get(path).content.decode()


def test_a_card_is_previewed_or_its_mistakes_told(shop: Story, teammate: Any) -> None:
    client = signed_in(teammate)

    def preview(body: Any) -> Any:
        return client.post("/boards/preview/", body, content_type="application/json", headers={"X-Card": "7"})

    assert "€25.50" in preview({"query": {"period": "last_7d"}, "card": SALES["cards"][0]}).content.decode()
    assert 'id="chart-7"' in preview({"card": SALES["cards"][1]}).content.decode()
    broken: tuple[Any, ...] = ("{", [], {"card": 5}, {"card": {"kind": "tile", "metric": "x.y"}})
    for body in broken:
        answer = preview(body)
        assert answer.status_code == 400
        assert answer.json()["problems"]


def test_links_are_made_listed_and_closed_on_their_page(shop: Story, api: Caller, teammate: Any) -> None:
    path = f"/boards/{board_of(api)}/links/"
    client = signed_in(teammate)
    assert "never" in client.post(path, {"name": "Board", "expires_on": "2026-03-31"}, follow=True).content.decode()
    html = client.get(path).content.decode()
    (shared,) = set(re.findall(r"/shared/[\w-]+/", html))
    assert Client().get(shared).status_code == 200
    revoked = re.search(r'name="revoke" value="([^"]+)"', html)
    assert revoked is not None
    client.post(path, {"revoke": revoked[1]})
    assert Client().get(shared).status_code == 404
    refused = client.post(path, {"name": "x", "expires_on": "2027-02-31"})
    assert (refused.status_code, "Write the last day" in refused.content.decode()) == (400, True)
    assert client.post(path, {"revoke": "x"}).status_code == 400


# --- Goals, annotations, names, quality, palette ----------------------------------------------------------------------


def test_a_goal_is_set_read_spoken_of_changed_and_put_away(shop: Story, teammate: Any, stranger: Any) -> None:
    client = signed_in(teammate)
    goal = {"name": "A good March", "metric": "revenue.gross", "target": "100", "period": "month"}
    path = client.post("/goals/new/", {**goal, "first": "2026-03-01", "shape": "linear"})["Location"]
    html = client.get(path).content.decode()
    assert "€25.50" in html
    assert "<polyline" in html
    client.post(f"{path}check-in/", {"confidence": "70", "note": HOSTILE})
    assert "<b>70 %</b> sure" in client.get(path).content.decode()
    assert "<script>alert" not in client.get(path).content.decode()
    assert client.post(f"{path}check-in/", {"confidence": "170"}).status_code == 400
    changed = {**goal, "name": "A great March", "first": "2026-03-01", "shape": "linear"}
    assert client.post(f"{path}edit/", changed)["Location"] == path
    assert "A great March" in client.get("/goals/").content.decode()
    assert signed_in(stranger).get(path).status_code == 404
    client.post(f"{path}archive/")
    assert "A great March" not in client.get("/goals/").content.decode().split("</nav>")[-1].replace(
        "Put away: A great March.", ""
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "revenue.gros"}, "revenue.gross"),
        ({"target": "many"}, "Enter a number"),
        ({"period": "custom"}, "A custom period needs"),
        ({"first": "soon"}, "Enter a valid date"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_a_goal_that_makes_no_sense_is_told_at_its_field(
    shop: Story, teammate: Any, changes: dict[str, str], said: str
) -> None:
    goal = {"name": "x", "metric": "revenue.gross", "target": "100", "period": "month", "first": "2026-03-01"}
    answer = signed_in(teammate).post("/goals/new/", {**goal, "shape": "linear", **changes})

    assert answer.status_code == 400
    assert said in answer.content.decode()


def test_annotations_are_written_down_and_taken_away(shop: Story, teammate: Any, viewer: Any, stranger: Any) -> None:
    client = signed_in(teammate)
    client.post("/annotations/", {"title": "Lower prices", "kind": "price", "at": "2026-03-05T10:00"})
    html = client.get("/annotations/").content.decode()
    assert "Lower prices" in html
    assert "5 Mar 2026, 10:00" in html  # the tenant's clock
    assert client.post("/annotations/", {"title": "", "kind": "x", "at": "then"}).status_code == 400
    assert "Write something down" not in signed_in(viewer).get("/annotations/").content.decode()
    assert "Lower prices" not in signed_in(stranger).get("/annotations/").content.decode()
    found = re.search(r"/annotations/[0-9a-f-]{36}/delete/", html)
    assert found is not None
    assert signed_in(stranger).post(found[0]).status_code == 404
    client.post(found[0])
    assert "Lower prices" not in client.get("/annotations/").content.decode()


def test_unknown_event_names_are_shown_previewed_and_set(shop: Story, acme: Tenant, teammate: Any, viewer: Any) -> None:
    shop.add("Kauf fertig", MONDAY + timedelta(days=4), "cyd", amount=100)
    shop.count(NOW)
    client = signed_in(teammate)
    html = client.get("/settings/events/").content.decode()
    assert 'name="means:Kauf fertig" list="standard-names" value=""' in html
    preview = client.post("/settings/events/", {"means:Kauf fertig": "order_completed"}).content.decode()
    assert "Save and count again" in preview
    wrong = client.post("/settings/events/", {"means:Kauf fertig": "order_complete"})
    assert (wrong.status_code, "order_completed" in wrong.content.decode()) == (400, True)
    saved = client.post("/settings/events/", {"means:Kauf fertig": "order_completed", "confirm": "1"}, follow=True)
    assert "History is being counted" in saved.content.decode()
    assert "Counting with the new meanings" in saved.content.decode()
    assert "<input name=" not in signed_in(viewer).get("/settings/events/").content.decode()


def test_data_quality_is_shown(shop: Story, teammate: Any) -> None:
    html = signed_in(teammate).get("/quality/").content.decode()

    assert "<h1>Data quality</h1>" in html
    assert html.count('class="card finding"') >= 3


def test_the_palette_knows_pages_metrics_and_boards_of_this_tenant(
    shop: Story, api: Caller, teammate: Any, stranger: Any
) -> None:
    board = board_of(api, title="Monday meeting")
    client = signed_in(teammate)
    answer = client.get("/palette.json")

    assert ["Monday meeting", "Board", f"/boards/{board}/"] in answer.json()
    assert ["Gross revenue", "revenue.gross", "/metrics/revenue.gross/"] in answer.json()
    assert ["Goals", "Page", "/goals/"] in answer.json()
    assert client.get("/palette.json", headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert "Monday meeting" not in signed_in(stranger).get("/palette.json").content.decode()


def test_a_goal_on_a_board_shows_how_it_stands_and_strangers_see_no_names(
    shop: Story, api: Caller, teammate: Any
) -> None:
    wanted = {"name": "A good March", "metric": "revenue.gross", "target": "100", "period": "month"}
    goal = api.post("goals/", {**wanted, "first": "2026-03-01", "owner": "Olga Owner"}).json()
    cards = [{"kind": "goal", "goal": goal["id"]}, {"kind": "goal", "goal": NOBODY, "y": 9}]
    board = board_of(api, cards=cards)
    link = api.post(f"boards/{board}/links/", {"name": "x", "expires_at": (NOW + timedelta(days=9)).isoformat()}).json()
    inside = signed_in(teammate).get(f"/boards/{board}/").content.decode()
    outside = Client().get(link["url"].removeprefix("http://testserver")).content.decode()

    for html in (inside, outside):
        assert "A good March" in html
        assert "€25.50" in html
        assert "This goal is not there any more." in html
    assert f"/goals/{goal['id']}/" in inside
    assert "/goals/" not in outside
    assert "Olga Owner" not in outside
