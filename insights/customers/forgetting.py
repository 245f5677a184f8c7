"""Takes people who were erased out of what is kept of customers."""

from __future__ import annotations

from collections.abc import Sequence

from pyroaring import BitMap

from analytics.tenancy import tenant_context
from insights.models import CustomerSegment


def person_forget(*, tenant_id: int, people: Sequence[int]) -> None:
    """Out of every segment of every snapshot. Safe to repeat."""
    gone = BitMap(people)
    with tenant_context(tenant_id):
        for row in CustomerSegment.objects.filter(tenant_id=tenant_id).select_for_update():
            members = BitMap.deserialize(bytes(row.members))
            if members & gone:
                row.members = (members - gone).serialize()
                row.size = len(members - gone)
                row.save(update_fields=["members", "size"])
