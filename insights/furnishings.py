"""What a demo tenant has of customers: snapshots of the last weeks, as the nightly job would have taken them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from analytics.demo.furnishing import Furnishing, Room, furnishings

NEWEST: Final = (0, 4)
EARLIER: Final = (1, 2, 3, 8)
"""Weeks before yesterday. The newest and the one it is compared with come first: people look at them at once."""
FEWEST_DAYS: Final = 14
KEPT: Final = (("At risk", "Bought often and lately no more."), ("Champions", "The best of all customers."))


def snapshots_put(room: Room, weeks: Sequence[int]) -> None:
    """Of yesterday less so many weeks; those that are there stay, but for the newest: it may be of half the events."""
    from insights.customers.services import NobodyBought, snapshot_take
    from insights.selectors import snapshots_list

    seen = set(snapshots_list(tenant_id=room.tenant.id))
    for week in weeks:
        number = room.days_told - 1 - 7 * week
        if number < FEWEST_DAYS or (week and room.day(number) in seen):
            continue
        try:
            snapshot_take(
                tenant_id=room.tenant.id,
                taken_on=room.day(number),
                now=room.now,
                progress=lambda done, total: room.still_here(),
            )
        except NobodyBought:
            return


def segments_put(room: Room) -> None:
    """Two of the customers' segments, kept as people."""
    from analytics.tenancy import tenant_context
    from insights.selectors import snapshots_list
    from kpis.models import PeopleSegment
    from kpis.segments.services import segment_create

    if not snapshots_list(tenant_id=room.tenant.id):
        return
    for name, description in KEPT:
        with tenant_context(room.tenant.id):
            if PeopleSegment.objects.filter(tenant_id=room.tenant.id, name=name).exists():
                continue
        segment_create(
            tenant=room.tenant,
            name=name,
            description=description,
            source="customers",
            definition={"segment": name},
            now=room.now,
            created_by="Demo",
        )


furnishings.register(Furnishing("customers", partial(snapshots_put, weeks=NEWEST)))
furnishings.register(Furnishing("customer segments", segments_put))
furnishings.register(Furnishing("earlier customers", partial(snapshots_put, weeks=EARLIER)))
