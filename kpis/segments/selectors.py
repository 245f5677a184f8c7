"""What is read of kept segments."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pyroaring import BitMap, FrozenBitMap

from analytics.tenancy import tenant_context
from kpis.daily_visitors import DailyVisitors, among
from kpis.explore.grammar import Asking
from kpis.explore.kinds import Known
from kpis.models import PeopleSegment


class NoSegment(LookupError):
    """The tenant has no such segment."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two segments against each other, in people. `share` is both / either (Jaccard 1912); None when both are empty."""

    first: int
    second: int
    both: int
    only_first: int
    only_second: int
    share: float | None


def segments_list(*, tenant_id: int) -> list[PeopleSegment]:
    """All segments by name, without their members."""
    with tenant_context(tenant_id):
        return list(PeopleSegment.objects.filter(tenant_id=tenant_id).defer("members"))


def segment_read(*, tenant_id: int, segment_id: UUID) -> PeopleSegment:
    """One of the tenant's. Raises NoSegment, for another tenant's too."""
    with tenant_context(tenant_id):
        found = PeopleSegment.objects.filter(tenant_id=tenant_id, pk=segment_id).first()
    if found is None:
        raise NoSegment("There is no such segment.")
    return found


def people_of(segment: PeopleSegment) -> BitMap:
    """Its people."""
    return BitMap.deserialize(bytes(segment.members)) if segment.members else BitMap()


def daily_visitors_of(segment: PeopleSegment, asking: Asking) -> DailyVisitors | None:
    """Those of its people who are known for a day only (S35): nothing they did on another day is theirs here."""
    return among(FrozenBitMap(people_of(segment)), Known(asking).daily)


def overlap(first: BitMap, second: BitMap) -> Overlap:
    """How many are in one, the other and both."""
    both, either = first.intersection_cardinality(second), first.union_cardinality(second)
    return Overlap(
        len(first), len(second), both, len(first) - both, len(second) - both, both / either if either else None
    )
