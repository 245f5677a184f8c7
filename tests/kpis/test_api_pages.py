"""Lists of the API come in pages, all by the same words; what a panel shows says how far it can be trusted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import Tenant
from tests.api import Caller, caller, problem
from tests.kpis.test_goals import DAY, MONDAY, nine_weeks

pytestmark = pytest.mark.django_db

NOW = MONDAY + timedelta(hours=12)


@pytest.fixture
def api(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Caller:
    """Acme with nine weeks of orders; it is Monday noon."""
    settings.API_RATE_PER_MINUTE = 0
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    nine_weeks(acme)
    return caller(acme)


def set_goals(api: Caller, objectives: tuple[str, ...]) -> list[str]:
    """A goal for each, the later the earlier in the list; those of one name join one objective."""
    made = []
    for number, objective in enumerate(objectives):
        goal = {"name": f"G{number}", "metric": "revenue.gross", "target": "100", "period": "custom"}
        span = {"first": "2026-03-02", "end": str((NOW + (10 - number) * DAY).date())}
        answer = api.post("goals/", {**goal, **span, "objective": objective})
        assert answer.status_code == 201, answer.content
        made.append(answer.json()["id"])
    return made


def walk(api: Caller, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """The pages of a list, by their `next`."""
    pages = [api.get(path, **parameters).json()]
    while pages[-1]["next"]:
        pages.append(api.get(pages[-1]["next"].partition("/api/v1/")[2]).json())
    return pages


def test_goals_come_in_pages_and_each_page_with_its_objectives_as_a_whole(api: Caller) -> None:
    """G0 and G2 belong to Grow, G1 to Keep, G3 to none: the first page shows one goal of Grow, and both count in it."""
    goals = set_goals(api, ("Grow", "Keep", "Grow", ""))

    pages = walk(api, "goals/", limit=2)

    assert [[goal["id"] for goal in page["results"]] for page in pages] == [goals[:2], goals[2:]]
    assert [(page["count"], page["previous"] is None) for page in pages] == [(4, True), (4, False)]
    assert [{each["name"]: sorted(each["goals"]) for each in page["objectives"]} for page in pages] == [
        {"Grow": sorted([goals[0], goals[2]]), "Keep": [goals[1]]},
        {"Grow": sorted([goals[0], goals[2]])},
    ]
    assert "offset" not in pages[1]["previous"]
    assert api.get("goals/", offset=9).json()["results"] == []


def test_objectives_and_what_was_said_come_in_pages_too(api: Caller) -> None:
    goals = set_goals(api, ("Grow", "Keep", "Win"))
    for number in range(3):
        assert api.post(f"goals/{goals[0]}/check-ins/", {"confidence": number / 10}).status_code == 201

    objectives = walk(api, "objectives/", limit=2)
    said = walk(api, f"goals/{goals[0]}/check-ins/", limit=2)

    assert [[each["name"] for each in page["results"]] for page in objectives] == [["Grow", "Keep"], ["Win"]]
    assert [each["goals"] for page in objectives for each in page["results"]] == [[goal] for goal in goals]
    assert [[each["confidence"] for each in page["results"]] for page in said] == [[0.2, 0.1], [0.0]]
    assert {page["count"] for page in (*objectives, *said)} == {3}


def test_segments_come_in_pages(api: Caller) -> None:
    definition = {"measure": "users.active", "period": "last_30d"}
    for name in ("Ann", "Bob", "Cyd"):
        made = api.post("segments/", {"name": name, "source": "measure", "definition": definition})
        assert made.status_code == 201, made.content

    pages = walk(api, "segments/", limit=2)

    assert [[each["name"] for each in page["results"]] for page in pages] == [["Ann", "Bob"], ["Cyd"]]
    assert [(page["count"], "answer" in page["sources"]) for page in pages] == [(3, True), (3, True)]


def test_the_catalogue_comes_whole_unless_it_is_asked_for_in_pages(api: Caller) -> None:
    whole = api.get("kpis/", values="false").json()
    pages = walk(api, "kpis/", values="false", limit=100)

    assert (whole["next"], whole["count"], len(whole["results"])) == (None, len(whole["results"]), whole["count"])
    assert [row for page in pages for row in page["results"]] == whole["results"]
    assert len(pages) == -(-whole["count"] // 100)
    assert problem(api.get("kpis/", limit=1001))["errors"][0]["field"] == "limit"


def test_the_catalogue_has_points_when_it_is_asked_for_a_granularity(api: Caller) -> None:
    """The eighth of the nine weeks was no good one; the fifth brought 10.00 a day."""
    asked = {"family": "revenue", "from_": "2026-01-26", "to": "2026-02-04"}
    gross = next(
        row
        for row in api.get("kpis/", **asked, granularity="day").json()["results"]
        if row["metric"] == "revenue.gross"
    )

    assert [point["value"] for point in gross["points"]] == ["10.00"] * 7 + ["0.00"] * 2
    assert gross["value"] == "70.00"
    assert "points" not in api.get("kpis/", **asked).json()["results"][0]


@pytest.mark.parametrize(
    ("path", "executor"),
    [
        ("kpis/?family=orders", "rollup"),
        ("kpis/overview/", "rollup"),
        ("kpis/peak-times/", "rollup"),
        ("payments/", "rollup"),
        ("payments/failures/", "rollup"),
        ("payments/methods/", "rollup"),
        ("payments/top-resources/", "events"),
        ("payments/customers/", "events"),
        ("webhooks/metrics/", "rollup"),
    ],
)
def test_a_panel_says_how_far_it_can_be_trusted(api: Caller, path: str, executor: str) -> None:
    """A week that is over is complete; one that reaches into today is not (S41)."""
    sign = "&" if "?" in path else "?"
    over = api.get(f"{path}{sign}from=2026-02-16&to=2026-02-23").json()
    running = api.get(f"{path}{sign}from=2026-02-24&to=2026-03-03").json()

    assert (over["is_complete"], running["is_complete"]) == (True, False)
    for answer in (over, running):
        assert answer["executor"] == executor
        assert answer["data_through"] <= answer["computed_at"]
        assert (answer["timezone"], answer["filters"], answer["include"], answer["is_partial"]) == (
            "Europe/Paris", [], [], False,
        )  # fmt: skip
    assert over["definition_version"] == running["definition_version"]
