"""All sockets of a process: their feeds, the doorbell, the look at the data version, and the guard of credentials."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError

from analytics.access.keys import KeysUnavailable
from reports.live import doorbell
from reports.live.access import Credential, Holder, Refused, holder_of, standings
from reports.live.answers import Question, check
from reports.live.desk import Desk
from reports.live.feed import Feed, FeedKey
from reports.live.protocol import (
    BUSY,
    FORBIDDEN,
    QUESTIONS_OF_PROCESS,
    QUESTIONS_OF_TENANT,
    SOCKETS_OF_PROCESS,
    SOCKETS_OF_TENANT,
    SUBSCRIPTIONS,
    Complaint,
    Subscribe,
)
from reports.live.stream import Stream, Subscription

logger = logging.getLogger("bellwether.live")

LOOK_SECONDS: Final = 4.0
"""A ring that was lost costs so much delay, and nothing else."""
GUARD_SECONDS: Final = 2.0
RESOLVE_SECONDS: Final = 60.0
ASK_SECONDS: Final = 8.0
PARKED: Final = 500
PARKED_SECONDS: Final = 60.0

Close = Callable[[int, str], None]


class Hub:
    """Lives on the event loop: everything here but the desks' work runs there, one thing at a time."""

    def __init__(self, *, redis_url: str, clock: Callable[[], datetime]) -> None:
        self._redis_url = redis_url
        self._clock = clock
        self._answers = Desk("live-answers", threads=2)
        self._access = Desk("live-access", threads=1)
        self._streams: dict[Stream, Close] = {}
        self._feeds: dict[FeedKey, Feed] = {}
        self._parked: OrderedDict[str, tuple[float, Stream]] = OrderedDict()
        self._standings: dict[Credential, str] = {}
        self._resolving: dict[Credential, asyncio.Task[Holder]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # --- Sockets ------------------------------------------------------------------------------------------------------

    async def holder(self, credential: Credential) -> Holder:
        """What a credential stands for; sockets that come together ask once. Raises Refused."""
        task = self._resolving.get(credential)
        if task is None:
            task = asyncio.create_task(self._access.run(lambda: holder_of(credential)))
            self._resolving[credential] = task
            task.add_done_callback(lambda done: self._resolved(credential, done))
        try:
            return await asyncio.wait_for(asyncio.shield(task), ASK_SECONDS)
        except (DatabaseError, KeysUnavailable, TimeoutError):
            raise Refused(BUSY, "the database does not answer just now; try again") from None

    def _resolved(self, credential: Credential, done: asyncio.Task[Holder]) -> None:
        self._resolving.pop(credential, None)
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more

    def join(self, stream: Stream, close: Close) -> None:
        """Count a socket in. `close(code, reason)` must close it without waiting. Raises Refused when it is full."""
        tenants = Counter(each.holder.info.tenant.id for each in self._streams)
        if len(self._streams) >= SOCKETS_OF_PROCESS or tenants[stream.holder.info.tenant.id] >= SOCKETS_OF_TENANT:
            raise Refused(BUSY, "there are too many sockets here")
        self._streams[stream] = close
        if not self._tasks:
            self._tasks = [asyncio.create_task(work) for work in self._chores()]

    def leave(self, stream: Stream) -> None:
        """The socket has gone; its stream can be taken up for a minute."""
        if self._streams.pop(stream, None) is None:
            return
        for subscription in stream.subscriptions.values():
            self._unwatch(subscription)
        self._expire()
        if stream.seq:
            self._parked[stream.session] = (self._time() + PARKED_SECONDS, stream)
        while len(self._parked) > PARKED:
            self._parked.popitem(last=False)

    def forget(self, stream: Stream) -> None:
        """The socket was closed for a reason: nobody may take up its stream."""
        self.leave(stream)
        self._parked.pop(stream.session, None)

    def take_up(self, session: str, heir: Stream) -> Stream | None:
        """The parked stream of the session in place of `heir`, which must belong to the same holder."""
        self._expire()
        _, parked = self._parked.get(session, (0.0, None))
        if parked is None or not _is_same(parked.holder, heir.holder) or heir.subscriptions:
            return None
        for subscription in parked.subscriptions.values():
            subscription.wake = heir.wake
            subscription.feed = self._feed(subscription.feed.key)
            subscription.feed.add(subscription)
        del self._parked[session]
        parked.holder, parked.wake = heir.holder, heir.wake
        self._streams[parked] = self._streams.pop(heir)
        return parked

    # --- Subscriptions ------------------------------------------------------------------------------------------------

    async def subscribe(self, stream: Stream, wanted: Subscribe) -> dict[str, str]:
        """Watch what can be watched; why the rest cannot, by metric. Raises Complaint."""
        if wanted.id not in stream.subscriptions and len(stream.subscriptions) >= SUBSCRIPTIONS:
            raise Complaint("too_many_subscriptions", f"A socket has at most {SUBSCRIPTIONS} subscriptions.")
        info = stream.holder.info
        key = FeedKey(info.tenant, info.role or "key", Question.of(wanted.range, wanted.query))
        metrics = tuple(dict.fromkeys(wanted.metrics))
        refused = await self._refused(key, metrics)
        metrics = tuple(name for name in metrics if name not in refused)
        if metrics and stream in self._streams:
            stream.put(Subscription(wanted.id, self._feed(key), metrics, wanted.period, stream.wake))
        self._sweep()
        return refused

    def unsubscribe(self, stream: Stream, id_: str) -> None:
        """Watch no more."""
        stream.drop(id_)
        self._sweep()

    async def _refused(self, key: FeedKey, metrics: Sequence[str]) -> dict[str, str]:
        feed = self._feeds.get(key)
        if feed is not None and all(name in feed.values for name in metrics):
            return {}
        now = self._clock()
        try:
            return await asyncio.wait_for(
                self._answers.run(lambda: check(tenant=key.tenant, question=key.question, metrics=metrics, now=now)),
                ASK_SECONDS,
            )
        except (DatabaseError, TimeoutError):
            raise Complaint("unavailable", "The database does not answer just now; subscribe again.") from None

    def _feed(self, key: FeedKey) -> Feed:
        feed = self._feeds.get(key)
        if feed is None:
            own = sum(other.tenant.id == key.tenant.id for other in self._feeds)
            if len(self._feeds) >= QUESTIONS_OF_PROCESS or own >= QUESTIONS_OF_TENANT:
                raise Complaint("too_many_questions", "Too many different questions are watched just now.")
            feed = self._feeds[key] = Feed(key, desk=self._answers, clock=self._clock)
        return feed

    def _unwatch(self, subscription: Subscription) -> None:
        subscription.feed.remove(subscription)
        self._sweep()

    def _sweep(self) -> None:
        for key in [key for key, feed in self._feeds.items() if not feed.watchers]:
            del self._feeds[key]

    # --- Chores -------------------------------------------------------------------------------------------------------

    def _chores(self) -> list[Coroutine[Any, Any, None]]:
        return [
            doorbell.listen(self._redis_url, rung=self._rung, deaf=self._look),
            _every(LOOK_SECONDS, self._look_soon),
            _every(GUARD_SECONDS, self._guard),
            _every(RESOLVE_SECONDS, self._forget_standings),
        ]

    def _rung(self, ring: doorbell.Ring) -> None:
        for key, feed in self._feeds.items():
            if key.tenant.id == ring.tenant_id:
                feed.ring()

    def _look(self) -> None:
        for feed in self._feeds.values():
            feed.ring()

    async def _look_soon(self) -> None:
        self._look()

    async def _forget_standings(self) -> None:
        """Every credential is asked for anew, whatever its standing: tokens end by the clock."""
        self._standings.clear()

    async def _guard(self) -> None:
        holders = {stream.holder.credential: stream.holder for stream in self._streams}
        if not holders:
            return
        try:
            found = await self._access.run(lambda: standings(holders.values()))
            for credential, standing in found.items():
                if self._standings.get(credential) != standing:
                    await self._confirm(credential)
                    self._standings[credential] = standing
        except (DatabaseError, KeysUnavailable) as error:
            # No numbers leave while the database is away, so nobody gains by the delay.
            logger.warning("credentials of sockets wait for the database: %s", type(error).__name__)
        self._standings = {key: text for key, text in self._standings.items() if key in holders}

    async def _confirm(self, credential: Credential) -> None:
        """Close what a changed credential no longer covers."""
        try:
            now = await self._access.run(lambda: holder_of(credential))
            code, reason = FORBIDDEN, "its rights have changed: open the socket again"
        except Refused as refused:
            now, code, reason = None, refused.code, refused.reason
        for stream, close in list(self._streams.items()):
            if stream.holder.credential == credential and not (now and _is_same(now, stream.holder)):
                self.forget(stream)
                close(code, reason)

    def _expire(self) -> None:
        now = self._time()
        for session in [session for session, (until, _) in self._parked.items() if until < now]:
            del self._parked[session]

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()

    async def close(self) -> None:
        """End the chores and the desks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._answers.close()
        self._access.close()


def _is_same(one: Holder, other: Holder) -> bool:
    """Whether they may see the same: tenant with its settings, role and scopes; and are the same person or key."""
    return (one.info.tenant, one.info.role, one.info.scopes, one.info.actor) == (
        other.info.tenant,
        other.info.role,
        other.info.scopes,
        other.info.actor,
    )


async def _every(seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs `work` at a rhythm with some play, so that processes do not ask in step."""
    while True:
        await asyncio.sleep(seconds * random.uniform(0.8, 1.0))
        try:
            await work()
        except Exception:
            logger.exception("a chore of the live socket failed")


def hub_of_settings(clock: Callable[[], datetime]) -> Hub:
    """The hub as the settings describe it."""
    return Hub(redis_url=settings.REDIS_URL, clock=clock)
