"""Celery as a doorbell: a message carries an id, the work lies in PostgreSQL, losing or repeating one is harmless."""

from __future__ import annotations

import gc
import os
import time
import warnings
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from celery import Celery
from celery.signals import (
    beat_init,
    before_task_publish,
    heartbeat_sent,
    task_failure,
    task_postrun,
    task_prerun,
    task_retry,
    worker_init,
    worker_ready,
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Root in a container is the caller's choice; the danger that Celery warns of is pickle, which is not accepted.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

HEARTBEAT_KEY = "bellwether:heartbeat:worker"
BEAT_KEY = "bellwether:heartbeat:beat"
BEAT_SECONDS = 10.0


def broker_url(url: str) -> str:
    """The address as kombu spells it: another scheme for unix sockets, another name for the database's number."""
    if not url.startswith(("unix://", "redis+socket://")):
        return url
    parts = urlsplit(url)
    database = parse_qs(parts.query).get("db", ["0"])[0]
    password = f":{parts.password}@" if parts.password else ""
    return f"redis+socket://{password}{unquote(parts.path)}?virtual_host={database}"


app = Celery("bellwether")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.on_after_configure.connect
def _harden(sender: Celery, **kwargs: Any) -> None:
    sender.conf.update(broker_url=broker_url(str(sender.conf.broker_url)))


app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    worker_redirect_stdouts=False,  # it makes a line of the log of each piece of a trace back, every caret its own
    result_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=True,  # leases make the repeat safe
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # for ever: a restarted Redis must not strand the worker
    broker_transport_options={
        "visibility_timeout": 300,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "health_check_interval": 10,
    },
    task_publish_retry=True,
    task_publish_retry_policy={"max_retries": 2, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2},
    task_default_queue="bellwether",
    task_soft_time_limit=3300,
    task_time_limit=3600,
    timezone="UTC",
    enable_utc=True,
    beat_max_loop_interval=5,
    worker_max_memory_per_child=400_000,  # kilobytes: a leak costs a restart, not the machine
)


@worker_init.connect
@beat_init.connect
def _refuse_unbound_roles(**kwargs: Any) -> None:
    """No work for a database role that could look past row-level security."""
    from config.boot import refuse_unbound_roles

    refuse_unbound_roles()


@worker_init.connect
def _freeze_what_is_loaded(**kwargs: Any) -> None:
    """Looked through by no child again: a collection of garbage would copy every page shared with the parent."""
    gc.collect()
    gc.freeze()


@worker_ready.connect
@heartbeat_sent.connect
def _beat_heart(**kwargs: Any) -> None:
    """The worker says that it lives, for `/health/ready`; a Redis that is away is nothing to fail for."""
    _say_alive(HEARTBEAT_KEY)


_beat_said = 0.0


@before_task_publish.connect
def _beat_beats(**kwargs: Any) -> None:
    """The scheduler publishes every few seconds, and by that shows that it lives."""
    global _beat_said
    if _is_beat and time.monotonic() - _beat_said > BEAT_SECONDS:
        _beat_said = time.monotonic()
        _say_alive(BEAT_KEY)


_is_beat = False


@beat_init.connect
def _be_beat(**kwargs: Any) -> None:
    global _is_beat
    _is_beat = True
    _say_alive(BEAT_KEY)


def _say_alive(key: str) -> None:
    from django.conf import settings

    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
            client.set(key, int(time.time()))
    except redis.RedisError:
        return


# --- Which request a task goes back to, and how long it took ---------------------------------------------------------

_running: dict[str, tuple[float, AbstractContextManager[None]]] = {}


@before_task_publish.connect
def _send_request_id(headers: dict[str, Any] | None = None, **kwargs: Any) -> None:
    from analytics.trace import request_id

    if headers is not None and request_id():
        headers.setdefault("bellwether_request_id", request_id())


@task_prerun.connect
def _begin(task_id: str = "", task: Any = None, **kwargs: Any) -> None:
    from analytics.trace import accepted, traced

    offered = str(getattr(task.request, "bellwether_request_id", "") or "")
    context = traced(accepted(offered) if offered else "")
    context.__enter__()
    _running[task_id] = (time.perf_counter(), context)


@task_postrun.connect
def _end(task_id: str = "", task: Any = None, state: str | None = "", **kwargs: Any) -> None:
    began, context = _running.pop(task_id, (None, None))
    if context is not None:
        context.__exit__(None, None, None)
    if state == "SUCCESS":
        _told(task, "done", None if began is None else time.perf_counter() - began)


@task_failure.connect
def _failed(sender: Any = None, **kwargs: Any) -> None:
    _told(sender, "failed", None)


@task_retry.connect
def _retried(sender: Any = None, **kwargs: Any) -> None:
    _told(sender, "retried", None)


def _told(task: Any, state: str, seconds: float | None) -> None:
    from config import telemetry

    telemetry.forgiving(telemetry.task_ended)(telemetry.task_named(str(task.name), app.tasks), state, seconds)
