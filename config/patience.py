"""Clients that are slow, or stop in the middle, do not hold Django's few threads.

A thread that waits for the rest of a body, or for somebody to take an answer, works for nobody else, and one machine
with a dozen open sockets would keep all of them waiting. So a body is taken in before a thread is asked for, and
whoever sends or takes less than so much a second is let go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from analytics.capture.http import PROBLEM, Receive, Scope, Send

GRACE: Final = 20.0
"""Seconds that a client may stand still, and in all be slower than its bytes are worth; each way."""
LEAST_RATE: Final = 16 * 1024
"""Bytes that are worth another second."""
MOST_HELD: Final = 6 * 1024 * 1024
"""Of a body, before the rest is read by its thread as it comes: uploads, whose senders have shown a credential."""
TOO_SLOW: Final = {
    "type": "about:blank",
    "title": "Request Timeout",
    "status": 408,
    "code": "too_slow",
    "detail": "The rest of the request did not come. Send it again.",
}
GONE: Final = {"type": "http.disconnect"}

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Client:
    """One way of a connection: how long it was waited for, and how much came of it."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._waited = 0.0
        self.moved = 0

    async def wait_for(self, move: Awaitable[Any]) -> Any:
        """What is awaited. Raises TimeoutError when the client stands still, or is slower than it may be."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        left = self._grace + self.moved / LEAST_RATE - self._waited
        try:
            async with asyncio.timeout(min(max(left, 0.0), self._grace)):
                return await move
        finally:
            self._waited += clock() - begun

    async def piece(self, receive: Receive) -> Any:
        """The next message of a body. Raises TimeoutError."""
        message = await self.wait_for(receive())
        self.moved += len(message.get("body", b""))
        return message


class Patience:
    """Calls an application with a body that is there, and with a client that is waited for only so long."""

    def __init__(self, app: Application, *, grace: float = GRACE) -> None:
        self._app = app
        self._grace = grace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        giving, taking = Client(self._grace), Client(self._grace)
        held: deque[Any] = deque()
        is_cut = False

        async def told(message: Any) -> None:
            nonlocal is_cut
            if is_cut:
                return  # the application writes on into nothing, and is done the sooner
            taking.moved += len(message.get("body", b""))
            try:
                await taking.wait_for(send(message))
            except TimeoutError:
                is_cut = True
                cut(send)

        async def given() -> Any:
            if held:
                return held.popleft()
            try:
                return await giving.piece(receive)
            except TimeoutError:
                return GONE

        if has_body(scope):
            try:
                if not await taken_in(giving, receive, held):
                    return
            except TimeoutError:
                await refuse(told)
                return
        await self._app(scope, given, told)


async def taken_in(client: Client, receive: Receive, held: deque[Any]) -> bool:
    """Fills `held` with the messages of the body, or with the first part of a large one. False: the client has gone."""
    while client.moved < MOST_HELD:
        message = await client.piece(receive)
        if message["type"] != "http.request":
            return False
        held.append(message)
        if not message.get("more_body"):
            break
    return True


def has_body(scope: Scope) -> bool:
    """Whether the request announces one."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ") != b"")
        for name, value in scope["headers"]
    )


async def refuse(send: Send) -> None:
    """Says so and ends the connection, in which the rest of the body might still come."""
    body = msgspec.json.encode(TOO_SLOW)
    headers = [
        (b"content-type", PROBLEM.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 408, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def cut(send: Any) -> None:
    """Drops the connection with all that is still buffered: ASGI has no word for it, so the server's transport is
    asked."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
