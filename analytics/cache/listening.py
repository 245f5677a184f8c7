"""What drops answers: news of counted buckets, and changes of rows that answers depend on."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.db.models.signals import post_delete, post_save

from analytics.cache.answers import drop, drop_after_commit
from analytics.cache.lifetimes import METRICS, ROLES, TENANT
from analytics.signals import buckets_refreshed, subject_erased


def listen() -> None:
    """Connect what `analytics` itself knows of. Apps above connect their own rows with `dropped_by`."""
    from analytics.models import ApiKey, Calendar, Membership, Tenant

    buckets_refreshed.connect(_counted, dispatch_uid="bellwether-cache")
    subject_erased.connect(_erased, dispatch_uid="bellwether-cache")
    dropped_by(Membership, ROLES)
    dropped_by(ApiKey, ROLES)
    dropped_by(Calendar, TENANT)
    dropped_by(Tenant, TENANT)


def dropped_by(model: type[Model], *tags: str) -> None:
    """Drop the tags of a row's tenant when it is saved or deleted (not by `update()`, which sends no signal)."""

    def changed(sender: Any, instance: Any, using: str = "default", **kwargs: Any) -> None:
        tenant_id = getattr(instance, "tenant_id", None) or instance.pk
        drop_after_commit(*tags, tenant_id=tenant_id, using=using)

    for signal in (post_save, post_delete):
        signal.connect(changed, sender=model, weak=False, dispatch_uid=f"bellwether-cache-{model._meta.label}")


def _counted(sender: Any, tenant_id: int, **kwargs: Any) -> None:
    drop(METRICS, tenant_id=tenant_id)


def _erased(sender: Any, tenant_id: int, **kwargs: Any) -> None:
    drop(TENANT, tenant_id=tenant_id)
