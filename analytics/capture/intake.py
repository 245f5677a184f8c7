"""What every capture door shares: verify the key, hand events to the writer, wait for COMMIT.

Nothing here blocks the event loop: keys that are not remembered are looked up in threads, the writer has its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from analytics.access.keys import KeyInfo, KeyRing, KeysUnavailable
from analytics.capture.bodies import LARGE_BYTES
from analytics.capture.gate import WEIGHT_BYTES, Crowded, Gate
from analytics.capture.http import Fault, busy
from analytics.capture.normalise import Arrival, event_of
from analytics.contracts import CapturedEvent, Refusal, Verdict
from analytics.writer import WriterBusy

logger = logging.getLogger("bellwether.capture")
T = TypeVar("T")

# Together under 5 s, so that every answer comes within them also while PostgreSQL hangs (R11).
KEY_SECONDS: Final = 1.5
WRITE_SECONDS: Final = 3.2
SLICE: Final = 250  # events between two breaths of the loop
THREADS: Final = 4
TOLD_KEY: Final = re.compile(rb'"(?:api_key|token|writeKey)": ?"((?:pk|sk)_[0-9A-Za-z]+)"')
WRITE_SCOPE: Final = "events:write"


class Writer(Protocol):
    """The part of `EventWriter` that the doors use."""

    def submit(self, events: Sequence[CapturedEvent], refusals: Sequence[Refusal] = ()) -> Future[list[Verdict]]: ...


class Intake:
    """The way from messages of one request to verdicts of its events.

    `writer` is called at the first event, so that importing this opens no connection. `jwt` resolves tokens that are
    no keys. `gate` shares the process between tenants. `clock` gives an aware UTC now. `renew` runs in a thread before
    and after it asks for a key: threads that live long must leave database connections that died.
    """

    def __init__(
        self,
        *,
        keys: KeyRing,
        writer: Callable[[], Writer],
        clock: Callable[[], datetime],
        jwt: Callable[[str], KeyInfo | None] = lambda _text: None,
        renew: Callable[[], None] = lambda: None,
        secret: bytes = b"",
        gate: Gate | None = None,
    ) -> None:
        self.clock = clock
        self.secret = secret
        self._gate = gate or Gate()
        self._keys = keys
        self._writer = writer
        self._jwt = jwt
        self._renew = renew
        # Apart, because look-ups may hang and bodies must still be read.
        self._askers = ThreadPoolExecutor(THREADS, thread_name_prefix="capture-keys")
        self._readers = ThreadPoolExecutor(THREADS, thread_name_prefix="capture-bodies")

    async def key(self, token: str) -> KeyInfo:
        """The key of a token that may send events. Raises `Fault` 401, 403 or 503."""
        if not token:
            raise Fault(401, "missing_api_key", "No API key: send one of this project's keys (pk_…) with the events.")
        if token.startswith("phx_"):
            raise Fault(401, "personal_api_key", "Personal keys (phx_…) cannot send events; use a project key (pk_…).")
        found = self._keys.peek(token)
        if found is self._keys.MISS:
            found = await self._asked(self._keys.find, token)
        return _allowed(found)

    async def key_or_person(self, token: str) -> KeyInfo:
        """As `key`, but an access token of a person counts as well."""
        if token.count(".") != 2:
            return await self.key(token)
        return _allowed(await self._asked(self._jwt, token))

    async def in_thread(self, work: Callable[[bytes], T], body: bytes) -> T:
        """Does CPU-bound work on a body, in a thread when it is large."""
        if len(body) < LARGE_BYTES:
            return work(body)
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, body)

    def admitted(self, key: KeyInfo, size: int, events: int = 1) -> KeyInfo:
        """The key. Raises `Fault` 503 when a body of this many bytes need not be read: its tenant has too much here."""
        try:
            self._gate.check(key.tenant.id, weight_of(events, size))
        except Crowded as crowded:
            raise _crowded(crowded) from crowded
        return key

    def glance(self, text: bytes) -> None:
        """Raises `Fault` 503 when JSON seems to be of a tenant that has too much here, before it is taken apart.

        Only while something waits, and only for a key that is known: a wrong guess would cost its sender some seconds.
        """
        if self._gate.is_crowded and (found := TOLD_KEY.search(text)):
            key = self._keys.peek(found[1].decode())
            if isinstance(key, KeyInfo):
                self.admitted(key, len(text), text.count(b'"event"'))

    async def deliver(self, messages: Sequence[Any], arrival: Arrival, size: int = 0) -> list[Verdict]:
        """The verdicts of messages, in their order, after COMMIT. Raises `Fault` 503 when they may not be stored.

        `size` is that of their JSON. In company a large request takes several turns, so that others need not wait for
        all of it; when a later one fails, the fault says that the first are stored. One whose repetition could not be
        told from new events is stored whole or not at all.
        """
        weight, tenant = weight_of(len(messages), size), arrival.tenant.id
        step = len(messages)
        if weight > self._gate.piece and not self._gate.is_alone(tenant) and _may_be_repeated(messages, arrival):
            step = max(1, step * self._gate.piece // weight)
        verdicts: list[Verdict] = []
        for start in range(0, len(messages), max(1, step)):
            part = messages[start : start + step] if start or step < len(messages) else messages
            try:
                verdicts += await self._deliver(part, arrival, max(1, weight * len(part) // len(messages)), bool(start))
            except Fault as fault:
                raise _part_stored(fault, start, len(messages)) from fault
        return verdicts

    async def _deliver(
        self, messages: Sequence[Any], arrival: Arrival, weight: int, is_later_part: bool
    ) -> list[Verdict]:
        tenant, asked = arrival.tenant.id, time.monotonic()
        try:
            begun = await self._gate.enter(tenant, weight, goes_on=is_later_part)
        except Crowded as crowded:
            raise _crowded(crowded) from crowded
        try:
            shaped: list[CapturedEvent | Refusal] = []
            for start in range(0, len(messages), SLICE):
                if start:
                    await asyncio.sleep(0)
                shaped.extend([event_of(message, arrival) for message in messages[start : start + SLICE]])
            return await self.write(shaped, WRITE_SECONDS - (time.monotonic() - asked))
        finally:
            self._gate.leave(tenant, weight, begun)

    async def write(self, shaped: Sequence[CapturedEvent | Refusal], seconds: float = WRITE_SECONDS) -> list[Verdict]:
        """The verdicts of events and refusals, in their order, after COMMIT, for which it waits so long."""
        events = [each for each in shaped if type(each) is CapturedEvent]
        refusals = [each for each in shaped if type(each) is Refusal]
        if not shaped:
            return []
        written = await self._committed(events, refusals, seconds)
        if not refusals:
            return written
        stored = iter(written)
        return [_verdict(each) if type(each) is Refusal else next(stored) for each in shaped]

    def close(self) -> None:
        """Stops the threads; look-ups that hang do not hold up the end of the process."""
        self._askers.shutdown(wait=False, cancel_futures=True)
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _committed(self, events: list[CapturedEvent], refusals: list[Refusal], seconds: float) -> list[Verdict]:
        try:
            future = asyncio.wrap_future(self._writer().submit(events, refusals))
            # Not wait_for: it would cancel, and an event that is being written must end by itself.
            done, _ = await asyncio.wait({future}, timeout=seconds)
        except Exception as error:
            raise _unavailable(error) from error
        if not done:
            future.add_done_callback(_forget)
            raise busy("Storing takes too long just now; send the same again.", why="slow")
        try:
            return future.result()
        except Exception as error:
            raise _unavailable(error) from error

    async def _asked(self, question: Callable[[str], KeyInfo | None], token: str) -> KeyInfo | None:
        def asked() -> KeyInfo | None:
            self._renew()
            try:
                return question(token)
            finally:
                self._renew()

        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._askers, asked), KEY_SECONDS)
        except (KeysUnavailable, TimeoutError) as error:
            raise busy() from error
        except Exception as error:
            raise _unavailable(error) from error


def weight_of(events: int, size: int) -> int:
    """What a request costs, in events: few large ones are as much work as many small ones."""
    return max(1, events, size // WEIGHT_BYTES)


def _may_be_repeated(messages: Sequence[Any], arrival: Arrival) -> bool:
    """Whether every event of a request has what makes its id the same when it is sent again."""
    return arrival.sent_text is not None or all(
        type(message) is dict and (message.get("timestamp") is not None or bool(message.get("uuid")))
        for message in messages
    )


def _crowded(crowded: Crowded) -> Fault:
    return busy(
        f"More of this project's events wait here than are stored in time. Send the same again in {crowded.seconds} s.",
        retry_seconds=crowded.seconds,
        why="share",
    )


def _part_stored(fault: Fault, stored: int, events: int) -> Fault:
    """A fault that says what became of the events before it: sent again they are duplicates, which count once."""
    if stored:
        fault.detail = f"{fault.detail} The first {stored} of {events} events are stored and will not count twice."
    return fault


def _allowed(found: object) -> KeyInfo:
    if not isinstance(found, KeyInfo):
        raise Fault(401, "invalid_api_key", "This API key is unknown, revoked or expired.")
    if WRITE_SCOPE not in found.scopes:
        raise Fault(403, "insufficient_scope", f"This credential may not send events (scope {WRITE_SCOPE}).")
    return found


def _unavailable(error: Exception) -> Fault:
    """Whatever keeps events from being stored is a 503: clients keep what a 4xx or 500 might make them drop."""
    logger.warning("events were not stored: %s: %s", type(error).__name__, error)
    return busy(why="queue" if isinstance(error, WriterBusy) else "unavailable")


def _forget(future: asyncio.Future[list[Verdict]]) -> None:
    if not future.cancelled() and future.exception() is not None:
        logger.warning("events were not stored after their client was told to retry: %s", future.exception())


def _verdict(refused: Refusal) -> Verdict:
    return Verdict(refused.event_id, refused.outcome, refused.reason, refused.detail)
