"""Bad input in the address, the forms and the files: a sentence that helps, never a crash, nothing of others told."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.stage import Stage
from tests.browser.world import NOBODY, world

METRIC = "/metrics/revenue.gross/"
LEAKS = re.compile(r"Traceback|psycopg|SELECT |bw_\w+|django\.|/site-packages/|line \d+, in|NoneType|DoesNotExist")


def sound(text: str) -> str:
    """The text of a page, which tells nothing of the inside."""
    assert not LEAKS.search(text), LEAKS.findall(text)
    return text


def test_an_unknown_metric_is_told_with_the_nearest_ones(visit: Visitor) -> None:
    page = visit("olga").go("/metrics/revenue.grosss/", status=404)
    assert "no metric" in sound(page.locator("main").inner_text())
    page.get_by_role("link", name="Gross revenue").click()
    expect(page).to_have_url(re.compile("/metrics/revenue.gross/"))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("from=2026-11-30&to=2026-11-01", "must be later"),
        ("from=0001-01-01&to=9999-12-31", "no date"),
        ("period=last_99999999d", "range|long|days|period"),
        ("period=zork", "zork"),
        ("timezone=Mars/Olympus", "Mars/Olympus"),
        ("by=zork", "There is no dimension 'zork'"),
        ("by=countri", "country"),
        ("filters=[{}", "filters|JSON"),
        ('filters=[{"field":"zork","op":"eq","value":"1"}]', "zork"),
        ("country=" + "x" * 5000, "country|long"),
        ("granularity=minute&period=2026", "points|granularity"),
        ("compare=zork", "previous, year_ago"),
        ("limit=-1", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("country=%00%ff%fe", ""),
        ("nonsense=1", "nonsense"),
    ],
)
def test_a_bad_question_is_told_beside_the_rest_of_the_page(query: str, words: str, visit: Visitor) -> None:
    tab = visit("olga")
    page = tab.go(f"{METRIC}?{query}")
    text = sound(page.locator("main").inner_text())
    assert "Gross revenue" in text
    if words:
        assert re.search(words, page.locator(".notice.warning").inner_text())


@pytest.mark.parametrize("kind", ["boards/{}/", "boards/{}/edit/", "boards/{}/links/", "goals/{}/", "goals/{}/edit/"])
def test_what_belongs_to_others_is_as_missing_as_what_is_not_there(kind: str, visit: Visitor, stage: Stage) -> None:
    there = world(stage)
    own = there.board if kind.startswith("boards") else there.goal
    tab = visit("sam")
    pages = []
    for key in (own, NOBODY):
        page = tab.go(f"/{kind.format(key)}", status=404)
        main = sound(page.locator("main").inner_text()).replace(key, "ID")
        pages.append(re.sub(r"[0-9a-f-]{32,36}", "REQUEST", main))
    assert pages[0] == pages[1]
    assert "Monday" not in pages[0]
    assert "A good month" not in pages[0]


@pytest.mark.parametrize("token", ["x", "A" * 80, "../../login", "AAAAAQGh_Kur2XnrilBTGKu9t6G2yTJq1vlmL4diCrF2JToFH0a"])
def test_a_forged_link_says_only_that_it_is_closed(token: str, visit: Visitor) -> None:
    page = visit().go(f"/shared/{token.replace('/', '%2F')}/", status=404)
    sound(page.locator("body").inner_text())


def test_pages_of_the_team_ask_strangers_to_sign_in(visit: Visitor, stage: Stage) -> None:
    for path in ("/", METRIC, f"/boards/{world(stage).board}/", "/realtime/", "/explore/funnel/"):
        page = visit().go(path)
        assert "/login/" in page.url
        assert page.locator("[data-metric]").count() == 0


HOSTILE_YAML = {
    "an object of Python": "!!python/object/apply:os.system ['id']",
    "a billion laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{c}: &{c} [{', '.join([f'*{b}'] * 9)}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)),
    "no mapping": "- 1\n- 2",
    "broken": "title: [",
    "an unknown field": "title: x\ncards: []\nadmin: true",
    "an unknown metric": "title: x\ncards:\n- {kind: tile, metric: revenue.grosss, x: 1, y: 1, w: 4, h: 2}",
    "very deep": "title: x\ncards: " + "[" * 500 + "]" * 500,
}


@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_a_hostile_board_is_refused_with_the_place_of_the_mistake(text: str, visit: Visitor) -> None:
    tab = visit("sam")
    page = tab.go("/boards/")
    tab.expected_statuses = {400}
    page.get_by_label("or its text").fill(text)
    page.get_by_role("button", name="Import").click()
    said = page.locator(".notice.error, [role=alert], .card-problem").first
    said.wait_for()
    assert sound(said.inner_text()).strip()
    if "grosss" in text:
        assert "revenue.gross" in page.locator("main").inner_text()


def test_a_card_of_a_foreign_goal_shows_no_more_than_one_that_is_gone(visit: Visitor, stage: Stage) -> None:
    tab = visit("sam")
    said = []
    for goal in (world(stage).goal, NOBODY):
        card = {"kind": "goal", "goal": goal, "x": 1, "y": 1, "w": 4, "h": 2}
        board = stage.post("boards/", "globex", title="Goals of others", cards=[card])["id"]
        said.append(tab.go(f"/boards/{board}/").locator(".slot").inner_text())
    assert said[0] == said[1]
    assert "good month" not in said[0]


def test_a_broken_formula_points_at_the_character(stage: Stage) -> None:
    body = {"metric": "custom.broken", "name": "Broken", "formula": "revenue.net / (orders.count + ", "unit": "count"}
    answer = httpx.post(
        f"{stage.url}/api/v1/kpis/definitions/", json=body, headers={"Authorization": f"Bearer {stage.keys['globex']}"}
    )
    assert answer.status_code == 400
    assert re.search(r"\^|character \d+|position \d+|column \d+", sound(answer.text))


def test_forms_tell_what_is_wrong_beside_the_field(visit: Visitor) -> None:
    tab = visit("olga")
    page = tab.go("/goals/new/")
    tab.expected_statuses = {400}
    page.get_by_label("Name", exact=True).fill("x")
    page.get_by_label("Metric", exact=True).fill("revenue.grosss")
    page.get_by_label("Target", exact=True).fill("-1")
    page.get_by_label("First day (any day of the period)").fill("2026-11-01")
    page.get_by_role("button", name="Set it").click()
    expect(page.get_by_role("alert").first).to_contain_text("revenue.gross")
    assert page.get_by_label("Name", exact=True).input_value() == "x"
