"""A client of the API for tests: `caller(tenant)` calls with a fresh secret key of that tenant."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from django.test import Client

from analytics.access.services import api_key_create
from analytics.access.throttles import gcra
from analytics.models import Tenant


class Caller:
    """Calls /api/v1/ with one credential."""

    def __init__(self, token: str | None) -> None:
        self.token = token
        # Each caller comes from an address of its own: log-ins are limited by address, and Redis outlives a test.
        address = f"198.18.{random.randrange(256)}.{random.randrange(256)}"
        self._client = Client(raise_request_exception=False, REMOTE_ADDR=address)

    def get(self, path: str, **parameters: Any) -> Any:
        """`from_` stands for `from`, which is a word of Python."""
        data = {name.rstrip("_"): value for name, value in parameters.items()}
        return self._client.get(f"/api/v1/{path}", data, headers=self._headers())

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        call = getattr(self._client, method.lower())
        arguments: dict[str, Any] = {"headers": {**self._headers(), **(headers or {})}}
        if method.upper() not in ("GET", "HEAD"):
            arguments |= {"data": body if body is not None else {}, "content_type": "application/json"}
        return call(f"/api/v1/{path}", **arguments)

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("POST", path, body)

    def upload(self, path: str, parts: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        """A form with files, as `multipart/form-data`."""
        return self._client.post(f"/api/v1/{path}", parts, headers={**self._headers(), **(headers or {})})

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def caller(tenant: Tenant, *, kind: str = "sk", scopes: Sequence[str] = ()) -> Caller:
    """A client with a new key of the tenant."""
    _, token = api_key_create(tenant_id=tenant.pk, kind=kind, name="test", scopes=scopes)
    return Caller(token)


def log_in(username: str, password: str = "correct horse", **more: str) -> Any:
    """The answer to a log-in; earlier ones of that name are forgotten."""
    gcra()._redis.delete(f"bw:rate:login:name:{username}")
    return Caller(None).post("auth/token/", {"username": username, "password": password, **more})


def logged_in(username: str, **more: str) -> Caller:
    """A caller with an access token of a member."""
    answer = log_in(username, **more)
    assert answer.status_code == 200, answer.content
    return Caller(answer.json()["access"])


def problem(response: Any) -> dict[str, Any]:
    """The problem document of an answer, without its request id, after checking its form."""
    assert response["Content-Type"] == "application/problem+json", response.content[:500]
    body: dict[str, Any] = dict(response.json())
    assert body.pop("request_id") == response["X-Request-ID"]
    assert body.pop("type") == "about:blank"
    assert body.pop("title")
    assert body["status"] == response.status_code
    return body
