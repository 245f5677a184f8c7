"""Statements: how long each takes, and the slowest ones to read, without their values."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import redis
from django.conf import settings
from django.db.backends.signals import connection_created

from analytics import trace
from config import telemetry

logger = logging.getLogger("bellwether.slow")
KEY: Final = "bellwether:slow"
KEPT: Final = 200
LONGEST: Final = 2_000
KEPT_SECONDS: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """A statement that took longer than SLOW_QUERY_MS. Values are bound, so its text holds none."""

    at: float
    milliseconds: int
    role: str
    statement: str
    request_id: str
    job: str


class Timed:
    """Times the statements of one connection."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._seconds = telemetry.QUERIES.labels(role)

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took = time.perf_counter() - began
            self._seconds.observe(took)
            if settings.SLOW_QUERY_MS and took * 1000 >= settings.SLOW_QUERY_MS:
                slow(self._role, str(sql), took)


def slow(role: str, statement: str, seconds: float) -> None:
    """Write a slow statement down. Redis holds the last ones; while it is away only the log has them."""
    telemetry.SLOW.inc()
    found = SlowQuery(
        at=time.time(),
        milliseconds=round(seconds * 1000),
        role=role,
        statement=" ".join(statement.split())[:LONGEST],
        request_id=trace.request_id(),
        job=trace.job_named(),
    )
    is_listed = _list(found)
    if not (found.request_id or found.job):
        # A command that counts a year has long statements by nature; whoever runs it looks at its progress.
        level = logging.DEBUG
    else:
        # What is in the list is no news for those who watch a console (LOGGING); what nobody could list is.
        level = logging.INFO if is_listed else logging.WARNING
    logger.log(level, "a statement took %d ms: %s", found.milliseconds, found.statement[:300])


def _list(found: SlowQuery) -> bool:
    """Put it into the list of the admin; False while Redis is away."""
    try:
        with _redis() as client, client.pipeline(transaction=False) as pipe:
            pipe.lpush(KEY, json.dumps(asdict(found)))
            pipe.ltrim(KEY, 0, KEPT - 1)
            pipe.expire(KEY, KEPT_SECONDS)
            pipe.execute()
    except (redis.RedisError, OSError):
        return False
    return True


def slow_queries() -> list[SlowQuery] | None:
    """The last ones, slowest first; None while Redis is away."""
    try:
        with _redis() as client:
            rows: Any = client.lrange(KEY, 0, KEPT - 1)
    except (redis.RedisError, OSError):
        return None
    return sorted((SlowQuery(**json.loads(row)) for row in rows), key=lambda found: -found.milliseconds)


def slow_queries_forget() -> None:
    """Begin the list anew."""
    with _redis() as client:
        client.delete(KEY)


def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.25, socket_connect_timeout=0.25)


def _watch(sender: Any, connection: Any, **kwargs: Any) -> None:
    if not any(isinstance(each, Timed) for each in connection.execute_wrappers):
        connection.execute_wrappers.append(Timed(connection.alias))


def listen() -> None:
    """Time every connection that is opened from now on."""
    connection_created.connect(_watch, dispatch_uid="bellwether-queries")
