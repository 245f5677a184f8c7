"""Who may open a live socket, and how long it stays open."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from analytics.access.services import api_key_create, api_key_revoke, membership_remove, membership_set
from analytics.models import Tenant
from tests.api import logged_in
from tests.reports.live.client import Socket, cookies, key_of, opened, opened_by, own_origin, session_of, subscribed
from tests.reports.live.telling import earned

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])

METRICS = ["revenue.gross", "orders.count"]
SOON = 5.0
"""Seconds within which a revoked credential's socket must be closed."""


def refusal(url: str, **how: Any) -> int:
    """The status of a handshake that must be refused."""
    with pytest.raises(InvalidStatus) as refused:
        opened(url, **how)
    return int(refused.value.response.status_code)


def test_a_secret_key_sees_its_tenant_and_nothing_else(live_server_url: str, acme: Tenant, globex: Tenant) -> None:
    earned(acme, 1250)
    earned(globex, 990_00)
    with subscribed(live_server_url, key_of(acme), METRICS) as one:
        assert one.seen[0]["tenant"] == "acme"
        assert one.values == {"revenue.gross": "12.50", "orders.count": 1}
    with subscribed(live_server_url, key_of(globex), METRICS) as other:
        assert other.seen[0]["tenant"] == "globex"
        assert other.values == {"revenue.gross": "990.00", "orders.count": 1}


def test_a_key_may_come_as_subprotocol(live_server_url: str, acme: Tenant) -> None:
    with opened(live_server_url, subprotocols=["bellwether.live", f"bearer.{key_of(acme)}"]) as socket:
        assert socket.hear("hello")["tenant"] == "acme"
        assert socket.connection.subprotocol == "bellwether.live"


def test_a_key_may_come_as_first_message(live_server_url: str, acme: Tenant) -> None:
    with opened(live_server_url) as socket:
        socket.say("auth", token=key_of(acme))
        assert socket.hear("hello")["tenant"] == "acme"
        socket.say("auth", token="again")
        assert socket.hear("error")["code"] == "already_authenticated"


def test_an_access_token_opens_it_for_its_tenant(
    live_server_url: str, acme: Tenant, globex: Tenant, teammate: Any
) -> None:
    token = logged_in("theo").token
    assert token is not None
    with opened_by(live_server_url, token) as socket:
        assert socket.hear("hello")["tenant"] == "acme"


@pytest.mark.parametrize("forge", ["swap", "none", "short", "empty", "basic"])
def test_forged_credentials_are_refused(live_server_url: str, acme: Tenant, teammate: Any, forge: str) -> None:
    token = logged_in("theo").token
    assert token is not None
    head, body, signature = token.split(".")
    header = {
        "swap": f"Bearer {head}.{body}.{signature[::-1]}",
        "none": f"Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.",
        "short": f"Bearer {key_of(acme)[:-1]}A",
        "empty": "Bearer",
        "basic": "Basic b2xnYTpjb3JyZWN0",
    }[forge]
    assert refusal(live_server_url, additional_headers={"Authorization": header}) == 403


def test_a_publishable_key_and_a_key_without_the_scope_see_nothing(live_server_url: str, acme: Tenant) -> None:
    for token in (key_of(acme, kind="pk"), key_of(acme, scopes=["events:read"])):
        assert refusal(live_server_url, additional_headers={"Authorization": f"Bearer {token}"}) == 403
        with opened(live_server_url) as socket:
            socket.say("auth", token=token)
            assert socket.closed() == 4403


def test_saying_anything_but_a_credential_first_closes_it(live_server_url: str, acme: Tenant) -> None:
    with opened(live_server_url) as socket:
        socket.say("subscribe", metrics=METRICS)
        assert socket.closed() == 4401
        assert socket.seen == []


def test_saying_nothing_closes_it(live_server_url: str, db: None) -> None:
    with opened(live_server_url) as socket:
        began = time.monotonic()
        assert socket.closed() == 4401
        assert time.monotonic() - began < 8


def test_a_session_counts_with_the_origin_of_the_host(
    live_server_url: str, acme: Tenant, globex: Tenant, teammate: Any
) -> None:
    cookie = session_of(teammate, acme)
    with opened(live_server_url, additional_headers=cookies(cookie), origin=own_origin(live_server_url)) as socket:
        assert socket.hear("hello")["tenant"] == "acme"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "",
        "https://evil.example",
        "http://localhost",
        "http://127.0.0.1",
        "http://127.0.0.1.evil.example:{port}",
        "http://evil.example:{port}",
        "https://127.0.0.1:{port}",
        "http://user@127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "http://127.0.0.1:{port}/",
        "http://[::1",
        "file://",
    ],
)
def test_a_session_from_elsewhere_is_refused(live_server_url: str, acme: Tenant, teammate: Any, origin: Any) -> None:
    headers = dict(cookies(session_of(teammate, acme)))
    if origin is not None:
        headers["Origin"] = origin.format(port=live_server_url.rpartition(":")[2])
    assert refusal(live_server_url, additional_headers=headers) == 403


def test_a_foreign_page_without_a_session_is_refused_too(live_server_url: str, db: None) -> None:
    assert refusal(live_server_url, origin="https://evil.example") == 403


def test_a_foreign_host_header_is_refused(live_server_url: str, acme: Tenant, teammate: Any) -> None:
    from reports.live.access import origin_is_ours

    assert not origin_is_ours("http://evil.example", "evil.example", is_secure=False)
    assert origin_is_ours("http://localhost:8000", "localhost:8000", is_secure=False)
    assert origin_is_ours("https://[::1]:8000", "[::1]:8000", is_secure=True)


def test_trusted_origins_are_those_of_the_forms(settings: Any) -> None:
    from reports.live.access import origin_is_ours

    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.org", "https://board.example.com"]

    def allowed(origin: str) -> bool:
        return origin_is_ours(origin, "localhost:8000", is_secure=False)

    assert allowed("https://board.example.com")
    assert allowed("https://a.example.org")
    assert not allowed("http://board.example.com")
    assert not allowed("https://x.board.example.com")
    assert not allowed("https://evilexample.org")


def test_a_session_that_is_none_is_refused(live_server_url: str, acme: Tenant, teammate: Any) -> None:
    origin = own_origin(live_server_url)
    for cookie in ("sessionid=abcdefghijklmnopqrstuvwxyz012345", "sessionid=x", "sessionid=%00"):
        assert refusal(live_server_url, additional_headers=cookies(cookie, Origin=origin)) == 403


def watching(url: str, *sockets: Socket) -> None:
    for socket in sockets:
        socket.say("subscribe", metrics=METRICS, period=1)
        socket.hear("snapshot")


def test_a_revoked_key_closes_its_sockets_within_five_seconds(
    live_server_url: str, acme: Tenant, globex: Tenant
) -> None:
    key, token = api_key_create(tenant_id=acme.pk, kind="sk", name="gone")
    with (
        subscribed(live_server_url, token, METRICS) as one,
        subscribed(live_server_url, token, METRICS) as two,
        subscribed(live_server_url, key_of(acme), METRICS) as other,
    ):
        api_key_revoke(tenant_id=acme.pk, key_id=key.pk, now=timezone.now())
        assert [one.closed(SOON), two.closed(1)] == [4401, 4401]
        earned(acme, 700)
        other.until("revenue.gross", "7.00")
        assert one.values["revenue.gross"] != "7.00"


def test_a_key_that_expires_closes_its_socket(live_server_url: str, acme: Tenant) -> None:
    _, token = api_key_create(
        tenant_id=acme.pk, kind="sk", name="short", expires_at=timezone.now() + timedelta(seconds=4)
    )
    with subscribed(live_server_url, token, METRICS) as socket:
        assert socket.closed(4 + SOON) == 4401


@pytest.mark.parametrize("change", ["role", "removed", "inactive", "password", "signed out"])
def test_a_person_who_changes_is_closed_within_five_seconds(
    live_server_url: str, acme: Tenant, globex: Tenant, teammate: Any, owner_user: Any, change: str
) -> None:
    origin = own_origin(live_server_url)
    headers = cookies(session_of(teammate, acme), Origin=origin)
    others = cookies(session_of(owner_user, acme), Origin=origin)
    with (
        opened(live_server_url, additional_headers=headers) as socket,
        opened(live_server_url, additional_headers=others) as other,
    ):
        watching(live_server_url, socket, other)
        time.sleep(2.5)  # the guard has seen it once
        if change == "role":
            membership_set(tenant_id=acme.pk, user=teammate, role="viewer")
        elif change == "removed":
            membership_remove(tenant_id=acme.pk, user=teammate)
        elif change == "inactive":
            teammate.is_active = False
            teammate.save()
        elif change == "password":
            teammate.set_password("another horse")
            teammate.save()
        else:
            Session.objects.filter(session_key=headers["Cookie"].partition("=")[2]).delete()
        assert socket.closed(SOON) in (4401, 4403)
        other.say("ping")
        assert other.hear("pong")["seq"] == other.seq


def test_an_unknown_path_is_4404(live_server_url: str, db: None) -> None:
    for path in ("/ws/", "/ws/other/", "/", "/ws/live/acme/"):
        with opened(live_server_url, path=path) as socket:
            assert socket.closed() == 4404


def test_the_path_works_without_its_last_slash(live_server_url: str, acme: Tenant) -> None:
    with opened_by(live_server_url, key_of(acme), path="/ws/live") as socket:
        assert socket.hear("hello")["tenant"] == "acme"
