"""Every error of the API is a problem document with the request's id; nothing inner ever shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DataError, InterfaceError, OperationalError
from django.test import Client
from psycopg.errors import QueryCanceled

from analytics.access.keys import KeysUnavailable
from analytics.models import Tenant
from analytics.views.access import TenantDetailView
from tests.api import Caller, caller, problem

SECRET = "SELECT secret FROM bw_api_key"


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let `GET tenant/` fail like that."""

    def get(self: Any, request: Any) -> None:
        raise error

    monkeypatch.setattr(TenantDetailView, "get", get)


def test_an_unknown_path_is_a_problem(db: None) -> None:
    assert problem(Caller(None).get("nowhere/")) == {
        "status": 404,
        "code": "not_found",
        "detail": "There is nothing here for this credential.",
    }


def test_a_wrong_method_is_a_problem(acme: Tenant) -> None:
    answer = caller(acme).send("DELETE", "tenant/")

    assert problem(answer)["code"] == "method_not_allowed"
    assert "GET" in answer["Allow"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "parse_error"),
        ("[1, 2", "parse_error"),
        ('{"kind": NaN}', "parse_error"),
        ('{"kind": "\\ud800"}', "parse_error"),
        ("[" * 100_000, "parse_error"),
        ("[]", "invalid_parameters"),
        ('"backfill"', "invalid_parameters"),
        ("null", "invalid_parameters"),
        ('{"kind": ' + "9" * 5000 + "}", "parse_error"),
        (" " * (5 * 1024 * 1024 + 1), "too_large"),
    ],
)
def test_broken_json_is_a_problem(acme: Tenant, body: str, code: str) -> None:
    assert problem(caller(acme).post("jobs/", body))["code"] == code


def test_another_media_type_is_a_problem(acme: Tenant) -> None:
    api = caller(acme)
    answer = Client().post(
        "/api/v1/jobs/", "kind=backfill", content_type="text/csv", headers={"Authorization": f"Bearer {api.token}"}
    )

    assert problem(answer)["code"] == "unsupported_media_type"


def test_an_unacceptable_answer_is_a_problem(acme: Tenant) -> None:
    answer = caller(acme).send("GET", "tenant/", headers={"Accept": "application/xml"})

    assert answer.status_code == 406
    assert problem(answer)["code"] == "not_acceptable"


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer \xff", "Basic eDp5", "bearer"])
def test_a_strange_credential_is_a_problem(db: None, header: str) -> None:
    answer = Client().get("/api/v1/tenant/", headers={"Authorization": header})

    assert problem(answer)["status"] == 401


def test_a_fault_of_ours_shows_nothing_but_its_id(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken(monkeypatch, RuntimeError(SECRET))

    answer = caller(acme).get("tenant/")

    assert SECRET not in answer.content.decode()
    assert answer["X-Request-ID"] in caplog.text
    assert problem(answer) == {
        "status": 500,
        "code": "internal_error",
        "detail": "Something broke on our side. It is logged.",
    }


def cancelled() -> OperationalError:
    error = OperationalError("canceling statement due to statement timeout")
    error.__cause__ = QueryCanceled()
    return error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OperationalError(SECRET), 503, "unavailable"),
        (InterfaceError(SECRET), 503, "unavailable"),
        (KeysUnavailable(SECRET), 503, "unavailable"),
        (cancelled(), 422, "too_expensive"),
        (DataError(SECRET), 400, "invalid_value"),
    ],
)
def test_the_database_may_fail(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    broken(monkeypatch, error)

    answer = caller(acme).get("tenant/")

    assert SECRET not in answer.content.decode()
    assert (problem(answer)["status"], problem(answer)["code"]) == (status, code)
    assert ("Retry-After" in answer) == (status == 503)


def test_the_callers_request_id_comes_back_when_it_is_harmless(acme: Tenant) -> None:
    api = caller(acme)

    def answered(offered: str) -> str:
        return str(api.send("GET", "tenant/", headers={"X-Request-ID": offered})["X-Request-ID"])

    assert answered("trace-1234.abc") == "trace-1234.abc"
    for evil in ("a", "x" * 65, "<script>alert(1)</script>", "é" * 10, "line\tbreak12"):
        assert answered(evil) != evil


def test_pages_of_people_stay_pages(db: None) -> None:
    answer = Client().get("/nowhere/")

    assert answer.status_code == 404
    assert "json" not in answer["Content-Type"]
