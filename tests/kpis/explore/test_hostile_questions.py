"""Questions that an enemy writes: odd values are 400 or an answer, never a 500, and nobody's list costs minutes."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from django.utils import timezone

from analytics import jobs
from analytics.models import Tenant
from tests.api import Caller, caller
from tests.kpis.explore.test_api_explore import HOUR, MARCH, NOW, told

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [{"events": ["page_view"]}, {"events": ["cart_updated"]}]
ODD: tuple[Any, ...] = (10**30, 2**63, 1e308, "inf", True, "parquet", "%", "' OR 1=1 --")
FIELDS = ("amount", "value", "is_bot", "country", "properties.a'b\"%s__x")


@pytest.fixture
def api(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Caller:
    """Ann and Bob look and fill a basket, Ann in France; Dan of the neighbour does the same."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    for tenant, people in ((globex, ("dan",)), (acme, ("ann", "bob"))):
        columns = {"amount": 500, "value": 2.5, "properties": {"a'b\"%s__x": "x"}}
        told(
            tenant,
            *[(who, "$pageview", HOUR, {**columns, "country": "FR" if who == "ann" else "DE"}) for who in people],
        )
    return caller(acme)


def test_whatever_a_condition_compares_with_is_answered_or_refused(api: Caller) -> None:
    for field, op, odd in itertools.product(FIELDS, ("eq", "in", "gt"), ODD):
        condition = {"field": field, "op": op, "value": [odd] if op == "in" else odd}
        answer = api.post("explore/funnel/", {"steps": STEPS, **MARCH, "filters": [condition]})
        assert answer.status_code in (200, 400), (condition, answer.content)
        # Nobody is in a place of that name, nothing is worth that much; the text "%" is no pattern.
        assert answer.status_code == 400 or answer.json()["entered"] == 0, condition


def test_a_truth_and_a_flag_have_no_order(api: Caller) -> None:
    for field, value in (("is_bot", 1), ("amount", True), ("country", True)):
        condition = {"field": field, "op": "gt", "value": value}
        answer = api.post("explore/funnel/", {"steps": STEPS, **MARCH, "filters": [condition]})
        assert answer.status_code == 400
        assert "compares with a number" in answer.content.decode()


def test_a_list_of_a_hundred_thousand_values_is_refused_at_once(api: Caller) -> None:
    values = [f"v{number}" for number in range(100_000)]
    condition = {"field": "country", "op": "in", "value": values}
    few = {"field": "country", "op": "in", "value": values[:900]}
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("explore/funnel/", {"steps": STEPS, **MARCH, "filters": [condition]}),
        ("explore/funnel/", {"steps": STEPS, **MARCH, "filters": [few] * 20}),
        ("explore/funnel/", {"steps": [{**STEPS[0], "where": [few] * 2}] * 10, **MARCH}),
        ("explore/paths/", {"anchor": {"events": values}, **MARCH}),
        ("explore/retention/", {"brackets": list(range(100_000))}),
        ("kpis/calculate/", {"metrics": ["revenue.gross"], "period": "2026-03", "filters": [condition]}),
    ]
    for path, body in bodies:
        began = time.monotonic()
        assert api.post(path, body).status_code == 400, path
        assert time.monotonic() - began < 2, path


def test_a_list_of_some_hundred_values_is_answered(api: Caller) -> None:
    values = ["FR", *(f"v{number}" for number in range(800))]
    condition = {"field": "country", "op": "in", "value": values}
    answer = api.post("explore/funnel/", {"steps": STEPS, **MARCH, "filters": [condition]})
    assert (answer.status_code, answer.json()["entered"]) == (200, 1)
    written = json.dumps([condition])
    assert api.get("kpis/revenue.gross/series/", period="2026-03", filters=written).status_code == 200


def test_nobody_fills_the_queue_of_jobs_alone(api: Caller, globex: Tenant) -> None:
    def ask(caller: Caller, hours: int) -> Any:
        return caller.post("explore/funnel/?mode=job", {"steps": STEPS, **MARCH, "window": f"{hours}h"})

    first = ask(api, 1)
    assert (first.status_code, ask(api, 1).json()["id"]) == (202, first.json()["id"]), "the same question is one job"
    assert {ask(api, hours).status_code for hours in range(2, 11)} == {202}
    refused = ask(api, 11)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_jobs")
    assert ask(api, 1).status_code == 202, "one's own job is still told"
    assert ask(caller(globex), 11).status_code == 202, "a neighbour's queue is its own"
    jobs.run_due()
    assert ask(api, 11).status_code == 202
