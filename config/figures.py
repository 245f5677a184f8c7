"""The state of the whole installation in a few numbers: for /metrics, the detailed health and the doctor."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
import psycopg
import redis
from django.conf import settings
from django.db import connections
from prometheus_client.core import GaugeMetricFamily

from analytics.contracts import Outcome
from analytics.models import Job

REMEMBERED_SECONDS: Final = 5.0
BEAT_KEY: Final = "bellwether:heartbeat:beat"
WORKER_KEY: Final = "bellwether:heartbeat:worker"
QUEUE: Final = "bellwether"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over all tenants. `outcomes` are of the last 24 hours; `dirty_seconds` is how long the oldest waits."""

    tenants: int = 0
    active_tenants: int = 0
    outcomes: dict[str, int] = {}
    quarantined: int = 0
    dirty_marks: int = 0
    dirty_seconds: float = 0.0
    jobs: dict[str, int] = {}
    jobs_late: int = 0
    jobs_stuck: int = 0
    jobs_failed: int = 0


def query(statement: str, *arguments: Any) -> list[Any]:
    """Rows from a connection of its own: pooled ones may be stuck where a probe must not be."""
    parameters = connections["default"].get_connection_params()
    known = {key: parameters[key] for key in ("dbname", "user", "password", "host", "port") if parameters.get(key)}
    options = "-c statement_timeout=5000"
    with psycopg.connect(
        **known, connect_timeout=2, application_name="bellwether-health", options=options
    ) as connection:
        return connection.execute(statement, arguments or None).fetchall()  # type: ignore[call-overload, no-any-return, unused-ignore]


def figures_read() -> Figures:
    """Asked of the database now."""
    ((found,),) = query("SELECT bw_platform_figures(now())")
    return msgspec.convert(json.loads(found) if isinstance(found, str) else found, Figures)


_lock = threading.Lock()
_last: tuple[float, Figures] | None = None


def figures_lately() -> Figures:
    """The same, at most five seconds old: however often it is asked for, the database is asked now and then."""
    global _last
    with _lock:
        if _last is None or time.monotonic() - _last[0] > REMEMBERED_SECONDS:
            _last = (time.monotonic(), figures_read())
        return _last[1]


def partition_lead_days(today: date) -> int:
    """How many days from today have a partition of their own."""
    rows = query("SELECT name FROM bw_partitions() WHERE name ~ '^bw_event_[0-9]{6}$'")
    months = {name[-6:] for (name,) in rows}
    year, month = today.year, today.month
    while f"{year}{month:02}" in months:
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return max(0, (date(year, month, 1) - today).days)


def heartbeat_age(key: str, *, now: float) -> float | None:
    """Seconds since a process last said that it lives; None before it ever did."""
    with redis_client() as client:
        seen: Any = client.get(key)
    return None if seen is None else max(0.0, now - int(seen))


def queue_length() -> int:
    """Messages that wait for a worker."""
    with redis_client() as client:
        length: Any = client.llen(QUEUE)
    return int(length)


def redis_client(seconds: float = 2.0) -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=seconds, socket_connect_timeout=seconds)


class DomainCollector:
    """What is found out at the moment of a scrape. A part that does not answer leaves its series out."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("bellwether_up", "Whether a part answers.", labels=["part"])
        for part, collect in (("database", self._database), ("redis", self._redis)):
            try:
                found = list(collect())
            except (psycopg.Error, redis.RedisError, OSError):
                found = []
            up.add_metric([part], float(bool(found)))
            yield from found
        yield up

    def _database(self) -> Iterator[GaugeMetricFamily]:
        found = figures_lately()
        for name, text, value in (
            ("rollup_lag_seconds", "How long the oldest event waits to be counted.", found.dirty_seconds),
            ("dirty_marks", "Marks that wait to be counted.", found.dirty_marks),
            ("tenants", "Tenants.", found.tenants),
            ("active_tenants", "Tenants that sent events in the last 24 hours.", found.active_tenants),
            ("quarantined_events", "Events that are held back.", found.quarantined),
            ("jobs_late", "Jobs due for five minutes that nobody runs.", found.jobs_late),
            ("jobs_stuck", "Jobs whose worker has not been heard of for a minute.", found.jobs_stuck),
            ("partition_lead_days", "Days ahead that have a partition.", partition_lead_days(datetime.now(UTC).date())),
        ):
            yield GaugeMetricFamily(f"bellwether_{name}", text, value=value)
        yield _by("events_24h", "Events of the last 24 hours by outcome.", "outcome", Outcome, found.outcomes)
        yield _by("jobs", "Jobs by state.", "state", Job.State.values, found.jobs)

    def _redis(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("bellwether_queue_messages", "Messages that wait for a worker.", value=queue_length())
        for name, key in (("beat", BEAT_KEY), ("worker", WORKER_KEY)):
            age = heartbeat_age(key, now=time.time())
            if age is not None:
                yield GaugeMetricFamily(f"bellwether_{name}_age_seconds", f"Since {name} last showed life.", value=age)


def _by(name: str, text: str, label: str, values: Any, found: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"bellwether_{name}", text, labels=[label])
    for value in values:
        family.add_metric([str(value)], found.get(str(value), 0))
    return family
