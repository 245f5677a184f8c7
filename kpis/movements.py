"""Movements of recurring revenue, customer by customer: what is behind each of the metrics `mrr.*`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import accumulate, pairwise
from typing import Final

from analytics.aggregates import Prices
from analytics.periods import Granularity, to_micros
from analytics.tenancy import tenant_context
from kpis.base import metrics
from kpis.catalogue import definition_version
from kpis.explore.stamp import Stamp
from kpis.metrics.recurring import PRICES
from kpis.mrr import NOTHING, CustomerMovement, customers_moved
from kpis.needs import Need
from kpis.series.context import context_read
from kpis.series.read import Selection, strips_read
from kpis.stamps import versions_together

KINDS: Final = ("new", "expansion", "reactivation", "contraction", "churn")
FX: Final = "fx"
BEHIND: Final = tuple(f"mrr.{kind}" for kind in (*KINDS, FX))
"""The metrics whose sums these are: who moved changes with their definitions."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One customer's movement in whole minor units; `kind` is fx for somebody whom only exchange rates moved."""

    person: int
    kind: str
    amount: int
    opening: int
    closing: int
    fx: int


@dataclass(frozen=True, slots=True)
class Movements:
    """Everybody who moved, the largest first, with the sums by kind, which are those of the metrics."""

    totals: Mapping[str, int]
    customers: tuple[Moved, ...]
    currency: str
    exponent: int
    stamp: Stamp


def movements_read(*, tenant_id: int, start: datetime, end: datetime, now: datetime, kind: str = "") -> Movements:
    """Who moved between the two instants, all or of one kind. Raises NoCalendar."""
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        first = min(context.first_day or start, start)
        needs = {Need(PRICES, first, start, everyone=True), Need(PRICES, start, end, everyone=True)}
        strip = strips_read(context, needs, Selection(), Granularity.DAY).shelf().everyone(PRICES)
        before, later = (strip.merged(span) for span in ((0, to_micros(start)), (to_micros(start), to_micros(end))))
    assert isinstance(before, Prices)
    assert isinstance(later, Prices)
    moved = [one for one in customers_moved(before, before + later) if one.amount or one.fx]
    customers = _whole(moved)
    totals = {name: sum(one.amount for one in customers if one.kind == name) for name in KINDS}
    totals[FX] = sum(one.fx for one in customers)
    chosen = [one for one in customers if kind in ("", one.kind) or (kind == FX and one.fx)]
    return Movements(
        totals=totals,
        customers=tuple(sorted(chosen, key=lambda one: (-max(one.amount, abs(one.fx)), one.person))),
        currency=context.calendar.base_currency,
        exponent=context.exponent,
        stamp=Stamp(
            timezone=context.calendar.zone,
            start=start,
            end=end,
            filters=(),
            include=(),
            definition_version=_version(),
            data_through=context.data_through,
            is_complete=context.is_settled(start, end),
            computed_at=now,
            executor="rollup",
        ),
    )


def _version() -> str:
    declared = dict(metrics.items())
    return versions_together([definition_version(declared[name], declared) for name in BEHIND])


def _whole(moved: Sequence[CustomerMovement]) -> list[Moved]:
    """In whole minor units whose sum by kind is the rounded sum: what rounding leaves of one goes to the next."""
    amounts: dict[int, int] = {}
    for kind in KINDS:
        mine = [one for one in moved if one.kind == kind]
        amounts |= dict(zip((one.person for one in mine), carried(one.amount for one in mine), strict=True))
    rates = carried(one.fx for one in moved)
    return [
        Moved(
            person=one.person,
            kind=one.kind if one.amount else FX,
            amount=amounts[one.person],
            opening=_rounded(one.opening),
            closing=_rounded(one.closing),
            fx=rate,
        )
        for one, rate in zip(moved, rates, strict=True)
    ]


def carried(amounts: Iterable[Decimal]) -> list[int]:
    """Whole numbers with the rounded sum of the amounts, each within one of its own."""
    sums = [_rounded(total) for total in accumulate(amounts, initial=NOTHING)]
    return [after - before for before, after in pairwise(sums)]


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))
