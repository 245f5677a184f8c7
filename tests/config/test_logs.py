"""Log lines carry the request they belong to, and no secret and nobody's name."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

import pytest
from django.test import Client

from analytics.jobs import enqueue, job_kind, run_due
from analytics.models import Job, Tenant
from analytics.tenancy import tenant_context
from analytics.trace import job_named, request_id, traced
from config.celery import app
from config.logs import JsonFormatter, PlainFormatter, Refusals, redacted, scrubbed, track_errors
from tests.api import caller

CANARIES = {
    "key sk_0123456789abcdefghijABCDEFGHIJ0123456789abcdefghij": "key sk_[redacted]",
    "Authorization: Bearer abc.def.ghi12345": "Authorization: [redacted] [redacted]",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF": "[redacted]",
    "postgresql://bellwether_app:hunter2@db/bw": "postgresql://bellwether_app:[redacted]@db/bw",
    "redis://:hunter2@cache:6379/0": "redis://:[redacted]@cache:6379/0",
    "mail to ann.o'hara@mail.example.org failed": "mail to ann.o'[redacted] failed",
    "paid with 4111 1111 1111 1111 today": "paid with [redacted] today",
    "card 4111111111111111.": "card [redacted].",
    "from 203.0.113.77 came": "from 203.0.113.77 came",  # documentation's own, and no person's
    "from 81.2.69.142 came": "from 81.2.69.0/24 came",
    "from 10.0.0.7:5432": "from 10.0.0.7:5432",
    "{'password': 'hunter2', 'a': 1}": "{'password': '[redacted]', 'a': 1}",
    "api_key=abcdef&x=1": "api_key=[redacted]&x=1",
    "at 2026-03-02 12:34:56,789 job 01a1fc63-4186-7094-94ed-9b21d82176ba": None,
    "order 1234567890123 of 30.5 EUR": None,
}


@pytest.mark.parametrize(("text", "wanted"), CANARIES.items(), ids=range(len(CANARIES)))
def test_secrets_are_taken_out_and_the_rest_stays(text: str, wanted: str | None) -> None:
    assert redacted(text) == (text if wanted is None else wanted)


@pytest.mark.parametrize(
    "unit",
    ["a", "-", "1", "eyJ", "-eyJ", "token", "password-", "://a", "://a:", "a@", "a@a.", "f:", "1.", "4 ", "bearer "],
)
def test_a_line_made_to_be_slow_is_not(unit: str) -> None:
    """The path of a request that is not found is logged, and may be this."""
    begun = time.perf_counter()
    redacted(unit * 20_000)

    assert time.perf_counter() - begun < 1


def test_long_tokens_are_taken_out_whole() -> None:
    token = f"eyJ{'a' * 600}.{'b' * 3_000}.{'c' * 400}"

    assert redacted(f"with {token} in it") == "with [redacted] in it"


def line(formatter: logging.Formatter, message: str, args: tuple[Any, ...], **more: Any) -> str:
    record = logging.LogRecord("bellwether.test", logging.WARNING, __file__, 1, message, args, None)
    record.__dict__.update(more)
    return formatter.format(record)


def test_a_json_line_is_one_object_with_request_and_job() -> None:
    with traced("request-1", job="upkeep.clean 7"):
        found = json.loads(line(JsonFormatter(), "hello\n%s", ("ann@example.org",), fields={"status": 200}))

    assert found.pop("time").startswith("20")
    assert found.pop("process") > 0
    assert found == {
        "level": "warning",
        "logger": "bellwether.test",
        "message": "hello\n[redacted]",
        "request_id": "request-1",
        "job": "upkeep.clean 7",
        "status": 200,
    }


def test_a_trace_back_is_redacted_too() -> None:
    try:
        raise ValueError("no such user bob@example.org")
    except ValueError:
        found = json.loads(line(JsonFormatter(), "failed", (), exc_info=sys.exc_info()))

    assert found["error"].endswith("ValueError: no such user [redacted]")


def test_a_plain_line_ends_with_its_request() -> None:
    with traced("request-1"):
        assert line(PlainFormatter("%(levelname)s %(message)s"), "hello", ()) == "WARNING hello [request-1]"
    assert line(PlainFormatter("%(levelname)s %(message)s"), "hello", ()) == "WARNING hello"


@pytest.mark.parametrize(("status", "has_way"), [(403, False), (404, False), (500, True)])
def test_what_was_refused_is_one_line_and_what_failed_has_its_way_there(status: int, has_way: bool) -> None:
    try:
        raise PermissionError("your role may not see this page")
    except PermissionError:
        record = logging.LogRecord("django.request", 30, __file__, 1, "Forbidden: /", (), sys.exc_info())
    record.status_code = status

    assert Refusals().filter(record)
    assert ("Traceback" in PlainFormatter("%(message)s").format(record)) is has_way


def test_error_reports_are_redacted_whatever_their_shape() -> None:
    report = {"message": "for ann@example.org", "extra": [{"url": "redis://:x@h/0"}], "level": 3}

    assert scrubbed(report) == {"message": "for [redacted]", "extra": [{"url": "redis://:[redacted]@h/0"}], "level": 3}
    track_errors("")  # nothing is imported
    assert "sentry_sdk" not in sys.modules


@pytest.mark.django_db(transaction=True)
def test_a_job_runs_under_the_request_that_made_it(acme: Tenant) -> None:
    seen: list[tuple[str, str]] = []

    @job_kind("test.traced")
    def handler(job: Any) -> None:
        seen.append((request_id(), job_named().partition(" ")[0]))

    with traced("request-of-the-job"):
        job = enqueue(kind="test.traced", tenant_id=acme.pk)
    run_due(only=["test.traced"])

    assert seen == [("request-of-the-job", "test.traced")]
    assert request_id() == ""
    with tenant_context(acme.pk):
        assert Job.objects.get(pk=job.pk).request_id == "request-of-the-job"


@pytest.mark.django_db
def test_a_request_answers_with_its_id_and_logs_under_it(
    acme: Tenant, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("bellwether.requests").setLevel(logging.INFO)
    try:
        with caplog.at_level(logging.INFO):
            answer = caller(acme).send("GET", "jobs/?state=done", headers={"X-Request-ID": "proxy-id-1234"})
    finally:
        logging.getLogger("bellwether.requests").setLevel(logging.WARNING)

    assert answer["X-Request-ID"] == "proxy-id-1234"
    (told,) = [record for record in caplog.records if record.name == "bellwether.requests"]
    assert told.getMessage() == "GET /api/v1/jobs/"  # without the query, which may hold anything
    fields = told.__dict__["fields"]
    assert (fields["route"], fields["status"], fields["request_id"]) == ("jobs", 200, "proxy-id-1234")


def test_a_task_carries_the_request_id_of_whoever_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from config.celery import _begin, _end, _send_request_id

    headers: dict[str, Any] = {}
    with traced("request-77"):
        _send_request_id(headers=headers)
    assert headers == {"bellwether_request_id": "request-77"}

    class Sent:
        name = "analytics.sweep"
        request = type("Request", (), headers)()

    _begin(task_id="t", task=Sent)
    assert request_id() == "request-77"
    _end(task_id="t", task=Sent, state="SUCCESS")
    assert request_id() == ""
    assert app.conf.task_serializer == "json"
