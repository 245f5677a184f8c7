"""How many statements each route costs, kept in `query_counts.json`: a change shows in a review.

`BELLWETHER_WRITE_BASELINE=1 pytest tests/architecture/test_api_queries.py` writes the file anew.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.access.authentication import key_ring
from analytics.models import Tenant
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, write
from tests.api import Caller, caller
from tests.architecture.routes import Route, api_routes

BASELINE = Path(__file__).with_name("query_counts.json")
NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.fixture
def api(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Caller:
    """Acme with a few counted events, and the key of a caller."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    write(acme, [event(acme, f"e{n}", name="order_completed", distinct_id=f"p{n}", country="FR") for n in range(30)])
    refresh_tenant(acme.pk, now=NOW)
    return caller(acme)


def count(api: Caller, route: Route) -> int:
    values = {"metric": "revenue.arppu", "period": "week"}
    assert api.token is not None
    key_ring().find(api.token)  # remembered for seconds: on a slow machine it would lapse between two routes
    with CaptureQueriesContext(connection) as queries:
        api.send("GET", route.path(**{name: value for name, value in values.items() if name in route.arguments}))
    return len(queries)


def test_routes_cost_as_many_statements_as_agreed(api: Caller) -> None:
    found = {route.name: count(api, route) for route in api_routes() if "GET" in route.methods}
    if os.environ.get("BELLWETHER_WRITE_BASELINE"):
        BASELINE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

    assert found == json.loads(BASELINE.read_text())


def test_the_number_of_events_adds_no_statement(api: Caller, acme: Tenant) -> None:
    events = next(route for route in api_routes() if route.name == "events")
    before = count(api, events)
    write(acme, [event(acme, f"more{n}", distinct_id=f"q{n}") for n in range(60)])

    assert count(api, events) == before
