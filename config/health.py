"""Is it alive, does everything work, and what exactly does not?

/health/live    the process answers; asks nothing else
/health/ready   200 when PostgreSQL, Redis, the migrations and the worker are well, else 503; parts named either way
/health/        the same with versions and figures, for staff and secret keys
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.celery import HEARTBEAT_KEY

PROBE_SECONDS = 2.0
HEARTBEAT_SECONDS = 60

# Probes run apart, so that a server that is frozen rather than gone cannot freeze the answer.
_probes = ThreadPoolExecutor(max_workers=12, thread_name_prefix="health")


class Unwell(Exception):
    """A part does not work; the text says so without secrets."""


def _query(statement: str) -> list[Any]:
    """Rows from a connection of its own: pooled ones may be stuck where the probe must not be."""
    parameters = connections["default"].get_connection_params()
    known = {key: parameters[key] for key in ("dbname", "user", "password", "host", "port") if parameters.get(key)}
    with psycopg.connect(**known, connect_timeout=2, application_name="bellwether-health") as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload, no-any-return, unused-ignore]


def postgres() -> str:
    """Version of the server that answered a query."""
    return str(_query("SHOW server_version")[0][0])


def redis_server() -> str:
    """`PONG`, from Redis itself."""
    with _redis() as client:
        client.ping()
    return "answers"


def migrations() -> str:
    """How many migrations are applied. Raises Unwell while the code brings ones that are not."""
    from django.db.migrations.loader import MigrationLoader

    expected = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)
    applied = set(_query(f"SELECT app, name FROM {MigrationRecorder.Migration._meta.db_table}"))
    if missing := expected - applied:
        raise Unwell(f"{len(missing)} migrations to apply: run manage.py migrate")
    return f"{len(applied)} applied"


def worker() -> str:
    """Age of the last sign of life. Before the first one (or after a FLUSHALL) there is nothing to say."""
    with _redis() as client:
        seen: Any = client.get(HEARTBEAT_KEY)
    if seen is None:
        return "none seen yet"
    age = time.time() - int(seen)
    if age > HEARTBEAT_SECONDS:
        raise Unwell(f"no sign of life for {age:.0f} s")
    return f"seen {max(age, 0):.0f} s ago"


PARTS: dict[str, Callable[[], str]] = {
    "postgres": postgres,
    "redis": redis_server,
    "migrations": migrations,
    "worker": worker,
}


def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=PROBE_SECONDS, socket_connect_timeout=PROBE_SECONDS)


def examine() -> tuple[bool, dict[str, dict[str, Any]]]:
    """Every part at once, each within two seconds: (all well, {part: {ok, detail}})."""
    asked = {name: _probes.submit(probe) for name, probe in PARTS.items()}
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
    is_well, parts = examine()
    return JsonResponse({"status": "ok" if is_well else "unwell", "parts": parts}, status=200 if is_well else 503)


def _may_see(request: HttpRequest) -> bool:
    if request.user.is_authenticated and request.user.is_staff:
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
