"""Events on their way to PostHog: by its own client, without anybody's name, and none missing."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from analytics.access.services import api_key_create
from analytics.capture import forward
from analytics.capture.outlet import outlet
from analytics.capture.tracking import identify, track
from analytics.jobs import enqueue, run_due, run_job
from analytics.models import Event, Outbox, Subject, Tenant
from analytics.tenancy import tenant_context

ROOT = Path(__file__).resolve().parents[2]
Answer = Callable[[int, list[dict[str, Any]]], tuple[int, dict[str, str]]]


class Sink:
    """PostHog as its client sees it. `answer` decides by the number of the request and its events."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self.answer: Answer = lambda _number, _events: (200, {})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
                sink.bodies.append({"path": self.path, **body})
                status, headers = sink.answer(len(sink.bodies), body["batch"])
                if status == 200:
                    sink.taken.extend(body["batch"])
                text = json.dumps({"status": 1, "detail": "no"}).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_args: Any) -> None:
                """Quiet."""

            def handle(self) -> None:
                with suppress(OSError):  # a client that was killed
                    super().handle()

        return Handler


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    """A local PostHog, which forwarding is switched on for."""
    from posthog.request import reset_sessions

    sink = Sink()
    settings.POSTHOG_API_KEY = "phc_test"
    settings.POSTHOG_HOST = sink.url
    yield sink
    sink.answer = lambda _number, _events: (200, {})
    sink.server.shutdown()
    sink.server.server_close()
    reset_sessions()


def waiting(tenant: Tenant) -> list[tuple[str, int]]:
    """State and attempts of a tenant's rows."""
    with tenant_context(tenant.pk):
        return list(Outbox.objects.order_by("event_ts").values_list("state", "attempts"))


def run_now(tenant: Tenant) -> None:
    """One forwarding job of a tenant."""
    assert run_job(enqueue(kind=forward.KIND, tenant_id=tenant.pk).pk)


@pytest.mark.django_db(transaction=True)
def test_each_stored_event_arrives_once_and_without_anybodys_name(
    acme: Tenant, globex: Tenant, sink: Sink, t0: datetime
) -> None:
    track(
        "order_completed",
        user="ann@example.org",
        value=19,
        currency="EUR",
        tenant="acme",
        timestamp=t0,
        properties={"plan": "pro", "email": "ann@x.org", "$current_url": "https://shop.example/a?q=x", "country": "FR"},
    )
    track("signed_up", user="bob", tenant="globex", timestamp=t0)
    assert outlet.flush()
    assert forward.forward_due(now=timezone.now()) == 2
    run_due(only=[forward.KIND])
    assert waiting(acme) == waiting(globex) == []
    order, sign_up = sorted(sink.taken, key=lambda event: event["event"])
    assert (order["event"], sign_up["event"]) == ("order_completed", "signed_up")
    assert order["timestamp"] == t0.isoformat()
    assert order["properties"] == {
        "plan": "pro",
        "country": "FR",
        "$current_url": "https://shop.example/a",
        "revenue": 19.0,
        "currency": "EUR",
        "value": 19.0,
        "type": "payment",
        "source": "manual",
        "is_bot": False,
        "$geoip_disable": True,
        "$lib": "bellwether",
    }
    assert "ann" not in json.dumps(sink.bodies)
    assert "bob" not in json.dumps(sink.bodies)
    assert sink.bodies[0]["api_key"] == "phc_test"
    assert sink.bodies[0]["path"] == "/batch/"


@pytest.mark.django_db(transaction=True)
def test_one_person_keeps_one_name_and_the_tenants_have_different_ones(
    acme: Tenant, globex: Tenant, sink: Sink
) -> None:
    for tenant in ("acme", "acme", "globex"):
        track("page_view", user="ann", tenant=tenant)
    assert outlet.flush()
    forward.forward_due(now=timezone.now())
    run_due(only=[forward.KIND])
    names = Counter(event["distinct_id"] for event in sink.taken)
    assert sorted(names.values()) == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_identities_and_erased_people_stay_here(acme: Tenant, globex: Tenant, sink: Sink) -> None:
    identify("ann", {"plan": "pro"})
    for user in ("ann", "bob"):
        track("page_view", user=user, tenant="acme")
    track("page_view", user="sam", tenant="globex")
    assert outlet.flush()
    with tenant_context(acme.pk):
        gone = Event.objects.earliest("ts").subject_id
        assert gone is not None
        Subject.objects.filter(pk=gone).update(erased_at=timezone.now())
    run_now(acme)
    run_now(globex)
    assert len(sink.taken) == 2
    assert waiting(acme) == waiting(globex) == []


@pytest.mark.django_db(transaction=True)
def test_a_server_that_fails_is_asked_again_later_and_then_no_more(
    acme: Tenant, globex: Tenant, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.answer = lambda _number, _events: (503, {"Retry-After": "30"})
    track("page_view", user="ann", tenant="acme")
    assert outlet.flush()
    begun = timezone.now()
    run_now(acme)
    assert waiting(acme) == [("waiting", 1)]
    with tenant_context(acme.pk):
        row = Outbox.objects.get()
        assert begun + timedelta(seconds=29) < row.next_at < begun + timedelta(seconds=45)
        assert "503" in row.error
        Outbox.objects.update(next_at=begun, attempts=forward.MAX_ATTEMPTS - 1)
    run_now(acme)
    assert waiting(acme) == [("dead", forward.MAX_ATTEMPTS)]
    assert waiting(globex) == []


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_refused_does_not_hold_up_its_neighbours(acme: Tenant, globex: Tenant, sink: Sink) -> None:
    sink.answer = lambda _number, events: (400 if any(e["event"] == "poison" for e in events) else 200, {})
    for name in ("a", "b", "poison", "c", "d"):
        track(name, user="ann", tenant="acme")
    assert outlet.flush()
    run_now(acme)
    assert sorted(event["event"] for event in sink.taken) == ["a", "b", "c", "d"]
    assert waiting(acme) == [("dead", 1)]


@pytest.mark.django_db(transaction=True)
def test_switched_off_nothing_waits(acme: Tenant, globex: Tenant, settings: Any) -> None:
    settings.POSTHOG_API_KEY = ""
    track("page_view", user="ann", tenant="acme")
    assert outlet.flush()
    assert waiting(acme) == []
    assert forward.forward_due(now=timezone.now()) == 0


@pytest.mark.django_db(transaction=True)
def test_killed_in_the_middle_none_is_missing(
    acme: Tenant, globex: Tenant, sink: Sink, database_urls: dict[str, str]
) -> None:
    """The forwarder dies while PostHog answers; what it had claimed goes out again under the same ids."""
    for number in range(450):
        track("page_view", user=f"p{number % 7}", tenant="acme" if number % 3 else "globex")
    assert outlet.flush()

    def slow(_number: int, _events: list[dict[str, Any]]) -> tuple[int, dict[str, str]]:
        time.sleep(0.05)
        return 200, {}

    sink.answer = slow
    environment = {
        **os.environ, **database_urls, "DJANGO_SETTINGS_MODULE": "config.settings",
        "POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": sink.url,
    }  # fmt: skip
    for _ in range(2):
        before = len(sink.bodies)
        command = [sys.executable, "-m", "tests.analytics.host.forwarder", str(acme.pk), str(globex.pk)]
        with subprocess.Popen(command, cwd=ROOT, env=environment) as forwarder:
            while len(sink.bodies) == before and forwarder.poll() is None:
                time.sleep(0.005)
            forwarder.send_signal(signal.SIGKILL)
    time.sleep(0.2)
    for tenant in (acme, globex):
        with tenant_context(tenant.pk):
            Outbox.objects.update(next_at=timezone.now())
        while rows := forward.rows_claim(tenant_id=tenant.pk, now=timezone.now()):
            forward.rows_send(rows, tenant_id=tenant.pk)
    arrived = Counter(event["uuid"] for event in sink.taken)
    stored: set[str] = set()
    for tenant in (acme, globex):
        with tenant_context(tenant.pk):
            stored |= {str(pk) for pk in Event.objects.values_list("pk", flat=True)}
    assert set(arrived) == stored
    assert len(stored) == 450


@pytest.mark.django_db(transaction=True)
def test_our_own_server_takes_what_is_forwarded_and_dedupes_what_comes_twice(
    acme: Tenant, globex: Tenant, settings: Any, live_server_url: str
) -> None:
    settings.POSTHOG_HOST = live_server_url
    _, settings.POSTHOG_API_KEY = api_key_create(tenant_id=globex.pk, kind="pk", name="sink")
    for number in range(30):
        track("order_completed", user=f"p{number % 5}", value=number, currency="EUR", tenant="acme")
    assert outlet.flush()
    for later in (1, 2):
        rows = forward.rows_claim(tenant_id=acme.pk, now=timezone.now() + timedelta(hours=later))
        with tenant_context(acme.pk):
            wires = forward._wires(rows)
        forward.posthog_post(list(wires.values()))
    with tenant_context(acme.pk):
        sent = {str(pk): amount for pk, amount in Event.objects.values_list("pk", "amount")}
    with tenant_context(globex.pk):
        received = dict(Event.objects.values_list("event_id", "amount"))
        assert Subject.objects.count() == 5
    assert received == sent
