"""Slow and silent clients: they are told or let go, and meanwhile everybody else is answered."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from config.patience import MOST_HELD, Patience, has_body
from config.port import for_wsgi
from tests.config.serving import served

POST = {"type": "http", "method": "POST", "headers": [(b"content-length", b"10")]}
Message = dict[str, Any]


class Peer:
    """The server's end of a connection whose client sends these pieces (None: nothing more, ever) and takes answers
    when `takes`."""

    def __init__(self, *pieces: bytes | None, takes: bool = True) -> None:
        self._pieces = list(pieces)
        self._takes = takes
        self.sent: list[MutableMapping[str, Any]] = []
        self.is_aborted = False

    async def receive(self) -> Message:
        if not self._pieces:
            return {"type": "http.disconnect"}
        piece = self._pieces.pop(0)
        if piece is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if not self._takes:
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def transport(self) -> Peer:
        return self

    def abort(self) -> None:
        self.is_aborted = True


class Echo:
    """Reads the whole body and answers it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, is_more = b"", True
        while is_more:
            message = await receive()
            body += message.get("body", b"")
            is_more = message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        size = max(4, len(body) // 64)
        for start in range(0, len(body), size):
            await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def ask(peer: Peer, echo: Echo, scope: Message | None = None, grace: float = 0.2) -> float:
    """Seconds that it took."""
    begun = time.monotonic()
    asyncio.run(asyncio.wait_for(Patience(echo, grace=grace)(scope or POST, peer.receive, peer.send), 10))
    return time.monotonic() - begun


def test_a_body_in_pieces_arrives_whole_and_comes_back_whole() -> None:
    peer, echo = Peer(b"one ", b"", b"two ", b"three"), Echo()
    ask(peer, echo)

    assert echo.bodies == [b"one two three"]
    assert b"".join(message.get("body", b"") for message in peer.sent) == b"one two three"
    assert not peer.is_aborted


def test_a_body_that_stops_coming_is_answered_408_and_never_reaches_the_application() -> None:
    peer, echo = Peer(b"one ", None), Echo()

    assert ask(peer, echo) < 2
    assert echo.bodies == []
    assert peer.sent[0]["status"] == 408
    assert (b"connection", b"close") in peer.sent[0]["headers"]
    assert b'"too_slow"' in peer.sent[1]["body"]


def test_a_client_that_hangs_up_before_its_body_is_there_is_forgotten() -> None:
    peer, echo = Peer(), Echo()
    ask(peer, echo)

    assert (echo.bodies, peer.sent) == ([], [])


def test_a_large_body_is_handed_on_as_it_comes_and_ends_when_it_stops() -> None:
    part = b"x" * (1024 * 1024)
    whole, broken = Echo(), Echo()
    ask(Peer(*[part] * 9), whole)
    ask(Peer(*[part] * 7, None), broken)

    assert [len(body) for body in whole.bodies] == [9 * len(part)]
    assert [len(body) for body in broken.bodies] == [7 * len(part)]
    assert len(part) * 6 == MOST_HELD


def test_a_client_that_takes_nothing_is_cut_off_and_the_application_ends() -> None:
    peer, echo = Peer(b"x" * 400, takes=False), Echo()

    assert ask(peer, echo) < 2
    assert echo.bodies == [b"x" * 400]
    assert peer.is_aborted


def test_an_application_that_thinks_for_long_uses_up_nobodys_patience() -> None:
    async def thinking(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(4):
            await asyncio.sleep(0.15)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    peer = Peer(b"x")
    asyncio.run(Patience(thinking, grace=0.2)(POST, peer.receive, peer.send))

    assert len(peer.sent) == 5
    assert not peer.is_aborted


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], False),
        ([(b"content-length", b"0")], False),
        ([(b"content-length", b"")], False),
        ([(b"content-length", b"5")], True),
        ([(b"transfer-encoding", b"chunked")], True),
    ],
)
def test_only_requests_with_a_body_are_waited_for(headers: list[tuple[bytes, bytes]], expected: bool) -> None:
    assert has_body({"headers": headers}) is expected


def test_what_reaches_django_has_no_header_in_disguise_and_an_ascii_query() -> None:
    scope = {
        "type": "http",
        "query_string": b"a=%C3%A9&b=\xff\xc3\xa9&c=1+2",
        "headers": [(b"x-forwarded-for", b"1.2.3.4"), (b"x_forwarded_for", b"6.6.6.6"), (b"accept", b"*/*")],
    }

    assert for_wsgi(scope) == {
        "type": "http",
        "query_string": b"a=%C3%A9&b=%FF%C3%A9&c=1+2",
        "headers": [(b"x-forwarded-for", b"1.2.3.4"), (b"accept", b"*/*")],
    }


@pytest.mark.django_db(databases=["default"])
def test_half_open_requests_keep_nobody_waiting(database_urls: dict[str, str], redis_url: str, tmp_path: Path) -> None:
    """Four times as many as there are threads, on a page that everybody may open."""
    settings = {**database_urls, "REDIS_URL": redis_url, "WEB_THREADS": "2"}
    half = b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nusername="
    with served(tmp_path / "web.log", **settings) as url, httpx.Client(base_url=url, timeout=10) as client:
        host, port = str(urlsplit(url).hostname), int(urlsplit(url).port or 0)
        sockets = [socket.create_connection((host, port)) for _ in range(8)]
        for each in sockets:
            each.sendall(half)
        time.sleep(0.5)
        begun = time.monotonic()
        answers = [client.get("/health/live").status_code for _ in range(20)]
        taken = time.monotonic() - begun
        raw = client.get("/login/?next=/%FF").status_code
        for each in sockets:
            each.close()

    assert set(answers) == {200}
    assert taken < 5
    assert raw == 200


@pytest.mark.django_db(databases=["default"])
def test_bytes_that_are_no_ascii_in_a_query_and_headers_in_disguise_harm_nobody(
    database_urls: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    guarded = {**database_urls, "REDIS_URL": redis_url, "IP_ALLOWLIST": "10.1.0.0/16", "TRUSTED_PROXIES": "127.0.0.1"}
    lines = ["GET /admin/login/?q=", " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"]
    with served(tmp_path / "web.log", **guarded) as url:
        address = (str(urlsplit(url).hostname), int(urlsplit(url).port or 0))

        def status(query: bytes, headers: bytes) -> int:
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(lines[0].encode() + query + lines[1].encode() + headers + b"\r\n")
                return int(client.recv(1000).split(b" ")[1])

        assert status(b"\xc3\xa9", b"X-Forwarded-For: 10.1.2.3\r\n") in (200, 400)
        assert status(b"x", b"X-Forwarded-For: 10.1.2.3\r\n") == 200
        assert status(b"x", b"X-Forwarded-For: 203.0.113.9\r\nX_Forwarded_For: 10.1.2.3\r\n") == 403
        assert status(b"x", b"X_Forwarded_For: 10.1.2.3\r\n") == 403
