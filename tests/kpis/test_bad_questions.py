"""What is wrong with a question is said at its place, with the nearest that would do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from analytics.models import Tenant
from tests.api import Caller, caller, problem
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
NEAREST = "did you mean revenue.gross"


@pytest.fixture
def api(acme: Tenant, globex: Tenant) -> Caller:
    story = Story(acme)
    story.add("order_completed", MONDAY, "ann", amount=1000)
    story.count(MONDAY)
    return caller(acme)


@pytest.mark.parametrize(
    ("path", "status", "field", "words"),
    [
        ("kpis/revenue.grss/explain/", 404, None, NEAREST),
        ("kpis/revenue.grss/ledger/", 404, None, NEAREST),
        ("kpis/revenue.grss/contributions/?by=country", 404, None, NEAREST),
        ("kpis/peak-times/?metric=revenue.grss", 400, "metric", NEAREST),
        ("goals/?metric=revenue.grss", 400, "metric", NEAREST),
        ("payments/?from=2026-05-01&to=2026-04-01", 400, "to", "later than `from`"),
        ("payments/latency/?days=999999", 400, "days", "1 to 3660"),
        ("kpis/revenue.gross/ledger/?from=2020-01-01&to=2026-01-01", 400, "to", "at most 400 days"),
        ("kpis/revenue.gross/explain/?timezone=Mars/Phobos", 400, "timezone", "IANA name"),
        ("kpis/revenue.gross/contributions/?by=cuntry", 400, "by", "Did you mean country"),
        ("payments/?contry=FR", 400, "contry", "Did you mean country"),
        ("quality/?days=1000", 400, "days", "1 to 90"),
        ("objectives/?colour=red", 400, "colour", "no parameter"),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_would_do(
    api: Caller, path: str, status: int, field: str | None, words: str
) -> None:
    answer = api.get(path)
    said = problem(answer)

    assert (answer.status_code, said.get("errors", [{"field": None}])[0]["field"]) == (status, field)
    assert words in said["detail"]


@pytest.mark.parametrize(
    ("formula", "pointed"),
    [
        ("revenue.gross / (orders.count", "revenue.gross / (orders.count\n                             ^ expected ')'"),
        (
            "revenue.gross / orders.cont",
            "revenue.gross / orders.cont\n                ^ there is no metric orders.cont; did you mean orders.count",
        ),
        (
            "revenue.gross / revenue.gros",
            "revenue.gross / revenue.gros\n                ^ there is no metric revenue.gros;",
        ),
    ],
)
def test_a_broken_formula_points_at_the_character(api: Caller, formula: str, pointed: str) -> None:
    said: dict[str, Any] = problem(api.post("kpis/definitions/", {"metric": "own.x", "name": "X", "formula": formula}))

    assert said["errors"][0]["field"] == "formula"
    assert said["detail"].startswith(pointed)


def test_goals_of_a_metric_that_is_gone_are_still_found(api: Caller) -> None:
    api.post("kpis/definitions/", {"metric": "own.x", "name": "X", "formula": "orders.count * 2"})
    api.post("goals/", {"name": "g", "metric": "own.x", "target": "2", "first": "2026-03-01"})
    assert api.send("DELETE", "kpis/definitions/own.x/").status_code in (200, 204)

    assert len(api.get("goals/", metric="own.x").json()["results"]) == 1
