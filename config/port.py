"""One port: capture paths go to the bare capture application, sockets to the live ones, everything else to Django.

Django runs as WSGI in threads: its views wait for PostgreSQL with blocking calls, and as ASGI they would all share one
thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import quote_from_bytes

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from analytics.access.addresses import Network, is_trusted, networks_parse
from analytics.access.authentication import key_ring
from analytics.access.tokens import resolve_jwt
from analytics.capture.asgi import CaptureApp, route_of
from analytics.capture.bodies import Bodies
from analytics.capture.gate import Gate
from analytics.capture.http import Receive, Scope, Send
from analytics.capture.intake import Intake
from analytics.capture.watch import watch_of
from analytics.writer import EventWriter
from config.patience import Application, Patience
from config.telemetry import capture_counted, refusal_counted, socket_counted
from reports.live.app import LiveSockets

logger = logging.getLogger("bellwether.web")
NO_SOCKET: Final = 4404
VISIBLE: Final = "".join(map(chr, range(33, 127)))
WAITING_ANSWERS: Final = 256
"""Pieces of an answer that wait for their client, so that the thread which made them need not."""
SCHEMES: Final = {b"http": ("http", "ws"), b"https": ("https", "wss"), b"ws": ("http", "ws"), b"wss": ("https", "wss")}
"""What `X-Forwarded-Proto` may say, and what that is for requests and for sockets."""


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
        trusted_proxies: tuple[str, ...] = (),
    ) -> None:
        self._proxies = networks_parse(trusted_proxies)
        self._capture = capture
        self._django = django_app
        self._live = live
        self._start = start
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if self._proxies and kind != "lifespan":
            scope["scheme"] = scheme_told(scope, self._proxies)
        if kind == "http":
            found = route_of(scope)
            if found is None:
                await self._django(for_wsgi(scope), receive, send)
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


def scheme_told(scope: Scope, proxies: Sequence[Network]) -> str:
    """The scheme that the visitor sees: what a proxy of ours says, else that of the connection.

    The server itself is told to believe nobody (`--no-proxy-headers`): it would take every word from this machine for
    true, also that of a proxy here which hands on what strangers wrote.
    """
    own: str = scope.get("scheme", "http")
    said = [value.strip().lower() for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    if not said or said[-1] not in SCHEMES or not is_trusted((scope.get("client") or ("",))[0], proxies):
        return own
    return SCHEMES[said[-1]][scope["type"] == "websocket"]


def for_wsgi(scope: Scope) -> Scope:
    """The request as WSGI can carry it: there `X_Forwarded_For` passes for `X-Forwarded-For`, and a query is ASCII."""
    query = scope.get("query_string", b"")
    return {
        **scope,
        "headers": [(name, value) for name, value in scope["headers"] if b"_" not in name],
        "query_string": query if query.isascii() else quote_from_bytes(query, safe=VISIBLE).encode(),
    }


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
        gate=Gate(settings.CAPTURE_WINDOW_EVENTS),
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
            bodies=Bodies(settings.CAPTURE_BODY_BYTES),
            refused=refusal_counted,
        ),
        django_app=Patience(
            cast(
                Application,
                WSGIMiddleware(django_app, workers=settings.WEB_THREADS, send_queue_size=WAITING_ANSWERS),
            )
        ),
        live=LiveSockets(),
        start=writer.get,
        stop=stop,
        trusted_proxies=tuple(settings.TRUSTED_PROXIES),
    )
