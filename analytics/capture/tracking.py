"""Capture from Python code: one line where something happens.

    track("order_completed", user=request.user, value=Decimal("19.90"), currency="EUR", object=order)

Inside `transaction.atomic` on the analytics database the event is written in the caller's own transaction, behind a
savepoint: both commit or neither does. Elsewhere it waits in the process's writer queue, at most 250 ms. Nothing here
ever raises into the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import connections, transaction
from django.db.models import Model
from django.utils import timezone

from analytics.capture import recording
from analytics.capture.context import Acting, acting_now, request_now
from analytics.capture.faults import dropped, fault_note, guarded
from analytics.capture.options import capture_options
from analytics.capture.outlet import Message, outlet
from analytics.capture.visits import user_of
from analytics.contracts import Source
from analytics.ids import uuid7

ObjectRef = Model | tuple[str, Any]


def track(
    event: str,
    *,
    user: Any = None,
    value: Decimal | float | None = None,
    currency: str | None = None,
    object: ObjectRef | None = None,
    properties: Mapping[str, Any] | None = None,
    timestamp: datetime | None = None,
    event_id: str | None = None,
    tenant: str | None = None,
    source: Source = Source.MANUAL,
    using: str | None = None,
) -> None:
    """Records that something happened.

    `user` is a user, a primary key or any distinct id; left out, it is whoever acts now. `value` is a plain number, or
    money in major units when `currency` is given. `object` is a model instance or a pair (type, id). The same
    `event_id` twice is one event. `using` is the database whose transaction to join (default: ANALYTICS_DATABASE).
    """
    with guarded("track"):
        told = told_properties(properties, value=value, currency=currency, object=object)
        message = event_message(event, user=user, properties=told, timestamp=timestamp, event_id=event_id)
        send([message], tenant=tenant, source=source, using=using)


def identify(user: Any, traits: Mapping[str, Any] | None = None, *, once: Mapping[str, Any] | None = None) -> None:
    """Says who the visitor is: links the anonymous id of this request to the user and sets traits of the person."""
    with guarded("identify"):
        anonymous = acting_now().anonymous_id
        told: dict[str, Any] = {"$set": dict(traits or {}), "$set_once": dict(once or {})}
        if anonymous:
            told["$anon_distinct_id"] = anonymous
        send([event_message("$identify", user=user, properties=told)])


def alias(previous: Any, user: Any) -> None:
    """Says that two distinct ids are one person."""
    with guarded("alias"):
        send([event_message("$create_alias", user=user, properties={"alias": distinct_id_of(previous)})])


def group(kind: str, key: Any, traits: Mapping[str, Any] | None = None) -> None:
    """Sets traits of a company, team or other group."""
    with guarded("group"):
        told = {"$group_type": kind, "$group_key": str(key), "$group_set": dict(traits or {})}
        send([event_message("$groupidentify", user=f"group_{kind}_{key}", properties=told)])


def told_properties(
    properties: Mapping[str, Any] | None,
    *,
    value: Decimal | float | None = None,
    currency: str | None = None,
    object: ObjectRef | None = None,
) -> dict[str, Any]:
    """The arguments of `track` as the properties that every door promotes to columns."""
    return {**(properties or {}), **_worth(value, currency), **_object(object)}


def event_message(
    event: str,
    *,
    user: Any = None,
    properties: dict[str, Any],
    timestamp: datetime | None = None,
    event_id: str | None = None,
) -> dict[str, Any]:
    """The event as every door knows it, with what it inherits from its surroundings."""
    actor = acting_now()
    told = {**actor.tags, **properties} if actor.tags else properties
    if actor.session_id:
        told.setdefault("$session_id", actor.session_id)
    if actor.request_id:
        told.setdefault("request_id", actor.request_id)
    return {
        "event": event,
        "uuid": event_id or str(uuid7()),
        "distinct_id": _whose(user, actor),
        "timestamp": (timestamp or timezone.now()).isoformat(),
        "properties": told,
    }


def send(
    messages: Sequence[dict[str, Any]],
    *,
    tenant: str | None = None,
    source: Source = Source.MANUAL,
    using: str | None = None,
) -> None:
    """Hands messages to the caller's transaction when there is one, else to the process's writer queue."""
    options = capture_options()
    actor = acting_now()
    if not options.enabled or not messages:
        return
    if recording.record(messages):
        return
    slug = tenant or actor.tenant or _tenant_of_host()
    if not slug:
        dropped("no_tenant", len(messages))
        return
    batch = [Message(slug, source, message) for message in messages]
    alias_ = using or options.database
    if not connections[alias_].in_atomic_block:
        outlet.put(batch)
    elif alias_ != options.database or not _joined(batch, alias_):
        transaction.on_commit(partial(outlet.put, batch), using=alias_, robust=True)


def distinct_id_of(user: Any) -> str | None:
    """The distinct id that a user, a primary key or a string stands for; None for an anonymous user."""
    if user is None or getattr(user, "is_anonymous", False):
        return None
    return str(getattr(user, "pk", user))


def _joined(batch: list[Message], alias: str) -> bool:
    """Writes in the caller's transaction; False (and all undone) when that was not possible."""
    from analytics.capture.joining import join

    try:
        join(batch, alias)
    except Exception:
        fault_note("transaction")
        return False
    return True


def _tenant_of_host() -> str | None:
    named = capture_options().tenant
    return named(None) if callable(named) else named or None


def _whose(user: Any, actor: Acting) -> str | None:
    """The named user, else who acts: the request's user as far as it is loaded (no query is made), else the visitor."""
    named = distinct_id_of(user) or actor.distinct_id
    if named:
        return named
    request = request_now.get()
    return (user_of(request, actor.login) if request else None) or actor.anonymous_id


def _worth(value: Decimal | float | None, currency: str | None) -> dict[str, Any]:
    if value is None:
        return {}
    if currency is None:
        return {"value": float(value)}
    return {"value": str(value), "currency": currency}


def _object(reference: ObjectRef | None) -> dict[str, Any]:
    if reference is None:
        return {}
    if isinstance(reference, tuple):
        return {"object_type": reference[0], "object_id": str(reference[1])}
    return {"object_type": reference._meta.model_name, "object_id": str(reference.pk)}
