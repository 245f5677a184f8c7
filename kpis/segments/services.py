"""Keeps sets of people, and asks their questions again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.db import IntegrityError, transaction
from pyroaring import BitMap
from rest_framework.exceptions import ValidationError

from analytics.contracts import TenantInfo
from analytics.lake.errors import LakeError
from analytics.registry import UnknownName
from analytics.selectors import people_erased
from analytics.tenancy import tenant_context
from kpis.models import PeopleSegment
from kpis.segments.sources import Found, sources
from kpis.series.question import QuestionError

MOST: Final = 500
MOST_SIZES: Final = 400
"""Days of which the size is known: a year and a month."""


class SegmentError(ValueError):
    """A segment that cannot be kept; `field` says what of it, the message what would do."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def segment_create(
    *,
    tenant: TenantInfo,
    name: str,
    source: str,
    definition: Mapping[str, Any],
    now: datetime,
    description: str = "",
    is_fixed: bool = False,
    created_by: str = "",
) -> PeopleSegment:
    """Ask the question and keep who answers to it. Raises SegmentError, QuestionError, LakeError."""
    if "\x00" in name or "\x00" in description:
        raise SegmentError("a name has no control characters", "name")
    if source not in sources:
        raise SegmentError(f"a segment comes from {' or '.join(sorted(each.id for each in sources))}", "source")
    found = sources[source].read(tenant, definition, now)
    row = PeopleSegment(
        tenant_id=tenant.id,
        name=name.strip(),
        description=description,
        source=source,
        definition=dict(definition),
        is_fixed=is_fixed,
        created_by=created_by,
        created_at=now,
    )
    with tenant_context(tenant.id):
        _hold(row, found, now)
        if PeopleSegment.objects.filter(tenant_id=tenant.id).count() >= MOST:
            raise SegmentError(f"there are {MOST} segments; delete one first", "name")
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise SegmentError(f"there is a segment {name!r} already; choose another name", "name") from None
    return row


def segment_refresh(*, tenant: TenantInfo, segment: PeopleSegment, now: datetime) -> PeopleSegment:
    """Ask again. When that fails the people of last time stay, and `error` says why."""
    if segment.is_fixed:
        return segment
    try:
        found, problem = sources[segment.source].read(tenant, segment.definition, now), ""
    except (QuestionError, LakeError, UnknownName, ValidationError) as error:
        found, problem = None, str(error)
    with tenant_context(tenant.id):
        # Held before it is known who was erased meanwhile: an erasure comes before us, or waits and then sees the row.
        row = PeopleSegment.objects.select_for_update().filter(tenant_id=tenant.id, pk=segment.pk).first()
        if row is None:
            return segment  # deleted while it was asked
        row.error = problem
        if found is not None:
            _hold(row, found, now)
        row.save(update_fields=["members", "size", "sizes", "as_of", "refreshed_at", "error"])
    return row


def segments_refresh(*, tenant: TenantInfo, now: datetime) -> dict[str, int]:
    """Ask all questions of the tenant again; how many held and how many failed."""
    with tenant_context(tenant.id):
        rows = list(PeopleSegment.objects.filter(tenant_id=tenant.id, is_fixed=False))
    done = [segment_refresh(tenant=tenant, segment=row, now=now) for row in rows]
    failed = sum(bool(row.error) for row in done)
    return {"refreshed": len(done) - failed, "failed": failed}


def people_forget(*, tenant_id: int, people: list[int]) -> None:
    """Take erased people out of every segment: these, and those of an erasure that was cut short. Safe to repeat."""
    with tenant_context(tenant_id):
        gone = BitMap([*people, *people_erased(tenant_id=tenant_id)])
        for row in PeopleSegment.objects.filter(tenant_id=tenant_id).select_for_update():
            held = BitMap.deserialize(bytes(row.members)) if row.members else BitMap()
            if held & gone:
                row.members, row.size = (held - gone).serialize(), len(held - gone)
                row.save(update_fields=["members", "size"])


def _hold(row: PeopleSegment, found: Found, now: datetime) -> None:
    people = BitMap(found.people) - BitMap(people_erased(tenant_id=row.tenant_id))
    row.members, row.size = people.serialize(), len(people)
    row.as_of, row.refreshed_at, row.error = found.as_of, now, ""
    day = now.astimezone(UTC).date().isoformat()
    row.sizes = [*(told for told in row.sizes if told[0] != day), [day, len(people)]][-MOST_SIZES:]
