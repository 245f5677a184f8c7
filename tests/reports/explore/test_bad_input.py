"""Whatever is asked: a page that says what is wrong and what would do, never a 500, and nothing of others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from analytics.access.services import tenant_create
from analytics.lake.errors import EngineFailed, EngineUnavailable, LakeFileBroken
from reports.explore import asking
from tests.reports.explore.conftest import EVIL, SHOP, at, signed_in, text_of

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = ("/explore/funnel/", "/explore/retention/", "/explore/paths/", "/explore/attribution/")

QUESTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("/explore/funnel/", {"steps": [{"events": ["page_view"]}]}, "at least two steps"),
    ("/explore/funnel/", {"steps": []}, "at least two steps"),
    ("/explore/funnel/", {"steps": "zork"}, "list of items"),
    ("/explore/funnel/", {**SHOP, "steps": [{"events": ["page_vew"]}, {"events": ["cart_updated"]}]}, "page_view"),
    ("/explore/funnel/", {**SHOP, "window": "0d"}, "longer than nothing"),
    ("/explore/funnel/", {**SHOP, "window": "soon"}, "length of time"),
    ("/explore/funnel/", {**SHOP, "from": "2010-01-01", "to": "2026-01-01"}, "3660 days"),
    ("/explore/funnel/", {**SHOP, "from": "2026-03-09", "to": "2026-03-02"}, "later than"),
    ("/explore/funnel/", {**SHOP, "by": "country; DROP TABLE x"}, "no dimension"),
    ("/explore/funnel/", {**SHOP, "order": "zork"}, "zork"),
    ("/explore/funnel/", {**SHOP, "wnidow": "7d"}, "window"),
    ("/explore/funnel/", {**SHOP, "limit": 10**6}, "100"),
    ("/explore/funnel/", {**SHOP, "exclusions": [{"events": ["x"], "after": 5}]}, "exclusion"),
    ("/explore/funnel/", {**SHOP, "filters": [{"field": "amount", "op": "gt", "value": "x"}]}, "number"),
    ("/explore/retention/", {"periods": 0}, "1"),
    ("/explore/retention/", {"unit": "decade"}, "decade"),
    ("/explore/retention/", {"brackets": [3, 1]}, "brackets"),
    ("/explore/retention/", {"from": "yesterdayish"}, "date"),
    ("/explore/paths/", {"anchor": {"events": []}}, "from which event"),
    ("/explore/paths/", {"anchor": {"events": ["page_view"]}, "depth": 99}, "10"),
    ("/explore/attribution/", {"models": ["zork"]}, "zork"),
    ("/explore/attribution/", {"lookback": "0d"}, "longer than nothing"),
]


@pytest.mark.parametrize(("path", "wanted", "message"), QUESTIONS)
def test_a_bad_question_is_told_and_stays_in_the_form(
    path: str, wanted: dict[str, Any], message: str, olga: Client
) -> None:
    page = text_of(olga.get(at(path, wanted)))
    assert "cannot be answered as it is" in page
    assert message in page
    assert "data-editor" in page


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("text", ["zork", "[1]", "{", '"x"', "[" * 5000, '{"a":NaN}', "\x00", "x" * 60_000])
def test_an_address_that_is_no_question(path: str, text: str, olga: Client) -> None:
    page = text_of(olga.get(path, {"q": text}))
    assert "JSON" in page or "characters" in page


ODD: list[Any] = [None, 7, "x", [], {}, [[]], {"a": {}}, True, EVIL, "\u202e", "a" * 500, [None], [{"events": 5}]]


@pytest.mark.parametrize("path", PAGES)
def test_odd_shapes_everywhere_are_no_500(path: str, olga: Client) -> None:
    names = ("steps", "period", "from", "to", "window", "by", "at", "filters", "include", "exclusions", "hold", "limit",
             "compare", "first", "anchor", "models", "brackets", "revenue", "depth", "unit", "conversion")  # fmt: skip
    for name in names:
        for value in ODD:
            page = text_of(olga.get(at(path, {**(SHOP if "funnel" in path else {}), name: value})))
            assert EVIL not in page


def test_odd_forms_are_no_500(olga: Client) -> None:
    odd = {
        "do": "zork:zork",
        "step": ["a"] * 40,
        "a.event": EVIL,
        "a.op": "zork",
        "a.field": "\x00",
        "a.value": "1",
        "first": "2026-99-99",
        "last": "9999-12-31",
        "period": "custom",
        "limit": "9" * 30,
        "at": "99999",
    }
    for path in PAGES:
        assert EVIL not in text_of(olga.get(path, odd, follow=True))


@pytest.mark.parametrize(
    "place",
    [
        {"kind": "zork"},
        {"kind": "funnel", "step": "x", "outcome": "reached"},
        {"kind": "funnel", "step": "99", "outcome": "reached"},
        {"kind": "funnel", "step": "1", "outcome": "zork"},
        {"kind": "retention", "cohort": "0"},
        {"kind": "lifecycle", "period": "0", "state": "zork"},
        {"kind": "attribution"},
    ],
)
def test_people_of_no_place(place: dict[str, str], olga: Client) -> None:
    assert "Nobody to show" in text_of(olga.get(at("/explore/people/", SHOP, **place)), 400)


@pytest.mark.parametrize("path", ["/customers/999999/", f"/customers/{10**15}/"])
def test_nobody_of_that_number(path: str, olga: Client) -> None:
    assert olga.get(path).status_code == 404


def test_a_neighbours_person_is_nobody(olga: Client, sam: Client) -> None:
    assert "What they did" in text_of(olga.get("/customers/1/"))
    page = text_of(sam.get("/customers/1/"))  # numbers are each tenant's own
    assert "order_completed" not in page


def test_a_cluster_that_is_away_offers_the_embedded_engine(olga: Client, settings: Any) -> None:
    settings.ANALYTICS_ENGINE = "zork://nowhere"
    page = text_of(olga.get(at("/explore/funnel/", SHOP)))
    assert "does not answer" in page
    assert "Answer with the embedded engine" in page
    answered = text_of(olga.get(at("/explore/funnel/", SHOP, engine="duckdb")))
    assert "33.3 % passed all steps" in answered


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LakeFileBroken("day 2026-03-02 is damaged"), "day 2026-03-02 is damaged"),
        (EngineUnavailable("the cluster is away"), "the cluster is away"),
        (EngineFailed("memory was not enough"), "Memory was not enough"),
    ],
)
def test_what_befalls_the_store_is_told(
    error: Exception, words: str, olga: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**given: Any) -> Any:
        raise error

    monkeypatch.setattr(asking, "explore", broken)
    assert words.lower() in text_of(olga.get(at("/explore/paths/", {"anchor": {"events": ["page_view"]}}))).lower()


def test_a_tenant_without_events_gets_the_next_step(owner_user: Any) -> None:
    from analytics.access.services import membership_set

    new = tenant_create(slug="newborn", name="New", zone="UTC", base_currency="EUR")
    users: Any = type(owner_user).objects
    user = users.create_user(username="nina", email="nina@example.org", password="correct horse")
    membership_set(tenant_id=new.pk, user=user, role="owner")
    nina = signed_in(user)
    for path in (*PAGES, "/explore/channels/", "/explore/costs/", "/segments/", "/customers/", "/performance/"):
        text_of(nina.get(path))
    assert "No events yet" in text_of(nina.get("/explore/funnel/"))
    assert "No segments yet" in text_of(nina.get("/segments/"))
    assert "Take a snapshot now" in text_of(nina.get("/customers/"))
    assert "No requests" in text_of(nina.get("/performance/"))
    asked = json.dumps({"steps": SHOP["steps"]})
    assert "Nobody did the first step" in text_of(nina.get("/explore/funnel/", {"q": asked}))
