"""What happened to the business, so that a chart can say why it bends: deploys, campaigns, incidents."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import Q, QuerySet

from analytics.cache import ANNOTATIONS, drop_after_commit
from analytics.filters import EARLIEST, LATEST
from analytics.tenancy import tenant_context
from kpis.catalogue import Catalogue
from kpis.models import Annotation

MAX_SHOWN: Final = 500


class AnnotationError(ValueError):
    """The annotation cannot be saved; `field` names what to change."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownAnnotation(LookupError):
    """The tenant has no annotation of that id."""


@dataclass(frozen=True, slots=True)
class AnnotationView:
    """Something that happened at `at`, or from then until `until`. `metric` is empty for all charts."""

    id: UUID
    at: datetime
    until: datetime | None
    kind: str
    title: str
    text: str
    url: str
    metric: str
    author: str


def annotations_between(
    *, tenant_id: int, start: datetime, end: datetime, kinds: Collection[str] = (), metric: str = ""
) -> tuple[AnnotationView, ...]:
    """What touches [start, end), earliest first: of these kinds, and for a metric only what concerns it or all."""
    with tenant_context(tenant_id):
        found = annotations_matching(tenant_id=tenant_id, start=start, end=end, kinds=kinds, metric=metric)
        return tuple(annotation_view(row) for row in found.order_by("at", "id")[:MAX_SHOWN])


def annotations_matching(
    *,
    tenant_id: int,
    start: datetime | None = None,
    end: datetime | None = None,
    kinds: Collection[str] = (),
    metric: str = "",
) -> QuerySet[Annotation]:
    """The rows, unordered, within the tenant that is set."""
    rows = Annotation.objects.filter(tenant_id=tenant_id)
    if end is not None:
        rows = rows.filter(at__lt=end)
    if start is not None:
        rows = rows.filter(Q(at__gte=start) | Q(until__gte=start))
    if kinds:
        rows = rows.filter(kind__in=list(kinds))
    return rows.filter(metric__in=["", metric]) if metric else rows


def annotation_view(row: Annotation) -> AnnotationView:
    return AnnotationView(row.pk, row.at, row.until, row.kind, row.title, row.text, row.url, row.metric, row.author)


def annotation_row(*, tenant_id: int, annotation_id: UUID) -> Annotation:
    """The row, within the tenant that is set. Raises UnknownAnnotation."""
    row = Annotation.objects.filter(tenant_id=tenant_id, pk=annotation_id).first()
    if row is None:
        raise UnknownAnnotation("There is no such annotation.")
    return row


def annotation_add(*, tenant_id: int, said: Mapping[str, Any], author: str, now: datetime) -> Annotation:
    """Write something down; `at` is now where it is left out. Raises AnnotationError."""
    with tenant_context(tenant_id):
        row = Annotation(tenant_id=tenant_id, author=author, created_at=now, **{"at": now, **said})
        annotation_check(row)
        row.save(force_insert=True)
        drop_after_commit(ANNOTATIONS, tenant_id=tenant_id)
        return row


def annotation_change(*, tenant_id: int, annotation_id: UUID, changes: Mapping[str, Any]) -> Annotation:
    """Change some of it. Raises UnknownAnnotation, AnnotationError."""
    with tenant_context(tenant_id):
        row = annotation_row(tenant_id=tenant_id, annotation_id=annotation_id)
        for name, value in changes.items():
            setattr(row, name, value)
        annotation_check(row)
        row.save()
        drop_after_commit(ANNOTATIONS, tenant_id=tenant_id)
        return row


def annotation_delete(*, tenant_id: int, annotation_id: UUID) -> None:
    """Take it away. Raises UnknownAnnotation."""
    with tenant_context(tenant_id):
        annotation_row(tenant_id=tenant_id, annotation_id=annotation_id).delete()
        drop_after_commit(ANNOTATIONS, tenant_id=tenant_id)


def annotation_check(row: Annotation) -> None:
    """Raise AnnotationError unless it can be saved, within the tenant that is set."""
    if not row.title.strip():
        raise AnnotationError("Say in a few words what happened.", "title")
    if row.kind not in Annotation.Kind.values:
        raise AnnotationError(f"`kind` is one of {', '.join(Annotation.Kind.values)}.", "kind")
    for field in ("at", "until"):
        instant = getattr(row, field)
        if instant is not None and not EARLIEST <= instant < LATEST:
            raise AnnotationError(f"`{field}` lies between the years 1970 and {LATEST.year}.", field)
    if row.until is not None and row.until < row.at:
        raise AnnotationError("`until` is before `at`.", "until")
    if row.url and urlsplit(row.url).scheme not in ("http", "https"):
        raise AnnotationError("A link begins with https:// or http://.", "url")
    if row.metric and row.metric not in set(Catalogue(row.tenant_id)):
        raise AnnotationError(f"There is no metric {row.metric}.", "metric")
