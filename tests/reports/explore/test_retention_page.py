"""Retention on screen: single days, small cohorts, two cohorts side by side, the unit that fits."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.explore.models import PeopleRead
from reports.boards.models import Board
from tests.reports.explore.conftest import EVIL, at, text_of

pytestmark = pytest.mark.django_db(transaction=True)
RETENTION = "/explore/retention/"
DAILY: dict[str, Any] = {"unit": "day", "periods": 8, "from": "2026-03-02"}
BY: dict[str, Any] = {**DAILY, "by": "country"}
CLOCK: dict[str, Any] = {**DAILY, "clock": "24h", "days": [1, 3]}


def question_in(response: Any) -> dict[str, Any]:
    """What the address says that a form led to."""
    assert response.status_code == 302, response.content[:500]
    found: dict[str, Any] = json.loads(parse_qs(urlsplit(response["Location"]).query)["q"][0])
    return found


def test_single_days_are_columns(olga: Client) -> None:
    page = text_of(olga.get(at(RETENTION, CLOCK)))
    assert '<th scope="col" class="number">Day 1</th><th scope="col" class="number">Day 3</th>' in page
    assert 'name="days" value="1, 3"' in page
    assert "on day 1" in page


def test_small_cohorts_are_grey_with_how_many_of_how_many(olga: Client) -> None:
    page = text_of(olga.get(at(RETENTION, DAILY)))
    assert "is-small" in page
    assert "2 of 2" in page
    assert "Grey cells are of cohorts of fewer than 30 people" in page
    assert "is-small" not in text_of(olga.get(at(RETENTION, {**DAILY, "min_size": 1})))


def test_two_cohorts_are_compared_by_a_form_below_the_table(olga: Client) -> None:
    sent = olga.get(at(RETENTION, DAILY, do="versus", versus=6) + "&versus=0")
    asked = question_in(sent)
    assert asked == {**DAILY, "versus": [6, 0]}
    page = text_of(olga.get(sent["Location"]))
    assert "Is one cohort better than another?" in page
    assert '<option value="6" selected>Sun 8 Mar 2026</option>' in page
    assert "no difference" in page
    assert '<input type="hidden" name="versus" value="6">' in page


def test_the_form_keeps_all_of_it(olga: Client) -> None:
    form = {"do": "show", "unit": "week", "periods": "6", "clock": "24h", "days": "1, 3 7", "min_size": "5",
            "versus": ["1", "0"], "cohort": "first_ever", "mode": "on"}  # fmt: skip
    assert question_in(olga.get(RETENTION, form)) == {
        "unit": "week", "periods": 6, "clock": "24h", "days": [1, 3, 7], "min_size": 5, "versus": [1, 0],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"versus": [0, 0]}, "two different cohorts"),
        ({"versus": [0]}, "two cohorts"),
        ({"versus": ["x", 0]}, "valid integer"),
        ({"versus": [0, 1], "cohort": "recurring"}, "share people"),
        ({"days": [1, 3]}, "24-hour clock"),
        ({"days": [3, 1], "clock": "24h"}, "rising numbers"),
        ({"min_size": -1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_asked_is_told_beside_the_form(wrong: dict[str, Any], said: str, olga: Client) -> None:
    page = text_of(olga.get(at(RETENTION, {**DAILY, **wrong})))
    assert "This question cannot be answered as it is." in page
    assert said in page


def test_a_hand_made_address_of_the_comparison_breaks_nothing(olga: Client) -> None:
    for query in ("?do=versus", "?do=versus&q={", "?do=versus&versus=<script>&versus=99999999999"):
        assert olga.get(RETENTION + query).status_code == 302


def test_one_is_not_offered_what_shares_people(olga: Client, sam: Client) -> None:
    assert "Is one cohort better" not in text_of(olga.get(at(RETENTION, {**DAILY, "cohort": "recurring"})))
    assert "Is one cohort better" not in text_of(sam.get(at(RETENTION, DAILY)))  # everybody came on one day


# --- By value ---------------------------------------------------------------------------------------------------------


def test_values_stand_below_everybody_and_lead_to_their_cohorts(olga: Client) -> None:
    """Ann of France and Bob, whose country is a script, came on Monday; Cyd of France on Sunday."""
    page = text_of(olga.get(at(RETENTION, BY)))
    assert "By country" in page
    assert (
        page.index(">Everybody</a>") < page.index(">FR</a>") < page.index(">&lt;script&gt;alert(1)&lt;/script&gt;</a>")
    )
    assert EVIL not in page
    assert '<h2 id="cohorts-title">Cohorts</h2>' in page
    assert "value=FR#cohorts-title" in page
    chosen = text_of(olga.get(at(RETENTION, BY, value="FR")))
    assert '<h2 id="cohorts-title">Cohorts of FR</h2>' in chosen
    assert "cohort=0&amp;period=0&amp;key=FR" in chosen
    assert "1 of 1" in chosen
    assert "2 of 2" not in chosen
    assert "Is one cohort better" not in chosen, "that is of everybody"
    assert text_of(olga.get(at(RETENTION, BY, value="nowhere"))).count("Cohorts of") == 0


def test_small_values_are_grey_and_money_is_per_person(olga: Client) -> None:
    """Ann of France spent €10 on Monday; Cyd of France came on Sunday: €5 each."""
    page = text_of(olga.get(at(RETENTION, {**BY, "revenue": True})))
    values = page[page.index('id="values-title"') : page.index('id="cohorts-title"')]
    assert "Grey values have fewer than 30 people" in values
    assert "100.0 %</span><small>€5.00</small>" in values
    assert "with what they spent per person" in values
    assert "Grey values" not in text_of(olga.get(at(RETENTION, {**BY, "min_size": 1})))


def test_lines_are_drawn_where_two_periods_are_known(olga: Client) -> None:
    assert 'class="lines"' in text_of(olga.get(at(RETENTION, BY)))
    assert 'class="lines"' not in text_of(olga.get(at(RETENTION, {**BY, "periods": 2})))
    assert 'class="lines"' not in text_of(olga.get(at(RETENTION, DAILY)))


def test_people_of_a_value_are_listed_written_down_and_not_for_everybody(
    olga: Client, vera: Client, sam: Client, shop: Tenant
) -> None:
    assert "key=FR" not in text_of(vera.get(at(RETENTION, BY, value="FR")))
    place = {"kind": "retention", "cohort": 0, "period": 0, "key": "FR"}
    page = text_of(olga.get(at("/explore/people/", BY, **place)))
    assert "People of cohort 1 who came in period 0, country FR" in page
    assert "1 person</h2>" in page
    with tenant_context(shop.pk):
        read = PeopleRead.objects.get()
    assert (read.people, read.question["place"]) == (1, {"cohort": 0, "period": 0, "key": "FR"})
    assert vera.get(at("/explore/people/", BY, **place)).status_code == 403
    assert "Nobody to show" in text_of(olga.get(at("/explore/people/", DAILY, **place)), 400)
    assert ">1</a>" not in text_of(sam.get(at("/explore/people/", BY, **place)))


def test_people_of_a_value_are_kept_as_a_segment(olga: Client) -> None:
    place = json.dumps({"cohort": 0, "period": 0, "key": "FR"})
    given = {"kind": "retention", "q": json.dumps(BY), "at": place, "name": "Monday's French"}
    assert "Kept: Monday&#x27;s French, 1 people." in text_of(olga.post("/segments/", given, follow=True))


def test_the_form_keeps_the_breakdown_and_offers_it(olga: Client) -> None:
    form = {"do": "show", "unit": "day", "periods": "8", "by": "country", "limit": "3"}
    assert question_in(olga.get(RETENTION, form)) == {"unit": "day", "periods": 8, "by": "country", "limit": 3}
    assert question_in(olga.get(RETENTION, {**form, "limit": "10"})) == {"unit": "day", "periods": 8, "by": "country"}
    page = text_of(olga.get(at(RETENTION, {**BY, "limit": 1})))
    assert 'name="by" value="country"' in page
    assert 'name="limit" value="1"' in page
    assert ">All others</a>" in page


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"by": "contry"}, "Did you mean country"),
        ({"by": f"properties.{EVIL}\x01"}, "without control characters"),
        ({"by": "country", "limit": "many"}, "valid integer"),
        ({"by": ["country"]}, "valid string"),
    ],
)
def test_a_breakdown_that_is_none_is_told_beside_the_form(wrong: dict[str, Any], said: str, olga: Client) -> None:
    page = text_of(olga.get(at(RETENTION, {**DAILY, **wrong})))
    assert "This question cannot be answered as it is." in page
    assert said in page
    assert EVIL not in page


def test_files_carry_the_value(olga: Client) -> None:
    def lines(table: str) -> list[str]:
        response: Any = olga.get(at(f"/explore/{table}.csv", BY))
        return b"".join(response).decode("utf-8-sig").splitlines()

    cohorts = lines("retention")
    assert cohorts[0].startswith('"key","cohort","people","period"')
    assert sum(1 for line in cohorts if line.startswith('"FR",')) == 64
    assert sum(1 for line in cohorts if line.startswith(('"",', ","))) == 64
    means = lines("retention-means")
    assert means[0] == '"key","people","period","share","low","high"'
    assert any(line.startswith('"FR",2,0,1.0') for line in means)


def test_a_card_of_a_board_shows_the_values(olga: Client, shop: Tenant) -> None:
    with tenant_context(shop.pk):
        board = Board.objects.create(tenant_id=shop.pk, title="Mine", visibility="team", document={"cards": []})
    given = {"address": at(RETENTION, BY), "title": "By country", "board": str(board.pk)}
    page = text_of(olga.post("/explore/to-board/", given, follow=True))
    assert "Everybody" in page
    assert "FR" in page
    assert EVIL not in page
