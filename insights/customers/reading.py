"""Sales of a tenant out of the lake, for whoever asks what customers are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeAlias

import numpy as np

from analytics.periods import Calendar, Granularity
from analytics.store import event_store
from analytics.tenancy import tenant_context
from insights.customers.histories import Ints, Sales
from kpis.explore.stamp import Stamp
from kpis.mapping import names_meaning
from kpis.series.context import Context, context_read
from kpis.taxonomy import REFUND_EVENTS, REVENUE_EVENTS

SaleNames: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""What the tenant's sales are called, and its refunds."""
COLUMNS = ("name", "person_id", "ts", "amount_base", "is_bot", "is_internal")


@dataclass(frozen=True, slots=True)
class Ledger:
    """Sales by local day: day 0 of `sales` is the local date `first`. `data_through` as the lake says it.

    `names`: what counted as a sale, and as a refund. `executor`: the engine that read them; the roll-up's own books
    (`rollup`) where those say that there is no event at all before the end, and `has_events` is false.
    """

    sales: Sales
    calendar: Calendar
    first: date
    starts_at: datetime
    data_through: datetime
    names: SaleNames
    executor: str
    has_events: bool = True

    def day(self, on: date) -> int:
        """The number of a local date."""
        return (on - self.first).days

    def date_of(self, day: int) -> date:
        return self.first + timedelta(days=int(day))

    def stamp(self, *, start: datetime, end: datetime, definition_version: str, now: datetime) -> Stamp:
        """Of an answer over [start, end) that was worked out from these sales: nobody narrows it, bots are left out."""
        return Stamp(
            timezone=self.calendar.zone,
            start=start,
            end=end,
            filters=(),
            include=(),
            definition_version=definition_version,
            data_through=self.data_through,
            is_complete=self.data_through >= end,
            computed_at=now,
            executor=self.executor,
        )


def sales_read(
    *, tenant_id: int, until: datetime, now: datetime, cancelled: Callable[[], bool] | None = None
) -> Ledger:
    """Every sale and refund of known people before `until`, bots and internal users left out.

    Amounts without an exchange rate count as nothing, as in revenue. Raises NoCalendar, LakeError.
    """
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        sold, refunded = sale_names(tenant_id)
    if context.first_day is None or context.first_day >= until:
        return _no_events(context, until, (sold, refunded))
    start = context.first_day
    with event_store(
        tenant_id=tenant_id, start=start, end=until, columns=COLUMNS, names=[*sold, *refunded], cancelled=cancelled
    ) as store:
        events = store.events
        kept = events.filter(events.person_id.notnull() & ~events.is_bot & ~events.is_internal)
        found = store.run(
            kept.select(
                person=kept.person_id.cast("int64"),
                ts=kept.ts,
                amount=kept.amount_base.coalesce(0),
                is_refund=kept.name.isin(list(refunded)),
            )
        )
        through, engine = store.data_through, store.engine
    columns = {name: found.column(name).to_numpy(zero_copy_only=False) for name in found.column_names}
    days = local_days(context.calendar, start, until, columns["ts"].astype(np.int64))
    sales = Sales(
        columns["person"].astype(np.int64),
        days,
        columns["amount"].astype(np.int64),
        columns["is_refund"].astype(np.bool_),
    )
    first = context.calendar.local_date(start)
    return Ledger(sales, context.calendar, first, start, min(through, until), (sold, refunded), engine)


def sale_names(tenant_id: int) -> SaleNames:
    """What the tenant's sales and refunds are called, within the tenant that is set."""
    return tuple(names_meaning(tenant_id, *REVENUE_EVENTS)), tuple(names_meaning(tenant_id, *REFUND_EVENTS))


def _no_events(context: Context, until: datetime, names: SaleNames) -> Ledger:
    nobody = np.zeros(0, dtype=np.int64)
    return Ledger(
        Sales(nobody, nobody, nobody, np.zeros(0, dtype=np.bool_)),
        context.calendar,
        context.calendar.local_date(until),
        until,
        min(context.data_through, until),
        names,
        "rollup",
        has_events=False,
    )


def local_days(calendar: Calendar, start: datetime, until: datetime, instants: Ints) -> Ints:
    """The number of the local date of each instant (microseconds), counted from that of `start`."""
    edges = calendar.edges(start, until, Granularity.DAY)
    starts = calendar.starts_between(calendar.floor(start, Granularity.DAY), until, Granularity.DAY)
    first = calendar.local_date(start)
    # A date that a zone skipped has no edge, so places in the edges are not days from the first.
    numbers = np.array([(calendar.local_date(edge) - first).days for edge in starts[: len(edges) - 1]], dtype=np.int64)
    found: Ints = numbers[np.searchsorted(edges, instants, side="right") - 1]
    return found
