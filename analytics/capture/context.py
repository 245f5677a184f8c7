"""Who is acting right now: carried by a context variable through a request, and by headers into its Celery tasks.

with acting(distinct_id="42", tenant="acme"):
    track("order_completed", value=19.9, currency="EUR")   # belongs to user 42 of acme
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
from django.http import HttpRequest


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """What an event inherits from its surroundings when it does not say so itself."""

    tenant: str | None = None
    distinct_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    login: str | None = None
    request_id: str | None = None
    tags: dict[str, Any] = {}


NOBODY = Acting()
_current: ContextVar[Acting] = ContextVar("bellwether_acting", default=NOBODY)
request_now: ContextVar[HttpRequest | None] = ContextVar("bellwether_request", default=None)


def acting_now() -> Acting:
    """The surroundings of this thread, task or coroutine; `NOBODY` when none were set."""
    return _current.get()


def act_as(actor: Acting) -> None:
    """Sets the surroundings for good; for entry points that own their thread of control (a task, a request)."""
    _current.set(actor)


@contextmanager
def acting(**changes: Any) -> Iterator[Acting]:
    """Changes some of the surroundings for a while and puts the former ones back. `tags` are added to the known."""
    former = _current.get()
    if "tags" in changes:
        changes["tags"] = {**former.tags, **changes["tags"]}
    token = _current.set(msgspec.structs.replace(former, **changes))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def tag(**tags: Any) -> None:
    """Adds properties to every later event of this request or task."""
    former = _current.get()
    _current.set(msgspec.structs.replace(former, tags={**former.tags, **tags}))


def headers_from(actor: Acting) -> dict[str, Any]:
    """The surroundings as JSON-like values, for a message that leaves the process."""
    packed: dict[str, Any] = msgspec.to_builtins(actor, str_keys=True)
    return {name: value for name, value in packed.items() if value not in (None, {})}


def actor_from(headers: Mapping[str, Any] | None) -> Acting:
    """The surroundings that came with a message; `NOBODY` when there are none or they cannot be read."""
    try:
        return msgspec.convert(dict(headers or {}), Acting)
    except (msgspec.ValidationError, TypeError, ValueError):
        return NOBODY
