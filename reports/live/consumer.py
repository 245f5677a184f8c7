"""The socket itself, as a Channels consumer without a channel layer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer

from reports.live import protocol
from reports.live.access import Holder, Refused, credential_of_token, credential_offered
from reports.live.hub import Hub
from reports.live.protocol import Auth, Complaint, Ping, Resume, Subscribe, Unsubscribe, message_read, text_of
from reports.live.stream import Stream

logger = logging.getLogger("bellwether.live")
CLOSE_SECONDS: Final = 3.0


class Allowance:
    """A bucket of messages that refills."""

    def __init__(self) -> None:
        self._left = float(protocol.MESSAGES_AT_ONCE)
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Whether one more may come."""
        gained = 0.0 if self._at == float("-inf") else (now - self._at) * protocol.MESSAGES_PER_SECOND
        self._left = min(float(protocol.MESSAGES_AT_ONCE), self._left + gained)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class LiveConsumer(AsyncConsumer):  # type: ignore[misc]  # channels has no types
    """One client: reads what it wants, writes what is new.

    `stream` is set once it is authenticated. Only `_write` sends values, one after another; `_closing` ends it.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.stream: Stream | None = None
        self._news = asyncio.Event()
        self._allowance = Allowance()
        self._send_lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending_since: float | None = None
        self._is_closed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        except Exception:
            logger.exception("a live socket failed")
            await self._close(protocol.BROKEN, "something broke on our side")
        finally:
            self._is_closed = True
            for task in self._tasks:
                task.cancel()
            if self.stream is not None:
                self.hub.leave(self.stream)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels does, without its look at this thread's database connections: there are none."""
        await getattr(self, message["type"].replace(".", "_"))(message)

    # --- Handshake ----------------------------------------------------------------------------------------------------

    async def websocket_connect(self, _message: dict[str, Any]) -> None:
        """Accepts, or refuses with 403 before the socket is open."""
        try:
            credential = credential_offered(self.scope)
            holder = await self.hub.holder(credential) if credential else None
        except Refused as refused:
            await self.send({"type": "websocket.close", "code": refused.code, "reason": refused.reason})
            self._is_closed = True
            return
        offered = self.scope.get("subprotocols", ())
        chosen = protocol.SUBPROTOCOL if protocol.SUBPROTOCOL in offered else None
        await self.send({"type": "websocket.accept", "subprotocol": chosen})
        if holder is not None:
            await self._enter(holder)
        else:
            self._spawn(self._await_credential())

    async def _await_credential(self) -> None:
        await asyncio.sleep(protocol.AUTH_SECONDS)
        if self.stream is None:
            await self._close(protocol.UNAUTHENTICATED, 'send {"type":"auth","token":…} first')

    async def _enter(self, holder: Holder) -> None:
        stream = Stream(holder, self._news.set)
        try:
            self.hub.join(stream, self._close_soon)
        except Refused as refused:
            await self._close(refused.code, refused.reason)
            return
        self.stream = stream
        await self._say(
            text_of(
                "hello",
                session=stream.session,
                tenant=holder.info.tenant.slug,
                beat=protocol.BEAT_SECONDS,
                metrics=protocol.METRICS,
                subscriptions=protocol.SUBSCRIPTIONS,
            )
        )
        self._spawn(self._write())

    # --- What the client says -----------------------------------------------------------------------------------------

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """One message: done, or answered by an error that leaves the socket open; floods and giants close it."""
        text = message.get("text")
        if self._is_closed:
            return
        if text is None or len(text.encode("utf-8", "surrogatepass")) > protocol.MESSAGE_BYTES:
            await self._close(protocol.TOO_LARGE, f"messages are text of at most {protocol.MESSAGE_BYTES} bytes")
            return
        if not self._allowance.take(asyncio.get_running_loop().time()):
            await self._close(protocol.FLOOD, "too many messages")
            return
        try:
            await self._obey(text)
        except Complaint as complaint:
            await self._say(text_of("error", code=complaint.code, message=str(complaint), **complaint.more))
        except Refused as refused:
            await self._close(refused.code, refused.reason)

    async def _obey(self, text: str) -> None:
        message = message_read(text)
        if self.stream is None:
            if not isinstance(message, Auth):
                raise Refused(protocol.UNAUTHENTICATED, 'send {"type":"auth","token":…} first')
            await self._enter(await self.hub.holder(credential_of_token(message.token)))
            return
        match message:
            case Auth():
                raise Complaint("already_authenticated", "This socket has its credential; open another one.")
            case Subscribe():
                await self._subscribe(self.stream, message)
            case Unsubscribe(id=id_):
                self.hub.unsubscribe(self.stream, id_)
            case Resume():
                await self._resume(self.stream, message)
            case Ping():
                await self._say(text_of("pong", seq=self.stream.seq))

    async def _subscribe(self, stream: Stream, message: Subscribe) -> None:
        refused = await self.hub.subscribe(stream, message)
        for metric, reason in refused.items():
            more = {"id": message.id} if message.id else {}
            await self._say(text_of("error", code="unknown_metric", message=reason, metric=metric, **more))
        self._news.set()

    async def _resume(self, stream: Stream, message: Resume) -> None:
        async with self._send_lock:  # no delta may slip in between
            if message.session not in ("", stream.session):
                former = self.hub.take_up(message.session, stream)
                if former is None:
                    await self._put(text_of("resync", seq=stream.seq, session=stream.session))
                    return
                self.stream = stream = former
            missed = stream.kept_after(message.seq)
            if missed is None:
                stream.begin_anew()
                await self._put(text_of("resync", seq=stream.seq, session=stream.session))
            else:
                await self._put(text_of("resumed", seq=message.seq, session=stream.session))
                for text in missed:
                    await self._put(text)
        self._news.set()

    async def websocket_disconnect(self, _message: dict[str, Any]) -> None:
        """The client has gone, or the server ends."""
        self._is_closed = True
        raise StopConsumer

    # --- What the client is told --------------------------------------------------------------------------------------

    async def _write(self) -> None:
        """Sends what is new as soon as it may be, and a beat when there is nothing for long."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + protocol.BEAT_SECONDS
        while not self._is_closed:
            stream = self.stream
            assert stream is not None
            self._news.clear()
            async with self._send_lock:
                for text in stream.due(loop.time()):
                    await self._put(text)
                    beat_at = loop.time() + protocol.BEAT_SECONDS
                if loop.time() >= beat_at:
                    await self._put(text_of("beat", seq=stream.seq, as_of=stream.as_of()))
                    beat_at = loop.time() + protocol.BEAT_SECONDS
            until = min(beat_at, stream.next_at())
            try:
                async with asyncio.timeout_at(until):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _say(self, text: str) -> None:
        async with self._send_lock:
            await self._put(text)

    async def _put(self, text: str) -> None:
        """Hands a text to the server, which waits while the client takes nothing; not for ever."""
        if self._is_closed:
            return
        try:
            async with asyncio.timeout(protocol.SLOW_SECONDS):
                await self.send({"type": "websocket.send", "text": text})
        except TimeoutError:
            self._close_soon(protocol.SLOW, "too slow: nothing was taken for a while")
            self._is_closed = True
        except (OSError, RuntimeError):
            self._is_closed = True  # it has gone, and we are told so by `websocket.disconnect`

    # --- The end ------------------------------------------------------------------------------------------------------

    def _close_soon(self, code: int, reason: str) -> None:
        self._spawn(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        """Closes with the code; cuts the connection when even that is not taken."""
        self._is_closed = True
        if self.stream is not None:
            self.hub.forget(self.stream)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.send({"type": "websocket.close", "code": code, "reason": reason})
        except TimeoutError:
            _cut(self.base_send)
        except (OSError, RuntimeError):
            logger.debug("a socket was gone before it was closed")

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _cut(send: Any) -> None:
    """Drops the connection with all that is still buffered: ASGI has no word for it, so the server's transport is
    asked."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
