"""Bulk operations send no signals in Django; this query set makes up for it on registered models.

    class Payment(models.Model):
        objects = TrackedQuerySet.as_manager()

Covered: `bulk_create` (without conflict options), `update` and `bulk_update`, which Django makes of updates; `delete`
sends signals anyway. The rows and their events share one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet

from analytics.capture.faults import dropped, guarded
from analytics.capture.registry import TrackedModel, tracked_model
from analytics.capture.signals import rows_before, tell

M = TypeVar("M", bound=Model)


class TrackedQuerySet(QuerySet[M]):
    """Tells the events of bulk operations; a watched update costs two more queries."""

    def bulk_create(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> list[M]:
        """As Django's. With `ignore_conflicts` or `update_conflicts` nobody knows what was new: counted, not told."""
        declared = tracked_model(self.model)
        if declared is None:
            return super().bulk_create(objs, *args, **kwargs)
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            if kwargs.get("ignore_conflicts") or kwargs.get("update_conflicts"):
                dropped("bulk_create_with_conflicts", len(created))
            else:
                _tell(declared, created, None, self.db)
        return created

    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def update(self, **kwargs: Any) -> int:
        """As Django's; the rows are read before and after when the declaration listens to what changes."""
        declared = tracked_model(self.model)
        if declared is None or not _listens(declared, kwargs):
            return super().update(**kwargs)
        with transaction.atomic(using=self.db):
            keys: list[Any] = []
            with guarded("bulk"):
                keys = list(self.order_by("pk").values_list("pk", flat=True)) if not self.query.is_sliced else []
            before = _before(declared, keys, self.db)
            updated = super().update(**kwargs)
            with guarded("bulk"):
                _tell(declared, list(self.model._base_manager.using(self.db).filter(pk__in=keys)), before, self.db)
        return updated

    update.alters_data = True  # type: ignore[attr-defined]


def _listens(declared: TrackedModel, changes: dict[str, Any]) -> bool:
    return bool(declared.on_update) or any(name in changes for name in (*declared.on_change, *declared.watched))


def _before(declared: TrackedModel, keys: list[Any], using: str) -> dict[Any, Any]:
    before: dict[Any, Any] = {}
    with guarded("bulk"):
        before.update(rows_before(declared, keys, using))
    return before


def _tell(declared: TrackedModel, instances: Iterable[Model], before: dict[Any, Any] | None, using: str) -> None:
    """`before` is None for new rows."""
    with guarded("bulk"):
        told: list[tuple[str, Model]] = []
        for instance in instances:
            if before is None:
                names = declared.created(instance)
            else:
                names = declared.updated(instance, before.get(instance.pk))
            told.extend((name, instance) for name in names)
        tell(declared, told, using)
