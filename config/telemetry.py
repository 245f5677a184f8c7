"""What Prometheus reads at /metrics, over all processes of the installation.

Each process writes its counts into files of its own below BELLWETHER_HOME/metrics; whoever is asked adds them up.
Labels come from fixed lists (names of routes, doors, tasks), never from requests, and no tenant is named: the number of
series has an upper bound of 2,000.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, wraps
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver

FOLDER: Final = Path(settings.BELLWETHER_HOME) / "metrics"
FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(FOLDER))  # read by the import below

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest  # noqa: E402
from prometheus_client.mmap_dict import MmapedDict  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

from analytics.cache import Cache  # noqa: E402

Collector: Any = MultiProcessCollector  # neither has types
CountFile: Any = MmapedDict

logger = logging.getLogger("bellwether.requests")
ROUTES_LIMIT: Final = 140
TASKS_LIMIT: Final = 30
OTHER: Final = "other"
DEAD_FILES: Final = 60
"""Files of ended processes that may lie about before they are added up into one."""
BEING_MADE_SECONDS: Final = 60
"""For so long an unreadable file of a living process may be one that it just makes."""


def is_readable(path: Path) -> bool:
    """Whether all of a file of counts can be read; after a power cut half of it may be zeros."""
    try:
        return all(json.loads(key) for key, *_ in CountFile.read_all_values_from_file(str(path)))
    except (OSError, ValueError, RuntimeError, struct.error):
        return False


def drop_torn(*, begins: bool = False) -> None:
    """Remove what a power cut tore: it fails whoever adds up, and the next process of that number at every count.

    `begins` says that this process has not counted yet, so that a file of its number is not its own.
    """
    for path in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("*.db"):
        with suppress(FileNotFoundError):
            is_young = time.time() - path.stat().st_mtime < BEING_MADE_SECONDS
            may_be_made = is_young and _lives(path) and not (begins and _pid_of(path) == os.getpid())
            if not may_be_made and not is_readable(path):
                path.unlink()


def _pid_of(path: Path) -> int:
    """Whose file it is; file 0 is the sum of those that ended."""
    found = re.search(r"_(\d+)\.db$", path.name)
    return int(found.group(1)) if found else 0


def _lives(path: Path) -> bool:
    """Whether a process of the number whose file it is runs."""
    pid = _pid_of(path)
    return pid == 0 or Path(f"/proc/{pid}").exists()


class SumOfFiles(Collector):  # type: ignore[misc]
    """Counts of all processes, without files that cannot be read at this moment."""

    def collect(self) -> Any:
        files = [str(path) for path in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("*.db") if is_readable(path)]
        return self.merge(files, accumulate=True)


drop_torn(begins=True)  # before the first count of this process, whose number may be that of one before the cut

REQUESTS = Counter("bellwether_http_requests", "Answers by route and class of status.", ("route", "status"))
SECONDS = Histogram(
    "bellwether_http_request_seconds", "Time to answer, by route.", ("route",), buckets=(0.025, 0.12, 1)
)
CAPTURES = Counter("bellwether_capture_requests", "Capture requests by door and class of status.", ("door", "status"))
REFUSALS = Counter(
    "bellwether_capture_refusals", "Capture requests that were to come again later (503), by reason.", ("reason",)
)
QUERIES = Histogram(
    "bellwether_query_seconds",
    "Time of statements, by database role.",
    ("role",),
    buckets=(0.001, 0.005, 0.025, 0.1, 1, 5),
)
SLOW = Counter("bellwether_slow_queries", "Statements slower than SLOW_QUERY_MS.")
TASKS = Counter("bellwether_tasks", "Celery tasks by name and how they ended.", ("task", "state"))
TASK_SECONDS = Histogram("bellwether_task_seconds", "Time of Celery tasks.", ("task",), buckets=(0.5, 5, 60))
ANSWERS = Counter("bellwether_cache_answers", "Answers by where they came from.", ("outcome",))
SOCKETS = Gauge("bellwether_live_sockets", "Open live sockets.", multiprocess_mode="livesum")


# --- Web --------------------------------------------------------------------------------------------------------------


class TelemetryMiddleware:
    """Counts answers and their time, by the name of the route."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        route = route_named(request)
        seconds = time.perf_counter() - began
        REQUESTS.labels(route, f"{response.status_code // 100}xx").inc()
        SECONDS.labels(route).observe(seconds)
        if logger.isEnabledFor(logging.INFO):
            told = {"route": route, "status": response.status_code, "milliseconds": round(seconds * 1000)}
            told["request_id"] = response.get("X-Request-ID", "")
            logger.info("%s %s", request.method, request.path, extra={"fields": told})
        return response


def route_named(request: HttpRequest) -> str:
    """The name of the request's route from the fixed list; all pages of the admin are one."""
    match = request.resolver_match
    if match is None:
        return "static" if request.path.startswith(settings.STATIC_URL) else "none"
    if request.path.startswith("/admin/"):
        return "admin"
    return match.view_name if match.view_name in routes() else OTHER


@cache
def routes() -> frozenset[str]:
    """Every name that a route outside the admin has, at most ROUTES_LIMIT."""
    return frozenset(sorted(set(_names(get_resolver().url_patterns, "", "")))[:ROUTES_LIMIT])


def _names(patterns: Iterable[Any], prefix: str, space: str) -> Iterator[str]:
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if address.startswith("admin/"):
            continue
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _names(pattern.url_patterns, address, inner)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield f"{space}{pattern.name}"


def capture_counted(door: str, send: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The `send` of a capture request, counting its answer."""

    async def counted(message: Any) -> None:
        if message["type"] == "http.response.start":
            CAPTURES.labels(door, f"{message['status'] // 100}xx").inc()
        await send(message)

    return counted


def refusal_counted(why: str) -> None:
    """Counts a capture request that was answered 503."""
    REFUSALS.labels(why).inc()


@contextmanager
def socket_counted() -> Iterator[None]:
    """Counts a live socket while it is open."""
    SOCKETS.inc()
    try:
        yield
    finally:
        SOCKETS.dec()


# --- Cache ------------------------------------------------------------------------------------------------------------


def watch_cache(found: Cache) -> None:
    """Count where the cache's answers come from."""

    def told(name: str, outcome: str, seconds: float) -> None:
        ANSWERS.labels(outcome).inc()

    if not any(getattr(each, "__name__", "") == "told" for each in found.listeners):
        found.listeners.append(told)


# --- Celery -----------------------------------------------------------------------------------------------------------


def task_named(name: str, known: Iterable[str]) -> str:
    """The task's name, if it is one of ours."""
    return (
        name if name in set(sorted(each for each in known if not each.startswith("celery."))[:TASKS_LIMIT]) else OTHER
    )


def task_ended(name: str, state: str, seconds: float | None) -> None:
    """Count a task that came to an end."""
    TASKS.labels(name, state).inc()
    if seconds is not None:
        TASK_SECONDS.labels(name).observe(seconds)


# --- Adding up --------------------------------------------------------------------------------------------------------


def exposition(*collectors: Any) -> bytes:
    """All series as Prometheus reads them: those of every process, and what the collectors find out now."""
    registry = CollectorRegistry()
    with _alone():
        drop_torn()
        tidy()
        SumOfFiles(registry, path=os.environ["PROMETHEUS_MULTIPROC_DIR"])
        for collector in collectors:
            registry.register(collector)
        return generate_latest(registry)


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time looks into the folder, so that none adds a file up that another one just takes away."""
    with (Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tidy(*, limit: int = DEAD_FILES) -> int:
    """Take away gauges of ended processes, and add their counts up when there are many files; how many went."""
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    dead = [path for path in folder.glob("*.db") if not _lives(path)]
    gauges = [path for path in dead if path.name.startswith("gauge_live")]
    for path in gauges:
        path.unlink(missing_ok=True)
    sums = [path for path in dead if path.name.startswith(("counter_", "histogram_"))]
    if len(sums) <= limit:
        return len(gauges)
    for path in sums:
        _add_up(path, folder / f"{path.name.partition('_')[0]}_0.db")
    return len(gauges) + len(sums)


def _add_up(path: Path, into: Path) -> None:
    # Renamed first: killed in between, a count is lost rather than doubled for ever.
    aside = path.with_suffix(".gone")
    path.rename(aside)
    total = CountFile(str(into))
    for key, value, moment, _ in CountFile.read_all_values_from_file(str(aside)):
        total.write_value(key, total.read_value(key)[0] + value, moment)
    total.close()
    aside.unlink()


def forgiving(function: Callable[..., Any]) -> Callable[..., None]:
    """Counting never breaks what it counts."""

    @wraps(function)
    def safely(*args: Any, **kwargs: Any) -> None:
        with suppress(Exception):
            function(*args, **kwargs)

    return safely
