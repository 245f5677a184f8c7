"""The description of the API: valid, complete, without warnings, and readable offline under our own rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from drf_spectacular.validation import validate_schema
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from analytics.access.selectors import places_of_user
from analytics.access.tokens import TokenPair
from analytics.models import Tenant
from config.api_examples import BODIES
from config.api_words import AREAS, SUMMARIES
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, write
from tests.api import Caller
from tests.architecture.routes import NOBODYS, api_routes

NOW = datetime.now(UTC) - timedelta(days=3)


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
    """By the schema of OpenAPI itself, and by a validator that also looks at defaults and references."""
    validate_schema(schema())  # type: ignore[no-untyped-call]
    validate(schema())

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
        assert told["responses"]["default"] == {"$ref": "#/components/responses/Problem"}, (method, path)
        if told["operationId"] not in ("root", "token_create", "token_refresh"):
            (scope,) = {scope for door in told["security"] for scopes in door.values() for scope in scopes}
            assert f"Needs the scope `{scope}` (owner" in told["description"], (method, path)
            assert {"401", "403", "429", "503"} <= set(told["responses"]), (method, path)


def test_every_operation_has_a_line_of_summary_and_an_area_of_its_own() -> None:
    told = {operation["operationId"]: operation for _, _, operation in operations()}

    assert {name: operation.get("summary") for name, operation in told.items()} == SUMMARIES
    assert {tag for operation in told.values() for tag in operation["tags"]} == {area.name for area in AREAS}
    assert [tag["name"] for tag in schema()["tags"]] == [area.name for area in AREAS]


def test_every_parameter_is_described_with_a_choice_or_an_example_that_fits() -> None:
    for _, _, told in operations():
        for parameter in told.get("parameters", []):
            where = (told["operationId"], parameter["name"])
            kind = parameter["schema"]
            assert parameter.get("description"), where
            if "enum" not in kind and "enum" not in kind.get("items", {}):
                OAS31Validator(kind).validate(parameter["example"])
            if parameter["in"] == "path" and told["operationId"] != "scheduler_switch":
                assert "404" in told["responses"], where


def test_every_body_has_an_example_that_fits() -> None:
    for _, _, told in operations():
        for media, content in told.get("requestBody", {}).get("content", {}).items():
            if media == "application/json":
                kind = {**content["schema"], "components": schema()["components"]}
                OAS31Validator(kind).validate(content["example"])


@pytest.mark.django_db
def test_every_body_of_the_examples_is_taken(acme: Tenant, globex: Tenant, owner_user: Any, settings: Any) -> None:
    """Sent as it stands; what has an id in its path is made first, and ids that lead nowhere are a 404."""
    settings.API_RATE_PER_MINUTE = 0
    api = Caller(TokenPair(owner_user, places_of_user(owner_user)[0]).access)
    people = [BODIES["identities_merge"][name] for name in ("distinct_id", "other")]
    write(acme, [event(acme, who, distinct_id=who, timestamp=NOW, received_at=NOW) for who in people], now=NOW)
    refresh_tenant(acme.pk, now=NOW)
    person = api.get("identities/", distinct_id=people[0]).json()["person_id"]
    made = {"metric": BODIES["definitions_create"]["metric"], "subject": str(person)}
    statuses = {}
    for path, method, told in sorted(operations(), key=lambda each: ORDER.index(each[1])):
        name = told["operationId"]
        if name not in BODIES or name in ELSEWHERE:
            continue
        address = path.removeprefix("/api/v1/").format_map(Ids(made))
        answer = api.send(method, address, BODIES[name], headers={"If-Match": '"1"'})
        statuses[name] = answer.status_code
        if answer.status_code == 201 and "id" in answer.json() and name.endswith(("create", "add")):
            made[IDS.get(name, "")] = answer.json()["id"]

    assert {name: status for name, status in statuses.items() if status not in (200, 201, 202)} == LEADS_NOWHERE


ORDER = ("post", "put", "patch", "get", "delete")
IDS = {
    "goals_create": "goal_id",
    "objectives_create": "objective_id",
    "boards_create": "board_id",
    "annotations_add": "annotation_id",
    "segments_create": "segment_id",
}
# The capture door, log-ins and an erasure over a connection of its own, each with tests of its own.
ELSEWHERE = {"events_send", "token_create", "token_refresh", "subjects_erase"}
LEADS_NOWHERE = {"identities_unmerge": 404}


class Ids(dict[str, str]):
    """Ids that were made; any other leads nowhere."""

    def __missing__(self, name: str) -> str:
        return str(UUID(int=0))


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


@pytest.mark.django_db
def test_the_root_of_the_api_leads_to_everything_that_can_be_read(acme: Tenant, globex: Tenant) -> None:
    api = Caller(None)
    found = api.get("").json()

    assert (found["name"], found["docs"]) == ("Bellwether", "http://testserver/api/docs/")
    assert "http://testserver/api/v1/goals/" in found["areas"]["Goals"]
    listed = [address for area in found["areas"].values() for address in area]
    assert len(listed) == len(set(listed)) > 40
    assert {api.get(address.partition("/api/v1/")[2]).status_code for address in listed} == {401}
    page = Client().get("/api/v1/", headers={"Accept": "text/html"})
    assert (page.status_code, page["Location"]) == (302, "/api/docs/")
