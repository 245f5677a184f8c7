"""Listens to Django's model and login signals on behalf of the registry.

A model's former state is read from its row, under the lock that the save is about to take anyway: what an instance
remembers is wrong after a rollback, and two processes that both saw "pending" would tell the same transition twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth import signals as auth_signals
from django.db import connections, transaction
from django.db.models import Model
from django.db.models import signals as model_signals

from analytics.capture import visits
from analytics.capture.context import acting_now
from analytics.capture.faults import guarded
from analytics.capture.options import capture_options
from analytics.capture.registry import TrackedModel, tracked_model
from analytics.capture.tracking import event_message, identify, send, told_properties, track
from analytics.contracts import Source

BEFORE = "_bellwether_before"


def connect_model(model: type[Model]) -> None:
    """Only registered models are listened to: a listener for all would end Django's fast deletes everywhere."""
    for signal, receiver in (
        (model_signals.pre_save, _before_save),
        (model_signals.post_save, _after_save),
        (model_signals.post_delete, _after_delete),
    ):
        signal.connect(receiver, sender=model, weak=False, dispatch_uid=f"bellwether.{model._meta.label}")


def disconnect_model(model: type[Model]) -> None:
    """Stops listening; for tests."""
    for signal in (model_signals.pre_save, model_signals.post_save, model_signals.post_delete):
        signal.disconnect(sender=model, dispatch_uid=f"bellwether.{model._meta.label}")


def connect_logins() -> None:
    """Login, logout and failed login of django.contrib.auth."""
    auth_signals.user_logged_in.connect(_logged_in, weak=False, dispatch_uid="bellwether.logged_in")
    auth_signals.user_logged_out.connect(_logged_out, weak=False, dispatch_uid="bellwether.logged_out")
    auth_signals.user_login_failed.connect(_login_failed, weak=False, dispatch_uid="bellwether.login_failed")


def tell(declared: TrackedModel, told: Iterable[tuple[str, Model]], using: str) -> None:
    """Sends the named events of instances, in one batch a tenant, in the caller's transaction if there is one."""
    batches: dict[str | None, list[dict[str, Any]]] = {}
    for name, instance in told:
        with guarded("signal"):
            details = dict(declared.event(instance))
            batches.setdefault(details.pop("tenant", None), []).append(_message(name, instance, details))
    for tenant, messages in batches.items():
        send(messages, tenant=tenant, source=Source.SIGNAL, using=using)


def rows_before(declared: TrackedModel, keys: Iterable[Any], using: str) -> Mapping[Any, Mapping[str, Any]]:
    """The watched attributes of rows as they are now, by primary key, locked when a transaction is open."""
    rows = declared.model._base_manager.using(using).filter(pk__in=list(keys))
    if not connections[using].in_atomic_block:
        return {row.pop("pk"): row for row in rows.values("pk", *declared.watched)}
    with transaction.atomic(using=using):
        if connections[using].vendor == "postgresql":
            rows = rows.select_for_update(no_key=True)
        return {row.pop("pk"): row for row in rows.order_by("pk").values("pk", *declared.watched)}


def _message(name: str, instance: Model, details: dict[str, Any]) -> dict[str, Any]:
    properties = told_properties(
        details.pop("properties", None),
        value=details.pop("value", None),
        currency=details.pop("currency", None),
        object=details.pop("object", instance),
    )
    return event_message(name, properties=properties, **details)


def _before_save(
    sender: type[Model],
    instance: Model,
    raw: bool = False,
    using: str = "default",
    update_fields: frozenset[str] | None = None,
    **_kwargs: Any,
) -> None:
    with guarded("signal"):
        instance.__dict__.pop(BEFORE, None)
        declared = tracked_model(sender)
        if raw or declared is None or not _may_change(declared, instance, update_fields):
            return
        instance.__dict__[BEFORE] = rows_before(declared, [instance.pk], using).get(instance.pk, {})


def _may_change(declared: TrackedModel, instance: Model, update_fields: frozenset[str] | None) -> bool:
    is_new = instance.pk is None or (instance._state.adding and instance._meta.pk.has_default())
    if is_new or not declared.on_change:
        return False
    return update_fields is None or bool(update_fields.intersection({*declared.on_change, *declared.watched}))


def _after_save(
    sender: type[Model], instance: Model, created: bool, raw: bool = False, using: str = "default", **_kwargs: Any
) -> None:
    with guarded("signal"):
        before = instance.__dict__.pop(BEFORE, None)
        declared = tracked_model(sender)
        if raw or declared is None:
            return
        if created:
            names = declared.created(instance)
        else:
            names = declared.updated(instance, before)
        tell(declared, [(name, instance) for name in names], using)


def _after_delete(sender: type[Model], instance: Model, using: str = "default", **_kwargs: Any) -> None:
    with guarded("signal"):
        declared = tracked_model(sender)
        if declared is not None:
            tell(declared, [(name, instance) for name in declared.deleted(instance)], using)


def _logged_in(user: Any = None, **_kwargs: Any) -> None:
    with guarded("signal"):
        if not _is_meant():
            return
        if acting_now().anonymous_id:
            identify(user)
        track("logged_in", user=user, source=Source.SIGNAL)


def _logged_out(user: Any = None, **_kwargs: Any) -> None:
    with guarded("signal"):
        visits.user_forget(acting_now().login)
        if user is not None and _is_meant():
            track("logged_out", user=user, source=Source.SIGNAL)


def _login_failed(**_kwargs: Any) -> None:
    """What was typed stays out: it may be another person's name, or a password in the wrong field."""
    with guarded("signal"):
        if _is_meant():
            track("login_failed", properties={"reason": "invalid_credentials"}, source=Source.SIGNAL)


def _is_meant() -> bool:
    """Did anybody say whose sign-ins these are? Where nobody did (Bellwether by itself), nothing is lost."""
    return bool(capture_options().tenant or acting_now().tenant)
