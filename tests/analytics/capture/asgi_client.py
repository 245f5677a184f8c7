"""Calls the capture application as a web server would, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from analytics.capture.asgi import CaptureApp


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.headers = {name.decode(): value.decode() for name, value in headers}
        self.body = body

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def call(
    app: CaptureApp,
    path: str,
    body: bytes | Mapping[str, Any] | list[Any] = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    pieces: int = 1,
) -> Answer:
    """One request; its body arrives in `pieces`."""
    return asyncio.run(answered(app, path, body, method=method, headers=headers, pieces=pieces))


async def answered(
    app: CaptureApp,
    path: str,
    body: bytes | Mapping[str, Any] | list[Any] = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    pieces: int = 1,
    address: str = "203.0.113.7",
) -> Answer:
    """The same in a loop that others run in."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    bare, _, query = path.partition("?")
    step = max(1, -(-len(raw) // pieces))
    chunks = [raw[start : start + step] for start in range(0, len(raw), step)] or [b""]
    incoming = iter(
        {"type": "http.request", "body": chunk, "more_body": n < len(chunks) - 1} for n, chunk in enumerate(chunks)
    )
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(incoming, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "scheme": "http",
        "method": method,
        "path": bare,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": (address, 4711),
    }
    await app(scope, receive, send)
    if not sent:
        return Answer(0, [], b"")
    return Answer(sent[0]["status"], list(sent[0]["headers"]), sent[1]["body"])
