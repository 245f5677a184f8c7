"""Just enough HTTP for the capture doors: a request read with a cap, a reply, and faults with their status."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from analytics.capture.bodies import LARGE_BYTES, Hold
from analytics.capture.decode import MAX_BODY_BYTES, TooLargeBody

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
MAX_HEADER: Final = 1024
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
RETRY_SECONDS: Final = 5


class ClientGone(Exception):
    """The client hung up before its body was here."""


class Fault(Exception):
    """An answer that is not 200. `code` is stable; a 503 says when to come back, and clients then keep their data.

    `why` is for our own counts: one of `REASONS`.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, retry_seconds: int = RETRY_SECONDS, why: str = "unavailable"
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_seconds = retry_seconds
        self.why = why


REASONS: Final = ("share", "memory", "queue", "slow", "unavailable")
"""Why events are not taken just now: the tenant's share is full, large bodies are, the writer's queue is, storing takes
too long, or the database is away."""


def busy(
    detail: str = "The database does not answer just now; nothing was lost. Send the same again.",
    *,
    retry_seconds: int = RETRY_SECONDS,
    why: str = "unavailable",
) -> Fault:
    """The fault that makes every SDK keep its events and try again."""
    return Fault(503, "unavailable", detail, retry_seconds=retry_seconds, why=why)


class Reply(msgspec.Struct, frozen=True):
    """An answer, with its body as bytes."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def json_reply(value: Any, status: int = 200, content_type: str = JSON) -> Reply:
    """An answer in JSON."""
    return Reply(msgspec.json.encode(value), status, content_type)


def fault_reply(fault: Fault, content_type: str = JSON) -> Reply:
    """A fault in the words of every SDK at once: they read `detail`, `code`, `message` or `error` (INGEST.md 1.10)."""
    body = {
        "type": "about:blank",
        "title": TITLES.get(fault.status, "Error"),
        "status": fault.status,
        "code": fault.code,
        "detail": fault.detail,
        "message": fault.detail,
        "error": fault.detail,
    }
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if fault.status == 503:
        headers = ((b"retry-after", str(fault.retry_seconds).encode()),)
    elif fault.status == 401:
        headers = ((b"www-authenticate", b'Bearer realm="bellwether"'),)
    return Reply(msgspec.json.encode(body), fault.status, content_type, headers)


TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    413: "Content Too Large",
    503: "Service Unavailable",
}


class Request:
    """A request on a capture path. Header names are lower case, values cut at 1 KiB."""

    __slots__ = ("_query", "_raw", "headers", "hold", "method", "path", "peer", "query_text", "scheme")

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.scheme: str = scope.get("scheme", "http")
        self.query_text: bytes = scope.get("query_string", b"")
        self._raw: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers = {
            name.decode("latin-1").lower(): value[:MAX_HEADER].decode("latin-1") for name, value in self._raw
        }
        self.peer: str = (scope.get("client") or ("", 0))[0]
        self._query: dict[str, str] | None = None
        self.hold: Hold | None = None

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; the last of a name wins. Empty when it cannot be read."""
        if self._query is None:
            try:
                text = self.query_text.decode("latin-1")
                self._query = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100)) if text else {}
            except ValueError:
                self._query = {}
        return self._query

    @property
    def declared(self) -> int:
        """Bytes of the body as its header says, else 0."""
        text = self.headers.get("content-length", "")
        return int(text[:20]) if text.isdecimal() else 0

    @property
    def forwarded_for(self) -> str:
        """The end of `X-Forwarded-For`, all its lines together: proxies append, so what a client wrote to push their
        words out stands before them, and is what a long one loses."""
        whole = b",".join(value for name, value in self._raw if name.lower() == b"x-forwarded-for")
        kept = whole if len(whole) <= MAX_HEADER else whole[-MAX_HEADER:].partition(b",")[2]
        return kept.decode("latin-1")

    @property
    def bearer(self) -> str:
        """The token of `Authorization: Bearer`, else empty."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""

    @property
    def basic(self) -> str:
        """The user name of `Authorization: Basic`, else empty; Segment's SDKs send the write key as a user."""
        kind, _, text = self.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return ""
        try:
            return b64decode(text.strip(), validate=True).decode("utf-8").partition(":")[0]
        except (ValueError, UnicodeDecodeError):
            return ""

    async def body(self, receive: Receive, grown: Callable[[int], None] = lambda _total: None) -> bytes:
        """The whole body. `grown` hears of its size as it comes, and may raise.

        Raises `TooLargeBody` as soon as the cap is passed, `ClientGone` when it never ends.
        """
        if self.declared > MAX_BODY_BYTES:
            raise TooLargeBody(f"the body is larger than {MAX_BODY_BYTES} bytes")
        chunks: list[bytes] = []
        total = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            total += len(chunk)
            if total > MAX_BODY_BYTES:
                raise TooLargeBody(f"the body is larger than {MAX_BODY_BYTES} bytes")
            if total >= LARGE_BYTES:
                grown(total)
            chunks.append(chunk)
            if not message.get("more_body"):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def send_reply(send: Send, reply: Reply, headers: list[tuple[bytes, bytes]]) -> None:
    """Sends a reply with further headers."""
    all_headers = [*headers, *reply.headers]
    if reply.status != 204:
        all_headers.append((b"content-type", reply.content_type.encode()))
        all_headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": all_headers})
    await send({"type": "http.response.body", "body": reply.body})
