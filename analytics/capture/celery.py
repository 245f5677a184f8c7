"""Carries the surroundings of a request into the tasks it sends, and clears them when a task ends.

A worker's child runs one task after another in one thread: without the clearing, a task without a tenant would
inherit the tenant of the task before it.
"""

from __future__ import annotations

from typing import Any

from celery import signals

from analytics.capture.context import NOBODY, act_as, acting_now, actor_from, headers_from

HEADER = "bellwether"


def connect() -> None:
    """Listens to Celery's signals; repeating it is harmless."""
    signals.before_task_publish.connect(_pack, weak=False, dispatch_uid="bellwether.pack")
    signals.task_prerun.connect(_unpack, weak=False, dispatch_uid="bellwether.unpack")
    signals.task_postrun.connect(_clear, weak=False, dispatch_uid="bellwether.clear")


def _pack(*, headers: dict[str, Any] | None = None, **_kwargs: Any) -> None:
    packed = headers_from(acting_now())
    if headers is not None and packed:
        headers[HEADER] = packed


def _unpack(*, task: Any = None, **_kwargs: Any) -> None:
    if not _is_eager(task):
        act_as(actor_from(_carried(task)))


def _clear(*, task: Any = None, **_kwargs: Any) -> None:
    if not _is_eager(task):
        act_as(NOBODY)


def _is_eager(task: Any) -> bool:
    """An eager task runs inside its caller, whose surroundings it shares and must not clear."""
    return bool(getattr(getattr(task, "request", None), "is_eager", False))


def _carried(task: Any) -> dict[str, Any] | None:
    request = getattr(task, "request", None)
    found = getattr(request, HEADER, None) or (getattr(request, "headers", None) or {}).get(HEADER)
    return found if isinstance(found, dict) else None
