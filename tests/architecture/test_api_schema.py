"""The description of the API: valid, complete, without warnings, and readable offline under our own rules."""

from __future__ import annotations

import json
from functools import cache
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from drf_spectacular.validation import validate_schema

from tests.architecture.routes import NOBODYS, api_routes


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI document, as `manage.py spectacular` makes it; a warning fails."""
    out, errors = StringIO(), StringIO()
    call_command("spectacular", "--format", "openapi-json", "--fail-on-warn", stdout=out, stderr=errors)
    assert errors.getvalue() == ""
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, told) for path, methods in schema()["paths"].items() for method, told in methods.items()]


def test_the_schema_is_valid_openapi_3_1_without_warnings() -> None:
    validate_schema(schema())  # type: ignore[no-untyped-call]

    assert schema()["openapi"].startswith("3.1")


def test_every_route_is_in_it() -> None:
    listed = {(path, method.upper()) for path, method, _ in operations()}
    served = {(path, method) for route in api_routes() for method in route.methods for path in [_template(route)]}

    assert listed == served


def _template(route: Any) -> str:
    """The route's address with {names} for its arguments, each found by a value of its own."""
    values = {
        name: UUID(int=2**64 + number) if isinstance(NOBODYS[name], UUID) else NOBODYS[name]
        for number, name in enumerate(route.arguments)
    }
    path = f"/api/v1/{route.path(**values)}"
    for name, value in values.items():
        path = path.replace(str(value), f"{{{name}}}")
    return path


def test_every_operation_says_what_it_does_and_how_to_prove_who_calls() -> None:
    for path, method, told in operations():
        assert told["description"].strip(), (method, path)
        assert told["operationId"], (method, path)
        assert "application/problem+json" in told["responses"]["4XX"]["content"], (method, path)
        if "/auth/" not in path:
            assert {"apiKey": []} in told["security"], (method, path)


def test_operation_ids_are_unique() -> None:
    ids = [told["operationId"] for _, _, told in operations()]

    assert len(ids) == len(set(ids))


def test_parameters_of_series_are_described() -> None:
    told = schema()["paths"]["/api/v1/kpis/{metric}/series/"]["get"]
    names = {parameter["name"] for parameter in told["parameters"]}

    assert {"metric", "from", "to", "period", "granularity", "by", "compare", "filters", "include", "limit"} <= names


@pytest.mark.django_db
def test_the_page_works_offline_under_the_strict_policy() -> None:
    client = Client()
    page = client.get("/api/docs/")
    html = page.content.decode()

    assert page.status_code == 200
    policy = page["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "<style" not in html
    assert html.count("<script src=") == html.count("<script")
    assert "http://" not in html.replace("http://testserver", "")
    assert "https://" not in html
    script = client.get("/api/docs/?script=")
    assert script.status_code == 200
    assert script["Content-Type"].startswith("application/javascript")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png"):
        assert finders.find(f"drf_spectacular_sidecar/swagger-ui-dist/{name}"), name


@pytest.mark.django_db
def test_the_schema_is_served_to_everybody() -> None:
    answer = Client().get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})

    assert answer.status_code == 200
    assert json.loads(answer.content)["info"]["title"] == "Bellwether"
