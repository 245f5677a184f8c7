"""Redis, the worker, the scheduler and its list."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from django.conf import settings

from config import figures
from config.doctor import Finding, check
from config.health import HEARTBEAT_SECONDS
from config.schedule import PREFIX, TICKS, schedule_apply

FLOORS: Final = {7: (7, 4, 6), 8: (8, 2, 2)}
LONG_QUEUE: Final = 1_000


@check("redis", "Redis answers, is new enough and keeps its queue")
def redis_server(now: datetime) -> Iterator[Finding]:
    with figures.redis_client() as client:
        about: Any = client.info()
        policy = _policy(client)
    version = tuple(int(part) for part in str(about.get("redis_version", "0")).split(".")[:3])
    is_embedded = settings.REDIS_URL.startswith("unix://")
    floor = FLOORS.get(version[0], (7, 4, 6))
    if version < floor and not is_embedded:
        wanted = ".".join(map(str, floor))
        yield Finding(
            "warning",
            f"Redis {about['redis_version']} has a known hole (CVE-2025-49844).",
            f"Install {wanted} or later.",
        )
    if policy.startswith("allkeys"):
        yield Finding(
            "warning",
            f"Redis may evict the queue of the worker (maxmemory-policy {policy}); the sweeper rings again, later.",
            "CONFIG SET maxmemory-policy volatile-lru, and the same in redis.conf.",
        )
    if about.get("rdb_last_bgsave_status", "ok") != "ok":
        yield Finding(
            "warning",
            "Redis cannot save its snapshot and will refuse writes.",
            'Free its disk, or CONFIG SET save "": nothing in it has to survive.',
        )


def _policy(client: Any) -> str:
    """How keys are evicted; '' where asking is not allowed."""
    about: dict[str, Any] = client.info("memory")
    return str(about.get("maxmemory_policy", ""))


@check("worker", "The worker lives and keeps up")
def worker(now: datetime) -> Iterator[Finding]:
    yield from _life("worker", figures.WORKER_KEY)
    waiting = figures.queue_length()
    if waiting > LONG_QUEUE:
        yield Finding(
            "warning",
            f"{waiting} messages wait for the worker.",
            "Raise WORKER_PROCESSES, or look for a job that hangs.",
        )


@check("beat", "The scheduler lives")
def beat(now: datetime) -> Iterator[Finding]:
    yield from _life("beat", figures.BEAT_KEY)


def _life(name: str, key: str) -> Iterator[Finding]:
    age = figures.heartbeat_age(key, now=time.time())
    start = f"Start it: bin/up runs it, or by itself `{name}` of the Procfile."
    if age is None:
        yield Finding("warning", f"No sign of life of {name} yet.", start)
    elif age > HEARTBEAT_SECONDS:
        yield Finding("error", f"No sign of life of {name} for {age:.0f} s.", start)


@check("schedule", "Everything that has to ring is on the list")
def schedule(now: datetime) -> Iterator[Finding]:
    from django_celery_beat.models import PeriodicTask

    known = dict(PeriodicTask.objects.filter(name__startswith=PREFIX).values_list("name", "enabled"))
    missing = [tick.name for tick in TICKS if PREFIX + tick.name not in known]
    if missing:
        yield Finding(
            "error",
            f"Nothing rings for: {', '.join(missing)}.",
            "manage.py migrate writes the list (or manage.py doctor --fix).",
            repair=_write_list,
        )
    paused = [name.removeprefix(PREFIX) for name, is_enabled in known.items() if not is_enabled]
    if paused:
        yield Finding(
            "warning",
            f"Paused: {', '.join(sorted(paused))}.",
            "Resume them on /admin/operation/scheduler/ when the reason is over.",
        )


def _write_list() -> str:
    schedule_apply()
    return "wrote the list"
