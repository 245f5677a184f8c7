"""Finding an answer or working it out once: memory, then Redis, then one worker while the others wait."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import partial, wraps
from types import FunctionType
from typing import Any, Final, ParamSpec, TypeVar, cast

import msgspec
from django.conf import settings
from django.db import transaction

from analytics.cache.keys import Audience, answer_key, tag_key
from analytics.cache.lifetimes import EVERYTHING, TENANT
from analytics.cache.memory import Entry, Memory
from analytics.cache.shared import Away, Shared

P = ParamSpec("P")
R = TypeVar("R")

LEASE_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 5.0
"""How long somebody waits for another's answer before working it out too."""
FLUSH_SECONDS: Final = 5.0
MEMORY, SHARED, WAITED, COMPUTED, ALONE = "memory", "shared", "waited", "computed", "alone"
OUTCOMES: Final = (MEMORY, SHARED, WAITED, COMPUTED, ALONE)
"""Found in this process, found in Redis, another worker's, worked out, worked out without Redis."""

# Of a warm-up: an answer that ends within so many seconds counts as ended already.
_margin: ContextVar[float] = ContextVar("cache_margin", default=0.0)


class Cache:
    """Both levels, for one process."""

    def __init__(self, *, url: str, memory_bytes: int) -> None:
        self.memory = Memory(memory_bytes)
        self.shared = Shared(url)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.listeners: list[Callable[[str, str, float], None]] = []
        self._flights: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._unsent: Counter[str] = Counter()
        self._send_after = 0.0

    def answer(
        self,
        *,
        audience: Audience,
        name: str,
        question: Any,
        compute: Callable[[], R],
        ttl: float,
        now: datetime | None = None,
        tags: Sequence[str] = (),
        stamp: str = "",
        into: Any = Any,
        ignore: Collection[str] = (),
        only_process: bool = False,
    ) -> R:
        """The answer to `question`, at most `ttl` seconds old and as true as its tags and its stamp say.

        `into` is the type that msgspec reads it back as, or a function from bytes (of msgpack) to the value; without
        one it must be plain (dict, list, str, number, None).
        Whether it was found or worked out, what comes back has been through msgpack, so that the two never differ.
        """
        if not settings.CACHE_ENABLED:
            return compute()
        key = answer_key(audience, name, question, ignore=ignore, now=now)
        places = [tag_key(EVERYTHING, None), *(tag_key(tag, audience.tenant_id) for tag in (TENANT, *tags))]
        asked = _Asked(key, name, now.timestamp() if now else time.time(), ttl, tuple(places), stamp)
        try:
            body = self._alone(asked, compute) if only_process else self._found_or_made(asked, compute)
        except _Unwritable as unwritable:
            return cast(R, unwritable.value)
        return cast(R, _read(body, into))

    def _found_or_made(self, asked: _Asked, compute: Callable[[], Any]) -> bytes:
        began = time.perf_counter()
        try:
            versions = self.shared.versions(asked.tags)
            found = self._find(asked, versions)
        except Away:
            body = _written(compute())
            self._tell(asked.name, ALONE, began)
            return body
        if found:
            self._tell(asked.name, found[0], began)
            return found[1]
        with self._flight(asked.key) as is_first:
            if not is_first and (again := self._kept(asked, versions)):
                self._tell(asked.name, WAITED, began)
                return again
            return self._made(asked, versions, compute, began)

    def _find(self, asked: _Asked, versions: tuple[str, ...]) -> tuple[str, bytes] | None:
        if body := self._kept(asked, versions):
            return MEMORY, body
        entry = self.shared.get(asked.key)
        if entry is None or not asked.accepts(entry, versions):
            return None
        self.memory.put(asked.key, entry)
        return SHARED, entry.body

    def _kept(self, asked: _Asked, versions: tuple[str, ...]) -> bytes | None:
        entry = self.memory.get(asked.key)
        return entry.body if entry is not None and asked.accepts(entry, versions) else None

    def _made(self, asked: _Asked, versions: tuple[str, ...], compute: Callable[[], Any], began: float) -> bytes:
        """By the holder of the lock in Redis; whoever does not get it looks whether the holder is done."""
        token, found = self._turn(asked, versions)
        try:
            if found:
                self._tell(asked.name, WAITED, began)
                return found
            body = _written(compute())
            self._keep(asked, Entry(asked.now, versions, asked.stamp, body))
        finally:
            if token is not None:
                self._unlock(asked.key, token)
        self._tell(asked.name, COMPUTED, began)
        return body

    def _turn(self, asked: _Asked, versions: tuple[str, ...]) -> tuple[str | None, bytes | None]:
        """The token of our turn, if it came, and the answer, if somebody found it before."""
        token, found, deadline = None, None, time.monotonic() + WAIT_SECONDS
        try:
            while token is None and found is None and time.monotonic() < deadline:
                token = self.shared.lock(asked.key, seconds=LEASE_SECONDS)
                if token is None:
                    time.sleep(0.02)
                # Looked for after the lock: its last holder kept the answer before letting go.
                found = self._find(asked, versions)
        except Away:
            pass
        return token, found[1] if found else None

    def _keep(self, asked: _Asked, entry: Entry) -> None:
        self.memory.put(asked.key, entry)
        try:
            self.shared.put(asked.key, entry, seconds=int(asked.ttl))
        except Away:
            pass

    def _unlock(self, key: str, token: str) -> None:
        try:
            self.shared.unlock(key, token)
        except Away:
            pass  # the lock ends by itself

    def _alone(self, asked: _Asked, compute: Callable[[], Any]) -> bytes:
        """For what stays in this process; while Redis is away it lives to its end."""
        began = time.perf_counter()
        try:
            versions = self.shared.versions(asked.tags)
        except Away:
            entry = self.memory.get(asked.key)
            versions = entry.versions if entry else ()
        if body := self._kept(asked, versions):
            self._tell(asked.name, MEMORY, began)
            return body
        body = _written(compute())
        if versions:
            self.memory.put(asked.key, Entry(asked.now, versions, asked.stamp, body))
        self._tell(asked.name, COMPUTED, began)
        return body

    @contextmanager
    def _flight(self, key: str) -> Iterator[bool]:
        """One thread of this process at a time; True for one that did not have to wait."""
        is_first = True
        while True:
            with self._lock:
                ahead = self._flights.get(key)
                if ahead is None:
                    mine = self._flights[key] = threading.Event()
                    break
            is_first = False
            if not ahead.wait(LEASE_SECONDS):
                mine = threading.Event()
                break
        try:
            yield is_first
        finally:
            with self._lock:
                if self._flights.get(key) is mine:
                    del self._flights[key]
            mine.set()

    # --- Dropping ---

    def drop(self, *tags: str, tenant_id: int | None = None) -> bool:
        """Forget the tenant's answers that carry one of the tags, or everybody's. False while Redis is away: then other
        processes follow when it is back."""
        return self.shared.drop([tag_key(tag, tenant_id) for tag in tags])

    # --- Counting ---

    def _tell(self, name: str, outcome: str, began: float) -> None:
        seconds = time.perf_counter() - began
        self.outcomes[name, outcome] += 1
        with self._lock:
            self._unsent[f"{name}|{outcome}"] += 1
            if outcome in (COMPUTED, ALONE):
                self._unsent[f"{name}|ms"] += round(seconds * 1000)
            due = time.monotonic() > self._send_after
            sent, self._unsent = (self._unsent, Counter()) if due else (Counter(), self._unsent)
            if due:
                self._send_after = time.monotonic() + FLUSH_SECONDS
        for listener in self.listeners:
            listener(name, outcome, seconds)
        if sent:
            self._send(sent)

    def flush(self) -> None:
        """Send the counts that are waiting."""
        with self._lock:
            sent, self._unsent = self._unsent, Counter()
        if sent:
            self._send(sent)

    def _send(self, counts: Counter[str]) -> None:
        try:
            self.shared.count(int(time.time() // 3600), counts)
        except Away:
            pass  # counts of a time without Redis are not worth keeping


class _Asked(msgspec.Struct, frozen=True):
    """A question with what its answer must satisfy."""

    key: str
    name: str
    now: float
    ttl: float
    tags: tuple[str, ...]
    stamp: str

    def accepts(self, entry: Entry, versions: tuple[str, ...]) -> bool:
        return entry.is_good(self.now, self.ttl - min(_margin.get(), self.ttl / 2), versions, self.stamp)


class _Unwritable(Exception):
    """The value cannot be written as msgpack (an integer beyond 64 bits); it is handed over and not kept."""

    def __init__(self, value: Any) -> None:
        super().__init__("not kept")
        self.value = value


def _read(body: bytes, into: Any) -> Any:
    if isinstance(into, FunctionType):
        return into(body)
    return msgspec.msgpack.decode(body, type=into)


def _written(value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:
        raise _Unwritable(value) from None


def margin_seconds() -> float:
    """Of the warm-up that is going on, else 0."""
    return _margin.get()


@contextmanager
def margin(seconds: float) -> Iterator[None]:
    """Within it, answers that end in less than `seconds` are worked out anew."""
    token = _margin.set(seconds)
    try:
        yield
    finally:
        _margin.reset(token)


_cache: Cache | None = None
_making = threading.Lock()


def cache() -> Cache:
    """The cache of this process."""
    global _cache
    if _cache is None:
        with _making:
            _cache = _cache or Cache(url=settings.REDIS_URL, memory_bytes=settings.CACHE_PROCESS_BYTES)
    return _cache


def drop(*tags: str, tenant_id: int | None = None) -> bool:
    """Forget the tenant's answers that carry one of the tags (`drop(EVERYTHING)`: all of everybody's)."""
    return cache().drop(*tags, tenant_id=tenant_id)


def drop_after_commit(*tags: str, tenant_id: int | None = None, using: str = "default") -> None:
    """The same once the open transaction is committed, because before nobody can read what it wrote."""
    transaction.on_commit(partial(drop, *tags, tenant_id=tenant_id), using=using, robust=True)


def cached(
    *,
    ttl: float,
    tags: Sequence[str] = (),
    name: str = "",
    into: Any = Any,
    ignore: Collection[str] = ("now",),
    only_process: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remember what the function returns. It takes keyword arguments only, one of them `audience: Audience`.

    `ttl` is in seconds (`lifetimes.py`), `tags` drop it before. All arguments make the key but those of `ignore`, also
    inside of dataclasses; an argument `now` (or a `now` in one of the arguments) says how old an answer is.
    `only_process` keeps it out of Redis, for what is small and asked constantly, such as the limits of alerts.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        title = name or f"{function.__module__}.{function.__qualname__}"

        @wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            if args:
                raise TypeError(f"{title} takes keyword arguments only: they are what it is remembered by.")
            audience = cast(Audience, kwargs["audience"])
            return cache().answer(
                audience=audience,
                name=title,
                question={key: value for key, value in kwargs.items() if key != "audience"},
                compute=partial(function, *args, **kwargs),
                ttl=ttl,
                now=_now_in(kwargs),
                tags=tags,
                into=into,
                ignore=ignore,
                only_process=only_process,
            )

        return answer

    return decorate


def _now_in(arguments: dict[str, Any]) -> datetime | None:
    found = arguments.get("now") or next((each.now for each in arguments.values() if hasattr(each, "now")), None)
    return found if isinstance(found, datetime) else None
