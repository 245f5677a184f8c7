"""The level in Redis: answers, versions of tags, locks and counts. Everything here may vanish at any moment.

A version is a random word that dropping a tag replaces, and the word changes too when the key is gone or when another
server answers: so neither FLUSHALL, nor a restart from an old snapshot, nor a fail-over brings an old answer back.
While Redis is away, drops are remembered and made up for before anything else is read.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import redis
import zstandard

from analytics.cache.keys import PREFIX, namespace, seal
from analytics.cache.memory import Entry

logger = logging.getLogger("bellwether.cache")
T = TypeVar("T")

RETRY_SECONDS: Final = 1.0
VERSION_SECONDS: Final = 0.9
"""A drop in another process is seen within a second."""
TAG_SECONDS: Final = 2 * 24 * 3600
COMPRESS_ABOVE: Final = 2_048
PENDING_LIMIT: Final = 10_000
KNOWN_LIMIT: Final = 50_000
COUNTS_SECONDS: Final = 2 * 24 * 3600


class Away(Exception):
    """Redis does not answer; whoever asked works without it."""


class Shared:
    """Redis as the cache sees it. Every method but `drop` raises Away rather than wait or fail."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25)
        self._clock = clock
        self._away_until = 0.0
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, float]] = {}
        self._server: tuple[str, float] = ("", -VERSION_SECONDS)
        self._pending: set[str] = set()

    # --- Versions of tags ---

    def versions(self, tags: Sequence[str]) -> tuple[str, ...]:
        """The version of each tag, with the run of the server, at most a second old."""
        fresh = self._clock() - VERSION_SECONDS
        with self._lock:
            known = [self._known.get(tag) for tag in tags]
            if self._server[1] > fresh and not self._pending and all(each and each[1] > fresh for each in known):
                return (self._server[0], *(each[0] for each in known if each))
        return self._ask(partial(self._read_versions, tags))

    def _read_versions(self, tags: Sequence[str]) -> tuple[str, ...]:
        self._make_up()
        asked = self._clock()
        run, found = self._run_id(asked), self._redis.mget(tags)
        missing = [tag for tag, value in zip(tags, found, strict=True) if value is None]
        if missing:
            with self._redis.pipeline(transaction=False) as pipe:
                for tag in missing:
                    pipe.set(tag, _word(), ex=TAG_SECONDS, nx=True)
                pipe.mget(tags)
                found = pipe.execute()[-1]
        words = [(value or b"").decode("ascii", "replace") or _word() for value in found]
        with self._lock:
            if len(self._known) > KNOWN_LIMIT:
                self._known.clear()
            self._known.update({tag: (word, asked) for tag, word in zip(tags, words, strict=True)})
        return (run, *words)

    def _run_id(self, asked: float) -> str:
        """Of the server; '' where asking for it is not allowed."""
        if self._server[1] > asked - VERSION_SECONDS:
            return self._server[0]
        try:
            run = str(self._redis.info("server").get("run_id", ""))
        except redis.ResponseError:
            run = ""
        self._server = (run, asked)
        return run

    def drop(self, tags: Sequence[str]) -> bool:
        """Give the tags new versions. While Redis is away they are remembered; False tells so."""
        with self._lock:
            for tag in tags:
                self._known.pop(tag, None)
            if len(self._pending) < PENDING_LIMIT:
                self._pending.update(tags)
        try:
            self._ask(self._make_up)
        except Away:
            return False
        return True

    def _make_up(self) -> None:
        with self._lock:
            pending = list(self._pending)
        if not pending:
            return
        with self._redis.pipeline(transaction=False) as pipe:
            for tag in pending:
                pipe.set(tag, _word(), ex=TAG_SECONDS)
            pipe.execute()
        with self._lock:
            self._pending.difference_update(pending)
            for tag in pending:
                self._known.pop(tag, None)

    # --- Answers ---

    def get(self, key: str) -> Entry | None:
        """The answer under the key, if what lies there is one."""
        return self._opened(key, self._ask(partial(self._redis.get, key)))

    def put(self, key: str, entry: Entry, *, seconds: int) -> None:
        body = msgspec.msgpack.encode(entry)
        if len(body) > COMPRESS_ABOVE:
            body = b"z" + zstandard.ZstdCompressor(level=1).compress(body)
        else:
            body = b"p" + body
        self._ask(partial(self._redis.set, key, seal(key, body) + body, ex=max(1, seconds)))

    def _opened(self, key: str, found: Any) -> Entry | None:
        if not isinstance(found, bytes) or len(found) < 17:
            return None
        code, body = found[:16], found[16:]
        if not secrets.compare_digest(code, seal(key, body)):
            return None
        try:
            plain = zstandard.ZstdDecompressor().decompress(body[1:]) if body[:1] == b"z" else body[1:]
            return msgspec.msgpack.decode(plain, type=Entry)
        except (zstandard.ZstdError, msgspec.DecodeError):
            return None  # of another release

    # --- One worker for each question ---

    def lock(self, key: str, *, seconds: float) -> str | None:
        """The token of a lock that ends by itself, or None while somebody else has it."""
        token = secrets.token_hex(8)
        taken = self._ask(partial(self._redis.set, f"{key}:lock", token, px=int(seconds * 1000), nx=True))
        return token if taken else None

    def unlock(self, key: str, token: str) -> None:
        """Not atomic, and need not be: taking away another's lock only lets a third work it out as well."""
        if self._ask(partial(self._redis.get, f"{key}:lock")) == token.encode():
            self._ask(partial(self._redis.delete, f"{key}:lock"))

    def is_locked(self, key: str) -> bool:
        return bool(self._ask(partial(self._redis.exists, f"{key}:lock")))

    # --- What was asked, and how often the cache knew ---

    def count(self, hour: int, counts: Mapping[str, int]) -> None:
        """Add to the counts of this hour (since 1970)."""

        def write() -> None:
            where = counts_key(hour)
            with self._redis.pipeline(transaction=False) as pipe:
                for name, value in counts.items():
                    pipe.hincrby(where, name, value)
                pipe.expire(where, COUNTS_SECONDS)
                pipe.execute()

        self._ask(write)

    def counts(self, hours: Iterable[int]) -> list[dict[str, int]]:
        """The counts of these hours."""

        def read() -> list[dict[str, int]]:
            with self._redis.pipeline(transaction=False) as pipe:
                for hour in hours:
                    pipe.hgetall(counts_key(hour))
                return [{k.decode(): int(v) for k, v in found.items()} for found in pipe.execute()]

        return self._ask(read)

    def remember(self, where: str, what: bytes, *, at: float, limit: int, seconds: int) -> None:
        """Put `what` at the top of a short list of things asked."""

        def write() -> None:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.zadd(where, {what: at})
                pipe.zremrangebyrank(where, 0, -limit - 1)
                pipe.expire(where, seconds)
                pipe.execute()

        self._ask(write)

    def remembered(self, where: str, *, since: float) -> list[bytes]:
        """What was asked since that instant, latest first."""
        return list(self._ask(partial(self._redis.zrevrangebyscore, where, "+inf", since)))

    def _ask(self, call: Callable[[], T]) -> T:
        if self._clock() < self._away_until:
            raise Away
        try:
            return call()
        except (redis.RedisError, OSError) as error:
            self._away_until = self._clock() + RETRY_SECONDS
            logger.warning("Redis is away: answers are worked out each time for now")
            raise Away from error


def counts_key(hour: int) -> str:
    return f"{PREFIX}counts:{namespace()}:{hour}"


def _word() -> str:
    return secrets.token_hex(8)
