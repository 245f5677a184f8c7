"""Whose address counts at the doors when proxies stand between: never one that the client wrote itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import close_old_connections
from django.utils import timezone

from analytics.access.addresses import client_address, networks_parse
from analytics.access.authentication import key_ring
from analytics.capture.asgi import CaptureApp
from analytics.capture.http import Request
from analytics.capture.intake import Intake
from analytics.models import Subject, Tenant
from analytics.tenancy import tenant_context
from analytics.writer import EventWriter
from tests.analytics.capture.asgi_client import call
from tests.analytics.capture.conftest import token_of

PROXY = "203.0.113.7"  # the peer of every request in these tests
PADDING = "6.6.6.6, " * 400


def address_of(*lines: str) -> str:
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    request = Request({"type": "http", "method": "POST", "path": "/e", "headers": headers, "client": (PROXY, 1)})
    return client_address(request.peer, request.forwarded_for, networks_parse([PROXY, "10.0.0.0/8"]))


@pytest.mark.parametrize(
    "lines",
    [
        ["198.51.100.7"],
        ["6.6.6.6, 198.51.100.7"],
        [PADDING + "198.51.100.7"],
        [PADDING + "198.51.100.7, 10.0.0.2"],
        ["6.6.6.6", "198.51.100.7"],
        [PADDING, "198.51.100.7", "10.0.0.2"],
        ["198.51.100.7, " + "10.1.1.1, " * 50],
    ],
    ids=range(7),
)
def test_what_the_nearest_proxy_appended_is_the_client(lines: list[str]) -> None:
    assert address_of(*[line.rstrip(", ") for line in lines]) == "198.51.100.7"


def test_half_an_address_at_the_cut_is_none() -> None:
    """1,024 bytes from the right begin inside 198.51.100.7 here: its rest must not pass for another address."""
    for length in range(12):
        tail = ", 10.0.0.2" * 101 + " " * length
        assert address_of(f"198.51.100.7{tail}") in ("198.51.100.7", "10.0.0.2")


@pytest.fixture
def app(writer: EventWriter) -> Iterator[CaptureApp]:
    intake = Intake(
        keys=key_ring(), writer=lambda: writer, clock=timezone.now, renew=close_old_connections, secret=b"secret"
    )
    yield CaptureApp(intake, trusted_proxies=(PROXY,))
    intake.close()


@pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
def test_a_visitor_without_cookies_is_one_whatever_it_writes_before_its_address(
    app: CaptureApp, acme: Tenant, globex: Tenant
) -> None:
    token = token_of(acme)
    for number in range(3):
        forged = f"6.6.6.{number}, " * 200 + "198.51.100.7"
        body = {"api_key": token, "event": "seen", "distinct_id": "$posthog_cookieless"}
        assert call(app, "/e", body, headers={"X-Forwarded-For": forged}).status == 200

    with tenant_context(acme.pk):
        assert Subject.objects.count() == 1
