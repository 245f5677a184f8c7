"""Monthly recurring revenue and its movements, customer by customer (S18).

Read from subscription events: `subscription_started`, `_renewed` and `_changed` say what one interval costs from then
on, `subscription_cancelled` ends it. An interval is `properties.interval` (day, week, month, quarter or year) times
`properties.interval_count`, a month when nothing is said. Discounts that recur belong in the amount; trials cost 0.
What is neither cancelled nor renewed goes on. Amounts are in the base currency at the rate of the event's day.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeAlias

from django.db import connection

from analytics.periods import Granularity
from analytics.tenancy import tenant_context
from kpis.retention import unit_edges
from kpis.series.context import context_read
from kpis.taxonomy import named

MONTHS = {
    "day": Decimal(12) / 365,
    "week": Decimal(12) / 52,
    "month": Decimal(1),
    "quarter": Decimal(3),
    "year": Decimal(12),
}
"""How many months an interval lasts: a year counts a twelfth a month, a week 52 twelfths."""
PRICED = named("subscription_started", "subscription_renewed", "subscription_changed")
ENDED = named("subscription_cancelled")

_EVENTS = """
SELECT s.person_id, coalesce(e.object_id, ''), e.ts, e.name, e.amount_base,
       e.properties ->> 'interval', e.properties ->> 'interval_count'
  FROM bw_event e JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
 WHERE e.tenant_id = %(tenant)s AND e.ts < %(end)s AND e.name = ANY(%(names)s) AND NOT e.is_bot AND NOT e.is_internal
 ORDER BY e.ts, e.id"""

Price: TypeAlias = tuple[int, str, datetime, Decimal]
"""Person, subscription, since when, how much a month."""
Balance: TypeAlias = tuple[dict[int, Decimal], dict[int, Decimal], frozenset[int], datetime, datetime]


@dataclass(frozen=True, slots=True)
class MrrMonth:
    """opening + new + expansion + reactivation − contraction − churn = closing, in whole units of the base currency.

    `customers` pay something at the end of the month; `churned` paid at its start and nothing at its end. A customer
    who comes and goes within one month is in neither.
    """

    start: datetime
    opening: Decimal
    new: Decimal
    expansion: Decimal
    reactivation: Decimal
    contraction: Decimal
    churn: Decimal
    closing: Decimal
    customers: int
    churned: int
    is_complete: bool


def mrr_read(*, tenant_id: int, start: datetime, months: int, now: datetime) -> list[MrrMonth]:
    """The movements of `months` calendar months from the one that holds `start`."""
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        edges = unit_edges(context.calendar, start, Granularity.MONTH, months)
        names = [*PRICED, *ENDED]
        with connection.cursor() as cursor:
            cursor.execute(_EVENTS, {"tenant": tenant_id, "end": edges[-1], "names": names})
            rows = cursor.fetchall()
    unit = Decimal(1).scaleb(-context.exponent)
    prices = [(row[0], row[1], row[2], _monthly(row) * unit) for row in rows]
    return [
        _month(before, after, known, start, is_complete=context.is_settled(start, end))
        for before, after, known, start, end in _balances(prices, edges)
        if start < context.known_until
    ]


def _balances(prices: Iterable[Price], edges: Sequence[datetime]) -> Iterator[Balance]:
    """For each month: what each customer pays at its start and at its end, and who had ever paid before it."""
    paid: dict[int, dict[str, Decimal]] = defaultdict(dict)
    ever: set[int] = set()
    waiting = deque(prices)
    before: dict[int, Decimal] = {}
    for start, end in pairwise([datetime.min.replace(tzinfo=UTC), *edges]):
        known = frozenset(ever)
        while waiting and waiting[0][2] < end:
            person, subscription, _, amount = waiting.popleft()
            paid[person][subscription] = amount
            ever |= {person} if amount else set()
        after = {person: total for person, parts in paid.items() if (total := sum(parts.values(), start=Decimal(0)))}
        if start >= edges[0]:
            yield before, after, known, start, end
        before = after


def _month(
    before: Mapping[int, Decimal], after: Mapping[int, Decimal], known: Set[int], start: datetime, *, is_complete: bool
) -> MrrMonth:
    moved: dict[str, Decimal] = defaultdict(Decimal)
    for person in before.keys() | after.keys():
        old, new = before.get(person, Decimal(0)), after.get(person, Decimal(0))
        moved[_kind(old, new, is_known=person in known)] += abs(new - old)
    return MrrMonth(
        start=start,
        opening=sum(before.values(), start=Decimal(0)),
        new=moved["new"],
        expansion=moved["expansion"],
        reactivation=moved["reactivation"],
        contraction=moved["contraction"],
        churn=moved["churn"],
        closing=sum(after.values(), start=Decimal(0)),
        customers=len(after),
        churned=len(before.keys() - after.keys()),
        is_complete=is_complete,
    )


def _kind(old: Decimal, new: Decimal, *, is_known: bool) -> str:
    if not old:
        return "reactivation" if is_known else "new"
    if not new:
        return "churn"
    return "expansion" if new > old else "contraction"


def _monthly(row: tuple[Any, ...]) -> Decimal:
    """What the event's subscription brings a month from then on, in minor units."""
    _, _, _, name, amount, interval, count = row
    if name in ENDED or not amount:
        return Decimal(0)
    is_number = count is not None and count.isascii() and count.isdecimal() and len(count) <= 3 and int(count) > 0
    many = Decimal(count) if is_number else Decimal(1)
    return Decimal(amount) / (MONTHS.get(interval or "month", Decimal(1)) * many)
