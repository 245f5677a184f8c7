"""A client of the live socket for tests: keeps every message, and refuses numbers that are not one after another."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from analytics.access.services import api_key_create
from analytics.models import Tenant

NUMBERED = ("snapshot", "delta")


class Socket:
    """An open socket. `seen` are all messages; `values` what they add up to."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[dict[str, Any]] = []
        self.values: dict[str, Any] = {}
        self.seq = 0

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def say(self, kind: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def hear(self, kind: str, seconds: float = 10.0) -> dict[str, Any]:
        """The next message of the kind; others on the way are taken note of. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.take(max(0.0, deadline - time.monotonic()))
            if message["type"] == kind:
                return message

    def take(self, seconds: float) -> dict[str, Any]:
        """The next message, whatever it is."""
        message: dict[str, Any] = json.loads(self.connection.recv(timeout=seconds))
        self.seen.append(message)
        if message["type"] in NUMBERED:
            assert message["seq"] == self.seq + 1, f"gap: {self.seq} → {message['seq']}"
            self.seq = message["seq"]
            self.values |= {metric: value["value"] for metric, value in message["values"].items()}
        return message

    def until(self, metric: str, value: Any, seconds: float = 12.0) -> float:
        """Wait for the metric to have this value; after how many seconds it did."""
        began = time.monotonic()
        while self.values.get(metric) != value:
            left = began + seconds - time.monotonic()
            assert left > 0, f"{metric} is {self.values.get(metric)!r}, not {value!r}: {self.seen[-5:]}"
            try:
                self.take(left)
            except TimeoutError:
                continue
        return time.monotonic() - began

    def closed(self, seconds: float = 10.0) -> int | None:
        """Wait for the server to close it; the code."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.take(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return None
        except Exception:
            return self.connection.close_code


def opened(url: str, *, path: str = "/ws/live/", **how: Any) -> Socket:
    """A socket of the server at `url`. Raises InvalidStatus when the handshake is refused."""
    address = urlsplit(url)
    how.setdefault("max_size", None)
    return Socket(connect(f"ws://{address.netloc}{path}", legacy=True, proxy=None, compression=None, **how))


def opened_by(url: str, token: str, **how: Any) -> Socket:
    """A socket with a token in its header."""
    return opened(url, additional_headers={"Authorization": f"Bearer {token}"}, **how)


def subscribed(url: str, token: str, metrics: Sequence[str], *, period: float = 1, **question: Any) -> Socket:
    """A socket that has its first snapshot."""
    socket = opened_by(url, token)
    socket.say("subscribe", metrics=list(metrics), period=period, **question)
    socket.hear("snapshot")
    return socket


def key_of(tenant: Tenant, *, kind: str = "sk", scopes: Sequence[str] = ()) -> str:
    """A new key."""
    return api_key_create(tenant_id=tenant.pk, kind=kind, name="live", scopes=scopes)[1]


def session_of(user: Any, tenant: Tenant) -> str:
    """The cookie of a person who is signed in and looks at the tenant."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(user)
    session = client.session
    session["bellwether_tenant"] = tenant.slug
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def own_origin(url: str) -> str:
    return f"http://{urlsplit(url).netloc}"


def cookies(cookie: str, **more: str) -> Mapping[str, str]:
    return {"Cookie": cookie, **more}
