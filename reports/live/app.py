"""The ASGI application of `/ws/live/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from django.utils import timezone

from reports.live.consumer import LiveConsumer
from reports.live.hub import Hub, hub_of_settings

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH: Final = "/ws/live/"


class LiveSockets:
    """Answers the websocket scopes that it `owns`. The hub begins with the first of them."""

    def __init__(self, hub: Callable[[], Hub] = lambda: hub_of_settings(timezone.now)) -> None:
        self._make = hub
        self._hub: Hub | None = None

    def owns(self, path: str) -> bool:
        """Whether the path is ours, with or without its last slash."""
        return path.rstrip("/") == PATH.rstrip("/")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if self._hub is None:
            self._hub = self._make()
        await LiveConsumer(self._hub)(scope, receive, send)

    async def close(self) -> None:
        """End what the hub runs."""
        hub, self._hub = self._hub, None
        if hub is not None:
            await hub.close()
