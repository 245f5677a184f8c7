"""Retention on screen: single days, small cohorts, two cohorts side by side, the unit that fits."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from tests.reports.explore.conftest import at, text_of

pytestmark = pytest.mark.django_db(transaction=True)
RETENTION = "/explore/retention/"
DAILY: dict[str, Any] = {"unit": "day", "periods": 8, "from": "2026-03-02"}
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
