"""Is it alive, does everything work, and what exactly does not?

/health/live    the process answers; asks nothing else
/health/ready   200 when PostgreSQL, Redis, the migrations and the worker are well, else 503; parts named either way
/health/        the same and more, with figures: healthy, or degraded and why; for staff, secret keys and IP_ALLOWLIST
/metrics        what Prometheus reads, for METRICS_TOKEN and this machine itself
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.db.migrations.recorder import MigrationRecorder
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import figures
from config.allowed import is_listed, is_loopback
from config.figures import query, redis_client

PROBE_SECONDS = 2.0
HEARTBEAT_SECONDS = 60
ROLLUP_SECONDS = 60
PARTITION_DAYS = 28

# Probes run apart, so that a server that is frozen rather than gone cannot freeze the answer.
_probes = ThreadPoolExecutor(max_workers=12, thread_name_prefix="health")


class Unwell(Exception):
    """A part does not work; the text says so without secrets."""


def postgres() -> str:
    """Version of the server that answered a query."""
    return str(query("SHOW server_version")[0][0])


def redis_server() -> str:
    """`PONG`, from Redis itself."""
    with redis_client(PROBE_SECONDS) as client:
        client.ping()
    return "answers"


def migrations() -> str:
    """How many migrations are applied. Raises Unwell while the code brings ones that are not."""
    from django.db.migrations.loader import MigrationLoader

    expected = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)
    applied = set(query(f"SELECT app, name FROM {MigrationRecorder.Migration._meta.db_table}"))
    if missing := expected - applied:
        raise Unwell(f"{len(missing)} migrations to apply: run manage.py migrate")
    return f"{len(applied)} applied"


def worker() -> str:
    """Age of the last sign of life. Before the first one (or after a FLUSHALL) there is nothing to say."""
    return _alive(figures.WORKER_KEY)


def beat() -> str:
    """Age of the scheduler's last sign of life."""
    return _alive(figures.BEAT_KEY)


def _alive(key: str) -> str:
    age = figures.heartbeat_age(key, now=time.time())
    if age is None:
        return "none seen yet"
    if age > HEARTBEAT_SECONDS:
        raise Unwell(f"no sign of life for {age:.0f} s")
    return f"seen {age:.0f} s ago"


def jobs() -> str:
    """Jobs that nobody runs although they are due."""
    found = figures.figures_lately()
    if found.jobs_stuck or found.jobs_late:
        raise Unwell(f"{found.jobs_late} are due for five minutes, {found.jobs_stuck} lost their worker")
    return f"{found.jobs.get('running', 0)} run, {found.jobs.get('queued', 0)} wait"


def rollup() -> str:
    """How far counting is behind."""
    found = figures.figures_lately()
    if found.dirty_seconds > ROLLUP_SECONDS:
        raise Unwell(f"the oldest event waits {found.dirty_seconds:.0f} s to be counted")
    return f"{found.dirty_seconds:.0f} s behind, {found.dirty_marks} marks"


def partitions() -> str:
    """How many days ahead events have a partition."""
    days = figures.partition_lead_days(datetime.now(UTC).date())
    if days < PARTITION_DAYS:
        raise Unwell(f"partitions reach {days} days ahead: run manage.py partitions ensure")
    return f"{days} days ahead"


def cache() -> str:
    """How often answers were known."""
    from analytics.cache.status import cache_status

    found = cache_status(now=datetime.now(UTC))
    if not found.is_enabled:
        return "switched off"
    if found.is_away:
        raise Unwell("Redis is away, every answer is worked out anew")
    return f"{found.all.percent} % of {found.all.total} answers known"


PARTS: dict[str, Callable[[], str]] = {
    "postgres": postgres,
    "redis": redis_server,
    "migrations": migrations,
    "worker": worker,
}
"""Without these nothing works."""
MORE: dict[str, Callable[[], str]] = {
    "beat": beat,
    "jobs": jobs,
    "rollup": rollup,
    "partitions": partitions,
    "cache": cache,
}
"""Without these it works, and somebody should look."""


def examine(parts: Mapping[str, Callable[[], str]] = PARTS) -> tuple[bool, dict[str, dict[str, Any]]]:
    """Every part at once, each within two seconds: (all well, {part: {ok, detail}})."""
    asked = {name: _probes.submit(probe) for name, probe in parts.items()}
    deadline = time.monotonic() + PROBE_SECONDS + 0.5
    found = {name: _outcome(answer, deadline) for name, answer in asked.items()}
    return all(part["ok"] for part in found.values()), found


def _outcome(answer: Future[str], deadline: float) -> dict[str, Any]:
    try:
        return {"ok": True, "detail": answer.result(max(deadline - time.monotonic(), 0))}
    except Unwell as error:
        return {"ok": False, "detail": str(error)}
    except FutureTimeout:
        answer.cancel()
        return {"ok": False, "detail": "no answer in time"}
    except (psycopg.Error, redis.RedisError, OSError):
        return {"ok": False, "detail": "unreachable"}  # the library's text may name hosts and roles


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    is_well, parts = examine()
    shown = {name: "ok" if part["ok"] else part["detail"] for name, part in parts.items()}
    return JsonResponse({"status": "ok" if is_well else "unwell", "parts": shown}, status=200 if is_well else 503)


@never_cache
@require_safe
def detailed(request: HttpRequest) -> JsonResponse:
    if not _may_see(request):
        body = {"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "not_authenticated"}
        return JsonResponse(
            body, status=401, headers={"WWW-Authenticate": "Bearer"}, content_type="application/problem+json"
        )
    is_well, parts = examine(PARTS | MORE)
    body = {
        "status": "healthy" if is_well else "degraded",
        "time": datetime.now(UTC).isoformat(),
        "parts": parts,
    }
    return JsonResponse(body, status=200 if all(parts[name]["ok"] for name in PARTS) else 503)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus. Whoever may not read them finds nothing here."""
    if not _may_scrape(request):
        raise Http404
    from config.telemetry import exposition

    return HttpResponse(exposition(figures.DomainCollector()), content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_scrape(request: HttpRequest) -> bool:
    offered = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if settings.METRICS_TOKEN:
        return secrets.compare_digest(offered.encode(), settings.METRICS_TOKEN.encode())
    return is_loopback(request) or is_listed(request)


def _may_see(request: HttpRequest) -> bool:
    if is_listed(request) or (request.user.is_authenticated and request.user.is_staff):
        return True
    return _has_secret_key(request)


def _has_secret_key(request: HttpRequest) -> bool:
    from rest_framework.exceptions import APIException
    from rest_framework.request import Request

    from analytics.access.authentication import ApiKeyAuthentication

    try:
        found = ApiKeyAuthentication().authenticate(Request(request))
    except APIException:
        return False
    return found is not None and getattr(found[1], "kind", "") == "sk"


urlpatterns = [
    path("live", live, name="health-live"),
    path("ready", ready, name="health-ready"),
    path("", detailed, name="health"),
]
