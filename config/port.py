"""One port: capture paths go to the bare capture application, sockets to the live ones, everything else to Django.

Django runs as WSGI in threads: its views wait for PostgreSQL with blocking calls, and as ASGI they would all share one
thread.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from analytics.access.authentication import key_ring
from analytics.access.tokens import resolve_jwt
from analytics.capture.asgi import CaptureApp, route_of
from analytics.capture.http import Receive, Scope, Send
from analytics.capture.intake import Intake
from analytics.capture.watch import watch_of
from analytics.writer import EventWriter
from config.telemetry import capture_counted, socket_counted
from reports.live.app import LiveSockets

logger = logging.getLogger("bellwether.web")
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
NO_SOCKET: Final = 4404


class OwnWriter:
    """The process's writer: made at its first use, closed with the process."""

    def __init__(self) -> None:
        self._writer: EventWriter | None = None

    def get(self) -> EventWriter:
        """The writer, started when it was not."""
        if self._writer is None:
            # One at a time: several processes write already, and a second writer here waits more than it writes.
            self._writer = EventWriter(workers=1)
        return self._writer

    def close(self) -> None:
        """Stores what is still waiting and ends the writer's threads."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


class Port:
    """The ASGI application of a web process."""

    def __init__(
        self,
        *,
        capture: CaptureApp,
        django_app: Application,
        live: LiveSockets,
        start: Callable[[], Any],
        stop: Callable[[], None],
    ) -> None:
        self._capture = capture
        self._django = django_app
        self._live = live
        self._start = start
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            found = route_of(scope)
            if found is None:
                await self._django(scope, receive, send)
            else:
                await self._capture(scope, receive, capture_counted(found.door.name.lower(), send), found)
        elif kind == "websocket":
            if self._live.owns(scope["path"]):
                with socket_counted():
                    await self._live(scope, receive, send)
            else:
                await no_socket(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._begin()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._live.close()
                self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _begin(self) -> None:
        try:
            self._start()
        except Exception:
            # PostgreSQL may come up after us; until then capture answers 503 and tries again.
            logger.exception("the event writer could not start yet")


async def no_socket(_scope: Scope, receive: Receive, send: Send) -> None:
    """Closes a socket of an unknown path with 4404. Accepted first, because only then a browser sees the code."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": NO_SOCKET, "reason": "there is no such socket: try /ws/live/"})


def port(django_app: Any) -> Port:
    """The application as the settings describe it; `django_app` is Django as WSGI."""
    writer = OwnWriter()
    intake = Intake(
        keys=key_ring(),
        writer=writer.get,
        clock=timezone.now,
        jwt=resolve_jwt,
        renew=close_old_connections,
        secret=settings.SECRET_KEY.encode(),
    )

    def stop() -> None:
        writer.close()
        intake.close()

    return Port(
        capture=CaptureApp(
            intake,
            trusted_proxies=tuple(settings.TRUSTED_PROXIES),
            watch=watch_of(
                per_minute=settings.ANALYTICS_BOT_EVENTS_PER_MINUTE, networks_file=settings.ANALYTICS_BOT_NETWORKS
            ),
        ),
        django_app=cast(Application, WSGIMiddleware(django_app, workers=settings.WEB_THREADS)),
        live=LiveSockets(),
        start=writer.get,
        stop=stop,
    )
