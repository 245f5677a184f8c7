"""Hostile questions to every route: each gets an answer or a problem document, none a 500."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import quote

import pytest

from analytics.models import Tenant
from tests.analytics.events import event, write
from tests.api import Caller, caller
from tests.architecture.routes import api_routes
from tests.architecture.test_api_schema import schema

VALUES = [
    "",
    "\x00",
    "é" * 200,
    "x" * 5000,
    "'; DROP TABLE bw_event; --",
    "%",
    "%s %(tenant)s",
    "{}",
    "-1",
    "9" * 40,
    "1e400",
    "NaN",
    "0001-01-01",
    "9999-12-31",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00",
    "2026-02-30",
    "2026-03-01..0001-01-01",
    "last_9999m",
    "rolling_9999w",
    "properties.a'b",
    "properties.__class__",
    "properties." + "a" * 300,
    "__other__",
    '[{"field": "amount", "op": "gt", "value": "many"}]',
    '[{"field": "is_bot", "op": "eq", "value": "maybe"}]',
    '[{"field": "properties.x", "op": "gt", "value": 1e308}]',
    '[{"field": "country", "op": "in", "value": []}]',
    '[{"field": "value", "op": "in", "value": ["a", 1]}]',
    '[{"field": "country", "op": "eq", "value": "\\ud800"}]',
    '[{"field": "duration_ms", "op": "eq", "value": 99999999999999999999999999}]',
    '[{"field": "country", "op": "is_null", "value": true}]',
    "\u202etxt.exe",
    "\ud7ff\uffff",
]
BODIES: list[Any] = [
    {},
    [],
    None,
    1,
    "text",
    {"metrics": ["\u0000"]},
    {"metrics": ["orders.count"], "filters": [{"field": "country", "op": "eq", "value": {"a": 1}}]},
    {"metrics": ["orders.count"], "filters": [{"field": "properties.x", "op": "gt", "value": [1]}]},
    {"metrics": ["orders.count"], "from": "9999-12-31", "to": "9999-12-31T23:00:00"},
    {"metrics": ["orders.count"], "limit": 10**30},
    {"metric": "a.b", "name": "\u0000", "formula": "(" * 500},
    {"metric": "a.b", "name": "x", "formula": "orders.count ^ 64 ^ 64 ^ 64"},
    {"metric": "a.b", "name": "x", "formula": "orders.count", "warning": 1e308, "critical": -1e308},
    {"kind": "backfill", "from": "0001-01-01", "to": "9999-12-31"},
    {"kind": "rollup", "from": "0001-01-01", "dry_run": True},
    {"kind": "sk", "name": "x" * 101, "expires_at": "9999-12-31T23:59:59-12:00"},
    {"kind": "sk", "name": "x", "expires_at": "0001-01-01T00:00:00+14:00"},
    {"ids": ["x"]},
    {"edge": "x"},
    {"distinct_id": "x" * 401, "other": "\u0000"},
    {"distinct_id": "\ud83d", "other": "x"},
    {"rates": [{"day": "0001-01-01", "currency": "USD", "rate": "1e30"}]},
    {"rates": [{"day": "9999-12-31", "currency": "USD", "rate": "0.000000000001"}]},
    {"username": "\u0000", "password": "\u0000"},
    {"refresh": "\u0000"},
]


@pytest.fixture
def api(acme: Tenant, globex: Tenant, settings: Any) -> Caller:
    """Acme with one event."""
    settings.API_RATE_PER_MINUTE = 0
    write(
        acme, [event(acme, "e1", name="order_completed", distinct_id="ann", amount=100, currency="EUR", country="FR")]
    )
    return caller(acme)


def parameters() -> list[tuple[str, str]]:
    """Every query parameter of every GET, from the schema."""
    return [
        (path.removeprefix("/api/v1/"), parameter["name"])
        for path, methods in schema()["paths"].items()
        if path.startswith("/api/v1/") and "get" in methods
        for parameter in methods["get"].get("parameters", [])
        if parameter["in"] == "query"
    ]


def test_every_parameter_takes_hostile_values(api: Caller) -> None:
    """A sample of all pairs with a fixed seed: each parameter of each route meets two of the values."""
    chosen = random.Random(7)
    failed = []
    for path, name in parameters():
        address = path.replace("{metric}", "orders.count").replace("{period}", "today")
        address = address.replace("{", "").replace("}", "")
        for value in chosen.sample(VALUES, 2):
            answer = api.send("GET", f"{address}?{name}={quote(value, errors='surrogatepass')}")
            if answer.status_code >= 500:
                failed.append((path, name, value[:60], answer.status_code))

    assert failed == []


@pytest.mark.parametrize(
    "name", ["from", "to", "period", "by", "filters", "country", "compare", "limit", "granularity"]
)
def test_series_takes_every_hostile_value(api: Caller, name: str) -> None:
    codes = {
        value[:60]: api.send("GET", f"kpis/revenue.gross/series/?{name}={quote(value)}").status_code for value in VALUES
    }

    assert {value: code for value, code in codes.items() if code >= 500} == {}


@pytest.mark.parametrize(
    "metric", ["%00", "..", "a" * 3000, "orders.count%00", "%F0%9F%92%A9", "orders.count'--", "%25s"]
)
def test_metrics_of_strange_names_are_not_found(api: Caller, metric: str) -> None:
    for path in (f"kpis/{metric}/series/", f"kpis/{metric}/", f"kpis/definitions/{metric}/"):
        assert api.send("GET", path).status_code in (400, 404), path


def test_every_body_may_be_hostile(api: Caller, acme: Tenant) -> None:
    failed = []
    for route in api_routes():
        for method in {"POST", "PUT"} & set(route.methods):
            if route.name == "events":
                continue  # the capture door takes those
            for body in BODIES:
                answer = api.send(method, route.path(metric="a.b"), body if body is not None else "null")
                if answer.status_code >= 500:
                    failed.append((route.name, str(body)[:80], answer.status_code))

    assert failed == []
