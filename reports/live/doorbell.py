"""The doorbell between workers and web processes: "buckets of this tenant were refreshed", through Redis pub/sub.

A ring may be lost (Redis killed, flushed, away): nothing waits for one, it only saves the seconds until a feed looks
by itself. So publishing never fails and never takes long, and every new connection of the listener counts as a ring
for everybody.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

logger = logging.getLogger("bellwether.live")

CHANNEL: Final = "bellwether:live"
PUBLISH_SECONDS: Final = 0.25
AWAY_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 5.0
"""A connection without a word for so long is asked whether it lives."""
FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 2.0


class Ring(msgspec.Struct, array_like=True, frozen=True):
    """Buckets of the tenant within [start, end) may have changed."""

    tenant_id: int
    start: datetime
    end: datetime


class Bell:
    """Rings for this process; one that finds Redis away keeps still for a second."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(
            url, socket_timeout=PUBLISH_SECONDS, socket_connect_timeout=PUBLISH_SECONDS
        )
        self._away_until = 0.0

    def ring(self, ring: Ring) -> bool:
        """Whether Redis took it."""
        if time.monotonic() < self._away_until:
            return False
        try:
            self._redis.publish(CHANNEL, msgspec.json.encode(ring))
        except (redis.RedisError, OSError):
            self._away_until = time.monotonic() + AWAY_SECONDS
            return False
        return True


@cache
def bell() -> Bell:
    """The bell of this process."""
    return Bell(settings.REDIS_URL)


def ring_refreshed(*, tenant_id: int, start: datetime, end: datetime, **_signal: Any) -> None:
    """Receives `buckets_refreshed`, which is sent after COMMIT."""
    bell().ring(Ring(tenant_id, start, end))


async def listen(url: str, *, rung: Callable[[Ring], None], deaf: Callable[[], None]) -> None:
    """Calls `rung` for every ring, and `deaf` whenever rings may have been missed. Runs until cancelled."""
    wait = FIRST_WAIT
    while True:
        # No retries of its own: the client would subscribe anew in silence, and rings in between would go unnoticed.
        client = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=2, socket_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(CHANNEL)
                deaf()
                wait = FIRST_WAIT
                await _hear(pubsub, rung)
        except (redis.RedisError, OSError, TimeoutError) as error:
            logger.debug("the doorbell is away: %s", error)
        finally:
            await _let_go(client)
        await asyncio.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(wait * 2, LONGEST_WAIT)


async def _hear(pubsub: Any, rung: Callable[[Ring], None]) -> None:
    is_asked = False
    while True:
        message = await pubsub.get_message(timeout=QUIET_SECONDS)
        if message is None:
            if is_asked:
                raise TimeoutError("Redis does not answer")
            await pubsub.ping()
            is_asked = True
            continue
        is_asked = False
        if message["type"] == "message" and (ring := _read(message["data"])) is not None:
            rung(ring)


def _read(data: bytes) -> Ring | None:
    try:
        return msgspec.json.decode(data, type=Ring)
    except msgspec.DecodeError:
        return None  # a stranger on the channel


async def _let_go(client: Any) -> None:
    try:
        await client.aclose()
    except (redis.RedisError, OSError, RuntimeError):
        return
