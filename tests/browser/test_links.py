"""Links that are over: whatever ended them, strangers see one and the same page, and nothing of the board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.stage import Stage
from tests.browser.test_journeys import fits
from tests.browser.test_pages import violations

Execute = Callable[[str, Sequence[object]], int]
TITLE = "Quarter of secrets"
OVER = "UPDATE bw_share_link SET expires_at = now() - interval '1 second' WHERE id = %s"


def shared(stage: Stage, **more: Any) -> tuple[str, str, str]:
    """A board with a link: the board's id, the link's id and its path."""
    cards = [{"kind": "tile", "metric": "revenue.gross", "x": 1, "y": 1, "w": 4, "h": 2}]
    board = stage.post("boards/", title=TITLE, description="For few", cards=cards)["id"]
    made = stage.post(f"boards/{board}/links/", name="Partner", expires_at="2027-01-31T00:00:00Z", **more)
    return board, made["id"], "/" + str(made["url"]).split("/", 3)[-1]


def is_closed(visit: Visitor, path: str, **screen: Any) -> str:
    tab = visit(**screen)
    page = tab.go(path, status=404)
    expect(page.locator("h1")).to_have_text("This link is closed")
    expect(page.get_by_text("Ask whoever sent it for a new one.")).to_be_visible()
    for secret in (TITLE, "For few", "Partner", "acme", "revenue", "€", "olga"):
        assert secret not in page.content(), secret
    assert page.locator("nav, .tile, a[href^='/']:not([href='#main'])").count() == 0
    fits(page)
    assert violations(page) == []
    return page.locator("main").inner_text().split("Request")[0]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_link_that_has_expired_is_closed(
    visit: Visitor, stage: Stage, behind_the_scenes: Execute, width: int, scheme: str
) -> None:
    _, link, path = shared(stage)
    tab = visit(width=width, scheme=scheme)
    open_ = tab.go(path)
    expect(open_.locator("h1")).to_have_text(TITLE)
    assert behind_the_scenes(OVER, [link]) == 1
    is_closed(visit, path, width=width, scheme=scheme)
    tab.expected_statuses = {404}
    open_.reload()  # who has it open does not keep it either
    expect(open_.locator("h1")).to_have_text("This link is closed")


def test_expired_revoked_forged_and_gone_look_the_same(
    visit: Visitor, stage: Stage, behind_the_scenes: Execute
) -> None:
    _, old, expired = shared(stage)
    behind_the_scenes(OVER, [old])
    board, link, revoked = shared(stage)
    stage.delete(f"boards/{board}/links/{link}/")
    gone_board, _, gone = shared(stage)
    behind_the_scenes("DELETE FROM bw_share_link WHERE board_id = %s", [gone_board])
    forged = expired[:-3] + ("AA/" if expired[-3:] != "AA/" else "BB/")
    assert len({is_closed(visit, path) for path in (expired, revoked, gone, forged, "/shared/nonsense/")}) == 1


def test_an_expired_link_with_a_password_does_not_even_ask_for_it(
    visit: Visitor, stage: Stage, behind_the_scenes: Execute
) -> None:
    _, link, path = shared(stage, password="open sesame")
    tab = visit()
    page = tab.go(path, status=401)
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Open the board").click()
    expect(page.locator("h1")).to_have_text(TITLE)
    behind_the_scenes(OVER, [link])
    tab.expected_statuses = {404}
    page.reload()
    expect(page.locator("h1")).to_have_text("This link is closed")
    is_closed(visit, path)


def test_the_owner_sees_that_it_is_over(visit: Visitor, stage: Stage, behind_the_scenes: Execute) -> None:
    board, link, _ = shared(stage)
    behind_the_scenes(OVER, [link])
    page = visit("olga").go(f"/boards/{board}/links/")
    row = page.locator("tbody tr", has_text="Partner")
    expect(row).to_contain_text("expired")
    expect(row.get_by_role("link", name="Open")).to_have_count(0)
