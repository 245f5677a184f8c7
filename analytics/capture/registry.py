"""Which models tell events: declared once, in an app's `analytics_events.py` or in `AppConfig.ready()`.

register(
    Payment,
    on_create="payment_created",
    on_change={"status": {("pending", "settled"): "payment_settled", (ANY, "failed"): "payment_failed"}},
    event=lambda payment: {"user": payment.payer_id, "value": payment.amount, "currency": payment.currency},
)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Model

from analytics.registry import Registry

Details = Callable[[Any], Mapping[str, Any]]
Name = str | Callable[[Any], str | None]


class _Any:
    """Stands for every value in a transition."""

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = _Any()
Transitions = Mapping[tuple[Any, Any], Name]


def _no_details(_instance: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class TrackedModel:
    """What a model tells. A name may be a callable of the instance; None or empty tells nothing."""

    model: type[Model]
    on_create: Name | None = None
    on_update: Name | None = None
    on_delete: Name | None = None
    on_change: Mapping[str, Transitions] = field(default_factory=dict)
    event: Details = _no_details

    @property
    def watched(self) -> tuple[str, ...]:
        """The attributes whose former values matter (`payer` is watched as `payer_id`)."""
        return tuple(self.model._meta.get_field(name).attname for name in self.on_change)  # type: ignore[union-attr]

    def created(self, instance: Model) -> list[str]:
        """Names of the events that a creation tells. A first value is a transition from None."""
        return _named([self.on_create], instance) + self._changed(instance, {})

    def updated(self, instance: Model, before: Mapping[str, Any] | None) -> list[str]:
        """Names of the events that a save tells, given the watched attributes as they were (None: not known)."""
        return _named([self.on_update], instance) + (self._changed(instance, before) if before else [])

    def deleted(self, instance: Model) -> list[str]:
        """Names of the events that a deletion tells."""
        return _named([self.on_delete], instance)

    def _changed(self, instance: Model, before: Mapping[str, Any]) -> list[str]:
        names: list[Name | None] = []
        for attribute, transitions in zip(self.watched, self.on_change.values(), strict=True):
            if attribute not in instance.__dict__:
                continue  # Deferred, so it was not saved either.
            old, new = before.get(attribute), instance.__dict__[attribute]
            if old != new:
                names.extend(name for step, name in transitions.items() if _fits(step, old, new))
        return _named(names, instance)


tracked_models: Registry[TrackedModel] = Registry(TrackedModel, name=lambda declared: declared.model._meta.label)


def register(
    model: type[Model],
    *,
    on_create: Name | None = None,
    on_update: Name | None = None,
    on_delete: Name | None = None,
    on_change: Mapping[str, Transitions] | None = None,
    event: Details = _no_details,
) -> TrackedModel:
    """Has a model tell events from now on.

    `on_change` maps a field to transitions {(from, to): event name}; either side may be `ANY`. `event` gives the
    arguments of `track` (user, value, currency, object, properties, tenant, timestamp). Raises FieldDoesNotExist for
    an unknown field and RegistryError for a model registered twice.
    """
    from analytics.capture import signals

    declared = TrackedModel(
        model=model,
        on_create=on_create,
        on_update=on_update,
        on_delete=on_delete,
        on_change=on_change or {},
        event=event,
    )
    _ = declared.watched
    tracked_models.register(declared)
    signals.connect_model(model)
    return declared


def tracked_model(model: type[Model]) -> TrackedModel | None:
    """The declaration of a model; a proxy needs one of its own, as Django's signals know it by its own name."""
    return tracked_models.get(model._meta.label)


def _named(names: Iterable[Name | None], instance: Model) -> list[str]:
    told = (name(instance) if callable(name) else name for name in names)
    return [name for name in told if name]


def _fits(step: tuple[Any, Any], old: Any, new: Any) -> bool:
    return all(wanted is ANY or wanted == found for wanted, found in zip(step, (old, new), strict=True))
