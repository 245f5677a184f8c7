"""The funnel on screen: its answer, its form, its people, its files; each tenant its own."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils.html import escape

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.explore.models import PeopleRead
from kpis.models import PeopleSegment
from tests.reports.explore.conftest import EVIL, SHOP, at, text_of

pytestmark = pytest.mark.django_db(transaction=True)
FUNNEL = "/explore/funnel/"


def question_in(response: Any) -> dict[str, Any]:
    """What the address says that a form led to."""
    assert response.status_code == 302, response.content[:500]
    found: dict[str, Any] = json.loads(parse_qs(urlsplit(response["Location"]).query)["q"][0])
    return found


def test_the_answer_is_written_in_numbers_and_words(olga: Client) -> None:
    page = text_of(olga.get(at(FUNNEL, SHOP)))
    assert "33.3 % passed all steps" in page
    assert "1 of 3 people" in page
    assert "Data through" in page
    assert "by duckdb" in page
    assert 'aria-label="66.7 % of all who entered"' in page  # two of three filled a basket
    assert "1 h 00 min" not in page
    assert "1 h" in page  # Ann's order came an hour after her basket
    assert '<rect class="on" width="66.67" height="10"/>' in page


def test_a_page_without_a_question_answers_one_of_the_tenants_own_events(olga: Client, sam: Client) -> None:
    mine, theirs = text_of(olga.get(FUNNEL)), text_of(sam.get(FUNNEL))
    assert "33.3 % passed all steps" in mine
    assert "gift_wrapped" in mine
    assert "gift_wrapped" not in theirs
    assert "Ready when you are" in theirs  # page views alone are no funnel


def test_the_neighbours_people_are_in_nobody_elses_bars(olga: Client, sam: Client) -> None:
    page = text_of(sam.get(at(FUNNEL, SHOP)))
    assert "0.0 % passed all steps" in page
    assert "0 of 4 people" in page
    assert "0 of 4 people" not in text_of(olga.get(at(FUNNEL, SHOP)))


def test_a_form_becomes_an_address_without_script(olga: Client) -> None:
    form = {
        "do": "show",
        "step": ["a", "b", "c"],
        "a.event": ["page_view", ""],
        "a.field": ["country", ""],
        "a.op": ["in", "eq"],
        "a.value": ["FR, DE", ""],
        "b.event": ["order_completed"],
        "b.label": "Bought",
        "b.within": "1d",
        "c.event": [""],
        "exclusion": ["x0"],
        "x0.event": ["gift_wrapped"],
        "x0.after": "1",
        "x0.before": "2",
        "period": "custom",
        "first": "2026-03-02",
        "last": "2026-03-08",
        "compare": "previous",
        "window": "7d",
        "order": "ordered",
        "entry": "first",
        "by": "country",
        "at": "last",
        "limit": "5",
        "field": "amount",
        "op": "gt",
        "value": "10",
    }
    assert question_in(olga.get(FUNNEL, form)) == {
        "steps": [
            {"events": ["page_view"], "where": [{"field": "country", "op": "in", "value": ["FR", "DE"]}]},
            {"events": ["order_completed"], "label": "Bought", "within": "1d"},
        ],
        "from": "2026-03-02",
        "to": "2026-03-09",
        "compare": "previous",
        "window": "7d",
        "entry": "first",
        "exclusions": [{"events": ["gift_wrapped"], "after": 0, "before": 1}],
        "by": "country",
        "at": "last",
        "limit": 5,
        "filters": [{"field": "amount", "op": "gt", "value": 10}],
    }


@pytest.mark.parametrize(
    ("do", "names"),
    [
        ("up:b", ["cart_updated", "page_view", "order_completed"]),
        ("down:b", ["page_view", "order_completed", "cart_updated"]),
        ("up:a", ["page_view", "cart_updated", "order_completed"]),
        ("remove:b", ["page_view", "order_completed"]),
        ("add", ["page_view", "cart_updated", "order_completed", None]),
        ("up:zork", ["page_view", "cart_updated", "order_completed"]),
    ],
)
def test_steps_are_moved_by_buttons_without_script(do: str, names: list[str | None], olga: Client) -> None:
    form = {"do": do, "step": ["a", "b", "c"], "a.event": "page_view", "b.event": "cart_updated",
            "c.event": "order_completed"}  # fmt: skip
    answer = olga.get(FUNNEL, form)
    steps = question_in(answer)["steps"]
    assert [step["events"][0] if step["events"] else None for step in steps] == names
    assert "draft=1" in answer["Location"]
    assert "Ready when you are" in text_of(olga.get(answer["Location"]))


def test_the_form_shows_the_question_of_the_address(olga: Client) -> None:
    asked = {**SHOP, "window": "3d", "by": "properties.plan", "order": "strict", "compare": "year_ago"}
    page = text_of(olga.get(at(FUNNEL, asked)))
    assert 'name="window" value="3d"' in page
    assert 'name="by" value="properties.plan"' in page
    assert '<option value="strict" selected>' in page
    assert '<option value="year_ago" selected>' in page
    assert 'name="first" value="2026-03-02"' in page
    assert 'name="last" value="2026-03-08"' in page


def test_breakdown_and_comparison_are_tables_and_hostile_values_are_text(olga: Client) -> None:
    page = text_of(olga.get(at(FUNNEL, {**SHOP, "by": "country", "compare": "previous"})))
    assert "By country" in page
    assert escape(EVIL) in page
    assert EVIL not in page
    assert "Against 23 Feb – 1 Mar 2026" in page
    assert "too close to call" in page


def test_a_bar_leads_to_its_people_and_the_reading_is_written_down(olga: Client, shop: Tenant) -> None:
    page = text_of(olga.get(at("/explore/people/", SHOP, kind="funnel", step=1, outcome="dropped")))
    assert "1 person" in page
    assert 'href="/customers/2/"' in page  # Bob
    assert "dropped out after step 2, cart_updated" in page
    with tenant_context(shop.pk):
        row = PeopleRead.objects.get()
    assert (row.what, row.people, row.question["place"]) == ("explore.funnel", 1, {"step": 1, "outcome": "dropped"})


def test_viewers_see_numbers_and_no_people(vera: Client, shop: Tenant) -> None:
    page = text_of(vera.get(at(FUNNEL, SHOP)))
    assert "33.3 % passed all steps" in page
    assert "/explore/people/" not in page
    assert "Save segment" not in page
    assert vera.get(at("/explore/people/", SHOP, kind="funnel", step=1, outcome="dropped")).status_code == 403
    with tenant_context(shop.pk):
        assert not PeopleRead.objects.exists()


def test_people_are_kept_as_a_segment(theo: Client, sam: Client, shop: Tenant) -> None:
    kept = {"kind": "funnel", "q": json.dumps(SHOP), "place": "1:dropped", "name": f"Baskets {EVIL}"}
    assert "Kept: " in text_of(theo.post("/segments/", kept, follow=True))
    with tenant_context(shop.pk):
        row = PeopleSegment.objects.get()
    assert (row.size, row.source) == (1, "answer")
    page = text_of(theo.get("/segments/"))
    assert escape(row.name) in page
    assert EVIL not in page
    assert "Baskets" not in text_of(sam.get("/segments/"))
    assert sam.get(f"/segments/{row.pk}/people/").status_code == 404
    assert sam.post(f"/segments/{row.pk}/delete/").status_code == 404


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_answer_as_a_file(kind: str, olga: Client) -> None:
    answer: Any = olga.get(at(f"/explore/funnel.{kind}", SHOP))
    assert answer.status_code == 200
    assert f'filename="funnel_2026-03-01.{kind}"' in answer["Content-Disposition"]
    body = b"".join(answer.streaming_content)
    assert body[:2] == b"PK" if kind == "xlsx" else b'"page_view",3,0,1' in body


def test_a_file_of_a_bad_question_says_so(olga: Client) -> None:
    assert "at least two steps" in text_of(olga.get(at("/explore/funnel.csv", {"steps": []})), 400)
    assert "`?q=`" in text_of(olga.get("/explore/funnel.csv"), 400)


def test_the_conversion_curve_is_drawn_and_written_as_a_table(olga: Client) -> None:
    """Ann needed two hours; of the three, Cyd has been watched for four days of her seven."""
    page = text_of(olga.get(at(FUNNEL, SHOP)))
    assert '<svg class="lines curve"' in page
    assert '<polygon class="band"' in page
    assert "33.3 % convert within 7 d" in page
    assert "1 who still have time count only for as long as they have been watched" in page
    assert '<th scope="row" class="nowrap">2 h</th><td class="number">33.3 %</td>' in page
    assert '<td class="number">1</td><td class="number">3</td>' in page  # converted, still watched
    assert '<th scope="row" class="nowrap">1 h – 3 h</th>' in page
    plain = text_of(olga.get(at(FUNNEL, {**SHOP, "curve": False})))
    assert "lines curve" not in plain
    assert '<option value="0" selected>Leave them out</option>' in plain


def test_what_made_the_difference_stands_below_the_comparison(olga: Client) -> None:
    found = {**SHOP, "from": "2026-03-03", "to": "2026-03-10", "compare": "2026-03-01..2026-03-03", "window": "1d"}
    page = text_of(olga.get(at(FUNNEL, found)))
    assert "What made the difference" in page
    assert "How many entered" in page
    # Before: Ann and Bob both filled a basket, Ann ordered: 2 · 1 · 0.5. Now: Cyd looked and no more.
    assert "−50.0 pp" in page
    assert '<th scope="row">Together</th>' in page


def test_visits_attempts_and_groups_are_choices_of_the_form_and_of_the_answer(olga: Client) -> None:
    form = {"do": "show", "step": ["a", "b"], "a.event": "page_view", "b.event": "cart_updated", "entry": "every",
            "session": "1", "group": "company", "curve": "0"}  # fmt: skip
    asked = question_in(olga.get(FUNNEL, form))
    assert {name: asked[name] for name in ("entry", "session", "group", "curve")} == {
        "entry": "every", "session": True, "group": "company", "curve": False,
    }  # fmt: skip
    assert escape("A visit is a person's, so a funnel of groups cannot") in text_of(olga.get(at(FUNNEL, asked)))
    page = text_of(olga.get(at(FUNNEL, {**SHOP, "entry": "every", "session": True})))
    assert "3 attempts began with" in page
    assert "in one visit" in page
    assert '<option value="1" selected>All in one visit</option>' in page
    assert "Attempts are counted" in page
    groups = text_of(olga.get(at(FUNNEL, {**SHOP, "group": "company"})))
    assert "/explore/people/" not in groups
    assert 'name="group" value="company"' in groups
    assert "no lists of people" in text_of(
        olga.get(at("/explore/people/", {**SHOP, "group": "company"}, kind="funnel", step=0, outcome="reached")), 400
    )
