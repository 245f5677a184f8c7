"""Celery as a doorbell: a message carries an id, the work lies in PostgreSQL, losing or repeating one is harmless."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from celery import Celery
from celery.signals import beat_init, heartbeat_sent, worker_init, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Root in a container is the caller's choice; the danger that Celery warns of is pickle, which is not accepted.
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

HEARTBEAT_KEY = "bellwether:heartbeat:worker"


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


@worker_ready.connect
@heartbeat_sent.connect
def _beat_heart(**kwargs: Any) -> None:
    """The worker says that it lives, for `/health/ready`; a Redis that is away is nothing to fail for."""
    from django.conf import settings

    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
            client.set(HEARTBEAT_KEY, int(time.time()))
    except redis.RedisError:
        return
