"""The capture application: bare ASGI, because Django's own handler costs about ten times more a request.

A request is routed by its path alone, so that the caller can ask `owns` first and send everything else to Django.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from analytics.access.addresses import client_address, networks_parse
from analytics.access.keys import KeyInfo
from analytics.capture import bots, events_api, posthog, segment
from analytics.capture.bodies import LARGE_BYTES, SECONDS, Bodies, Hold, NoRoom
from analytics.capture.clocks import instant
from analytics.capture.cors import NO_CONTENT, cors_headers
from analytics.capture.decode import MAX_BODY_BYTES, TooLargeBody, UnreadableBody, json_text
from analytics.capture.doors import Door, Route, route
from analytics.capture.http import (
    PROBLEM,
    ClientGone,
    Fault,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    busy,
    fault_reply,
    json_reply,
    send_reply,
)
from analytics.capture.intake import Intake
from analytics.capture.normalise import Arrival
from analytics.capture.parse import read
from analytics.capture.watch import Watch
from analytics.contracts import Verdict

logger = logging.getLogger("bellwether.capture")
JAVASCRIPT: Final = "application/javascript"
OK_POSTHOG: Final = json_reply(posthog.STORED)
OK_SEGMENT: Final = json_reply(segment.ACCEPTED)
Answer = Callable[["CaptureApp", Request, Route, Receive], Awaitable[Reply]]


class Body(NamedTuple):
    """A decoded body: its value, whether its strings are clean, and the length of its JSON."""

    value: Any
    is_clean: bool
    size: int


def route_of(scope: Scope) -> Route | None:
    """The door of an ASGI scope, None when it is not ours."""
    preflight = ""
    if scope["method"] == "OPTIONS":
        preflight = next(
            (v.decode("latin-1") for k, v in scope["headers"] if k == b"access-control-request-method"), ""
        )
    return route(scope["method"], scope["path"], scope.get("query_string", b""), preflight_for=preflight)


class CaptureApp:
    """Answers what `route_of` finds a door for. `refused` hears why events were not taken (`http.REASONS`)."""

    def __init__(
        self,
        intake: Intake,
        *,
        trusted_proxies: tuple[str, ...] = (),
        watch: Watch | None = None,
        bodies: Bodies | None = None,
        refused: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._intake = intake
        self._watch = watch
        self._bodies = bodies or Bodies()
        self._refused = refused
        self._proxies = networks_parse(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, found: Route | None = None) -> None:
        request = Request(scope)
        found = found or route_of(scope)
        try:
            reply = await self._reply(request, found, receive)
        except ClientGone:
            return
        try:
            await send_reply(send, reply, cors_headers(request.headers))
        except (OSError, RuntimeError):
            # The client hung up while its events were committed. It will send them again: duplicates.
            logger.debug("a client was gone before its answer")

    async def _reply(self, request: Request, found: Route | None, receive: Receive) -> Reply:
        kind = PROBLEM if found is not None and found.door is Door.OWN else "application/json"
        try:
            if found is None:
                raise Fault(404, "not_found", "There is no such endpoint.")
            if request.method == "OPTIONS":
                return NO_CONTENT
            return await ANSWERS[found.door](self, request, found, receive)
        except ClientGone:
            raise
        except Fault as fault:
            if fault.status == 503:
                self._refused(fault.why)
            return fault_reply(fault, kind)
        except NoRoom:
            self._refused("memory")
            return fault_reply(busy("Many large bodies are here just now; send the same again."), kind)
        except UnreadableBody as error:
            return fault_reply(Fault(400, "unreadable_body", str(error)), kind)
        except TooLargeBody as error:
            return fault_reply(Fault(413, "body_too_large", str(error)), kind)
        except Exception:
            # 503, not 500: whatever is wrong with us, the client keeps its events.
            logger.exception("capture failed at %s", found.door if found else "no door")
            self._refused("unavailable")
            return fault_reply(busy(), kind)
        finally:
            if request.hold is not None:
                request.hold.drop()

    async def _posthog(self, request: Request, found: Route, receive: Receive) -> Reply:
        body = await self._body(request, receive)
        delivery = posthog.delivery(body.value, request, is_engage=found.door is Door.ENGAGE)
        await self._store(request, delivery, await self._intake.key(delivery.token), body)
        return OK_POSTHOG

    async def _posthog_v1(self, request: Request, _found: Route, receive: Receive) -> Reply:
        key = self._intake.admitted(await self._intake.key(request.bearer), request.declared)
        body = await self._body(request, receive)
        delivery = posthog.delivery_v1(body.value, request)
        verdicts = await self._store(request, delivery, key, body)
        return json_reply(posthog.results_v1(delivery.messages, verdicts))

    async def _segment(self, request: Request, found: Route, receive: Receive) -> Reply:
        outer = segment.write_key(request)
        key = self._intake.admitted(await self._intake.key(outer), request.declared) if outer else None
        body = await self._body(request, receive)
        delivery = segment.delivery(body.value, request, kind=found.detail)
        await self._store(request, delivery, key or await self._intake.key(delivery.token), body)
        return OK_SEGMENT

    async def _own(self, request: Request, _found: Route, receive: Receive) -> Reply:
        key = await self._intake.key_or_person(request.bearer or request.headers.get("x-api-key", ""))
        self._intake.admitted(key, request.declared)
        body = await self._body(request, receive)
        delivery = events_api.delivery(body.value, request)
        return json_reply(events_api.answer(await self._store(request, delivery, key, body)))

    async def _ignored(self, _request: Request, _found: Route, _receive: Receive) -> Reply:
        return OK_POSTHOG

    async def _flags(self, request: Request, _found: Route, _receive: Receive) -> Reply:
        query = request.query
        return json_reply(posthog.flags(version=query.get("v", "2"), with_config=query.get("config") == "true"))

    async def _decide(self, _request: Request, _found: Route, _receive: Receive) -> Reply:
        return json_reply(posthog.decide())

    async def _definitions(self, _request: Request, _found: Route, _receive: Receive) -> Reply:
        return json_reply(posthog.DEFINITIONS)

    async def _config(self, _request: Request, _found: Route, _receive: Receive) -> Reply:
        return json_reply(posthog.CONFIG)

    async def _config_script(self, _request: Request, found: Route, _receive: Receive) -> Reply:
        return Reply(posthog.config_script(found.detail), content_type=JAVASCRIPT)

    async def _segment_settings(self, request: Request, found: Route, _receive: Receive) -> Reply:
        return json_reply(segment.settings_answer(found.detail, _own_address(request)))

    async def _source_config(self, request: Request, _found: Route, _receive: Receive) -> Reply:
        key = request.query.get("writeKey") or request.basic
        return json_reply(segment.source_config(key, self._intake.clock().isoformat()))

    async def _body(self, request: Request, receive: Receive) -> Body:
        """The decoded body. What is large is counted as long as the request lasts. Raises `NoRoom`."""
        raw = request.query.get("data", "").encode() if request.method == "GET" else await self._raw(request, receive)
        compression = request.query.get("compression", "") if request.query_text else ""
        text = await self._intake.in_thread(lambda body: json_text(body, compression=compression), raw)
        if len(text) >= LARGE_BYTES:
            self._hold(request).grow(len(text))
        self._intake.glance(text)
        return Body(*await self._intake.in_thread(read, text), len(text))

    async def _raw(self, request: Request, receive: Receive) -> bytes:
        if request.declared < LARGE_BYTES and "transfer-encoding" not in request.headers:
            return await request.body(receive)
        hold = self._hold(request)
        if LARGE_BYTES <= request.declared <= MAX_BODY_BYTES:
            hold.grow(request.declared)  # before a byte of it is read
        try:
            async with asyncio.timeout(SECONDS):
                return await request.body(receive, hold.grow)
        except TimeoutError:
            raise busy("The rest of the body did not come in time; send the same again.", why="slow") from None

    def _hold(self, request: Request) -> Hold:
        if request.hold is None:
            request.hold = Hold(self._bodies, self._address(request))
        return request.hold

    def _address(self, request: Request) -> str:
        return client_address(request.peer, request.forwarded_for if self._proxies else "", self._proxies)

    async def _store(self, request: Request, delivery: posthog.Delivery, key: KeyInfo, body: Body) -> list[Verdict]:
        headers = request.headers
        arrival = Arrival(
            tenant=key.tenant,
            received_at=self._intake.clock(),
            sent_at=instant(delivery.sent) if delivery.sent is not None else None,
            sent_text=posthog.sent_text(delivery),
            agent=headers.get("user-agent", ""),
            address=self._address(request),
            host=headers.get("host", ""),
            secret=self._intake.secret,
            is_prefetch=bots.is_prefetch(headers),
            watch=self._watch,
            is_historical=delivery.is_historical,
            is_clean=body.is_clean,
            seen={},
        )
        return await self._intake.deliver(delivery.messages, arrival, body.size)


ANSWERS: Final[dict[Door, Answer]] = {
    Door.POSTHOG: CaptureApp._posthog,
    Door.ENGAGE: CaptureApp._posthog,
    Door.POSTHOG_V1: CaptureApp._posthog_v1,
    Door.IGNORED: CaptureApp._ignored,
    Door.FLAGS: CaptureApp._flags,
    Door.DECIDE: CaptureApp._decide,
    Door.DEFINITIONS: CaptureApp._definitions,
    Door.CONFIG: CaptureApp._config,
    Door.CONFIG_SCRIPT: CaptureApp._config_script,
    Door.SEGMENT: CaptureApp._segment,
    Door.SEGMENT_SETTINGS: CaptureApp._segment_settings,
    Door.SOURCE_CONFIG: CaptureApp._source_config,
    Door.OWN: CaptureApp._own,
}


def _own_address(request: Request) -> str:
    """Where the client reached us, prefix included, as `https://host/prefix`."""
    prefix = request.path.partition("/v1/projects/")[0]
    return f"{request.scheme}://{request.headers.get('host', 'localhost')}{prefix}"
