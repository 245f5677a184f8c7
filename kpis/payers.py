"""Who pays, and for what: rankings that no roll-up holds, read from the events of a range."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kpis.mapping import rows_named

SETTLED: Final = ("payment_settled",)
SOLD: Final = ("item_purchased",)
ACCESSED: Final = ("product_viewed", "event_viewed", "listing_viewed", "event_joined", "stream_started")

# A person is the smallest subject of all its ids, so that a merge counts at once.
CUSTOMERS: Final = """
SELECT s.person_id, count(*), coalesce(sum(e.amount_base), 0), min(e.ts), max(e.ts)
  FROM bw_event e JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
 WHERE e.tenant_id = %(tenant)s AND e.ts >= %(start)s AND e.ts < %(end)s AND e.name = ANY(%(names)s)
   AND NOT e.is_bot AND NOT e.is_internal
 GROUP BY s.person_id
 ORDER BY 3 DESC, 2 DESC, s.person_id
 LIMIT %(limit)s
"""

RESOURCES: Final = """
SELECT coalesce(object_type, ''), object_id,
       count(*) FILTER (WHERE name = ANY(%(accessed)s)),
       count(*) FILTER (WHERE name = ANY(%(sold)s)),
       coalesce(sum(amount_base) FILTER (WHERE name = ANY(%(sold)s)), 0)
  FROM bw_event
 WHERE tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(end)s AND object_id IS NOT NULL
   AND name = ANY(%(accessed)s::text[] || %(sold)s::text[]) AND NOT is_bot AND NOT is_internal
 GROUP BY 1, 2
 ORDER BY 5 DESC, 4 DESC, 3 DESC, 2, 1
 LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Customer:
    """A person's settled payments in the range; `volume` is in minor units of the base currency."""

    person: int
    payments: int
    volume: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Resource:
    """A thing people open and buy; `revenue` is in minor units of the base currency."""

    type: str
    id: str
    accesses: int
    sold: int
    revenue: int


def customers_top(*, tenant_id: int, start: datetime, end: datetime, limit: int) -> list[Customer]:
    """The people who paid most in [start, end)."""
    names = {"names": SETTLED}
    rows, _ = rows_named(tenant_id=tenant_id, query=CUSTOMERS, names=names, start=start, end=end, limit=limit)
    return [Customer(person, payments, int(volume), first, last) for person, payments, volume, first, last in rows]


def resources_top(*, tenant_id: int, start: datetime, end: datetime, limit: int) -> list[Resource]:
    """What sold for most in [start, end), then what was opened most."""
    names = {"accessed": ACCESSED, "sold": SOLD}
    rows, _ = rows_named(tenant_id=tenant_id, query=RESOURCES, names=names, start=start, end=end, limit=limit)
    return [Resource(type_, id_, accesses, sold, int(revenue)) for type_, id_, accesses, sold, revenue in rows]
