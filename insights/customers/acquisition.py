"""What won customers cost, by month and channel or campaign, and through which of them each customer came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

import numpy as np

from analytics.models import Tenant
from analytics.periods import Granularity
from analytics.store import event_store
from analytics.tenancy import tenant_context
from insights.customers.histories import Curve, Ints, Sales, observed_curves
from insights.customers.payback import Payback, payback_of, together
from insights.customers.reading import Ledger, SaleNames, sales_read
from kpis.attribution import Attribution, columns_of, names_of
from kpis.attribution import reading as touches
from kpis.attribution.answer import UNTOUCHED
from kpis.attribution.channels import ChannelRule
from kpis.attribution.models import Case, last_non_direct
from kpis.attribution.paths import spans_of
from kpis.explore.channels import rules_of
from kpis.explore.models import MarketingCost
from kpis.explore.picks import EventPick
from kpis.explore.stamp import Stamp, fingerprint, micros_of
from kpis.mapping import names_meaning

MARGIN: Final = "margin_share"
"""Key of the tenant's settings: the share of revenue that is margin, from 0.001 to 1; anything else is as none."""
WHOLE: Final = Decimal(1)
LEAST: Final = Decimal("0.001")
MarginFrom = Literal["parameter", "setting", "default"]
By = Literal["channel", "campaign"]
VERSION: Final = 1
"""Of the arithmetic of paybacks: it goes up whenever the same sales, touches and costs give other numbers."""
BY: Final[tuple[By, ...]] = ("channel", "campaign")
"""What costs are told by, and so what they can be set against."""


@dataclass(frozen=True, slots=True)
class Paybacks:
    """By cohort month, and by channel (or campaign) in the same months.

    `without_rate`: costs that have no worth in `currency` yet; a month that holds one has no cost, rather than too
    small a one.
    """

    currency: str
    margin: Decimal
    margin_from: MarginFrom
    overall: Payback
    cohorts: tuple[Payback, ...]
    channels: tuple[tuple[str, Payback, tuple[Payback, ...]], ...]
    without_rate: int
    stamp: Stamp
    by: By = "channel"


def paybacks_read(
    *, tenant_id: int, months: int = 12, margin: Decimal | None = None, by: By = "channel", now: datetime
) -> Paybacks:
    """For those who first bought in each of the last `months` months and the one that runs.

    Costs of no campaign in particular are in the months, but in none of the campaigns. Raises NoCalendar, LakeError.
    """
    ledger = sales_read(tenant_id=tenant_id, until=now, now=now)
    touching = touching_read(tenant_id=tenant_id, names=ledger.names)
    calendar = ledger.calendar
    share, source = _margin(tenant_id, margin)
    period = calendar.last(months, Granularity.MONTH, now)
    starts = [*calendar.starts_between(period.start, now, Granularity.MONTH), calendar.ceil(now, Granularity.MONTH)]
    days = [calendar.local_date(start) for start in starts]
    costs, without_rate = costs_by_month(tenant_id, days, by)
    version = fingerprint(VERSION, touching)
    stamp = ledger.stamp(start=starts[0], end=starts[-1], definition_version=version, now=now)
    if not ledger.has_events:
        nothing = together([], share)
        return Paybacks(calendar.base_currency, share, source, nothing, (), (), without_rate, stamp, by)
    edges = np.array([ledger.day(day) for day in days], dtype=np.int64)
    known = ledger.day(calendar.local_date(ledger.data_through))
    curves = observed_curves(ledger.sales, edges, known_until=known)
    whole = _all_of(costs)
    return Paybacks(
        currency=calendar.base_currency,
        margin=share,
        margin_from=source,
        overall=together(_with_costs(curves, whole, edges, known), share),
        cohorts=_cohorts(curves, whole, ledger, edges, share),
        channels=_channels(tenant_id, ledger, touching, edges, known, period.start, now, costs, share, by),
        without_rate=without_rate,
        stamp=stamp,
        by=by,
    )


def _margin(tenant_id: int, margin: Decimal | None) -> tuple[Decimal, MarginFrom]:
    if margin is not None:
        return margin, "parameter"
    with tenant_context(tenant_id):
        told = Tenant.objects.values_list("settings", flat=True).get(pk=tenant_id).get(MARGIN)
    is_share = isinstance(told, int | float) and not isinstance(told, bool) and LEAST <= told <= WHOLE
    return (Decimal(str(told)), "setting") if is_share else (WHOLE, "default")


Costs = Mapping[str, Sequence[int | None]]


def costs_by_month(tenant_id: int, days: Sequence[date], by: By = "channel") -> tuple[Costs, int]:
    """By channel or campaign ('' for none in particular), minor units of each month between the days.

    Null where nothing was told, or not in full.
    """
    with tenant_context(tenant_id):
        rows = MarketingCost.objects.filter(tenant_id=tenant_id, day__gte=days[0], day__lt=days[-1])
        told = list(rows.values_list(by, "day", "amount_base"))
    found: dict[str, list[int | None]] = defaultdict(lambda: [None] * (len(days) - 1))
    places = np.searchsorted([day.toordinal() for day in days], [day.toordinal() for _, day, _ in told], side="right")
    broken = {int(place) - 1 for place, (_, _, amount) in zip(places, told, strict=True) if amount is None}
    for place, (channel, _, amount) in zip((places - 1).tolist(), told, strict=True):
        if place not in broken:
            found[channel][place] = (found[channel][place] or 0) + (amount or 0)
    return found, sum(amount is None for _, _, amount in told)


def _all_of(costs: Costs) -> Mapping[int, int | None]:
    found: dict[int, int | None] = {}
    for by_month in costs.values():
        for place, amount in enumerate(by_month):
            if amount is not None:
                found[place] = (found.get(place) or 0) + amount
    return found


def _with_costs(
    curves: Sequence[Curve], costs: Mapping[int, int | None], edges: Ints, known: int
) -> list[tuple[Curve, int | None]]:
    """Every month with customers or costs; money that won nobody was spent on winning those who came, too."""
    by_place = {curve.cohort: curve for curve in curves}
    found = []
    for place in sorted({*by_place, *costs}):
        ages = len(edges) - 1 - place
        nobody = Curve(place, 0, tuple(0 if edges[place + age + 1] <= known else None for age in range(ages)))
        found.append((by_place.get(place, nobody), costs.get(place)))
    return found


def _cohorts(
    curves: Sequence[Curve], costs: Mapping[int, int | None], ledger: Ledger, edges: Ints, margin: Decimal
) -> tuple[Payback, ...]:
    """Months with customers or costs, in order."""
    by_place = {curve.cohort: curve for curve in curves}
    places = sorted({*by_place, *costs})
    return tuple(
        payback_of(
            ledger.date_of(int(edges[place])),
            by_place[place].size if place in by_place else 0,
            costs.get(place),
            by_place[place].net if place in by_place else (),
            margin,
        )
        for place in places
    )


def _channels(
    tenant_id: int,
    ledger: Ledger,
    touching: Touching,
    edges: Ints,
    known: int,
    start: datetime,
    now: datetime,
    costs: Costs,
    margin: Decimal,
    by: By,
) -> tuple[tuple[str, Payback, tuple[Payback, ...]], ...]:
    """Customers by the channel of their first purchase, the largest first; channels that only cost at the end."""
    people = first_channels(tenant_id=tenant_id, touching=touching, start=start, now=now, by=by)
    found = []
    for channel in sorted({*people, *costs} - {""}):
        mine = np.isin(ledger.sales.person, people.get(channel, np.empty(0, dtype=np.int64)))
        sales = replace_rows(ledger.sales, mine)
        curves = observed_curves(sales, edges, known_until=known)
        spent = _all_of({channel: costs[channel]} if channel in costs else {})
        whole = together(_with_costs(curves, spent, edges, known), margin)
        size = sum(curve.size for curve in curves)
        if size or channel in costs:
            total = sum(amount for amount in costs.get(channel, ()) if amount is not None) if channel in costs else None
            whole = replace(whole, customers=size, cost=total) if whole.cac is None else whole
            found.append((channel, whole, _cohorts(curves, spent, ledger, edges, margin)))
    return tuple(sorted(found, key=lambda row: (-row[1].customers, row[0])))


def replace_rows(sales: Sales, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Sales:
    """Some of the sales."""
    return Sales(sales.person[kept], sales.day[kept], sales.amount[kept], sales.is_refund[kept])


@dataclass(frozen=True, slots=True)
class Touching:
    """How a customer's channel is told: what counts as a sale, a refund and a touch, and the rules of channels."""

    sold: EventPick
    refunded: EventPick
    touches: EventPick
    rules: tuple[ChannelRule, ...]


def touching_read(*, tenant_id: int, names: SaleNames) -> Touching:
    """As it holds now, for sales and refunds of these names."""
    sold, refunded = (EventPick(each) for each in names)
    with tenant_context(tenant_id):
        touches = EventPick(tuple(names_meaning(tenant_id, "page_view")))
    return Touching(sold, refunded, touches, rules_of(tenant_id=tenant_id))


def first_channels(
    *, tenant_id: int, touching: Touching, start: datetime, now: datetime, by: By = "channel"
) -> dict[str, Ints]:
    """Who bought first since `start`, by the channel (or campaign) of the last touch before it that was not direct."""
    question = Attribution(
        start=start,
        end=now,
        conversion=touching.sold,
        refund=touching.refunded,
        touches=touching.touches,
        models=("last_non_direct",),
        by=by,
        refunds="restated",
        rules=touching.rules,
    )
    columns, properties = columns_of(question)
    with event_store(
        tenant_id=tenant_id,
        start=question.touches_from,
        end=now + timedelta(microseconds=1),
        columns=columns,
        properties=properties,
        names=names_of(question),
    ) as store:
        seen, keys = touches.touches_read(store, question)
        read = touches.sales_read(store, question, None)
    sales = read.sales
    spans = spans_of(seen, sales, micros_of(question.lookback))
    firsts = np.flatnonzero(sales.is_first)
    touched = firsts[spans.high[firsts] > spans.low[firsts]]
    case = Case(seen, spans, read.shares, np.zeros(0), np.zeros(0), len(keys.names), sales.ts, 1.0)
    key = seen.key[last_non_direct(case, spans.low[touched], spans.high[touched])] if len(touched) else touched
    found = {name: sales.person[touched[key == number]] for number, name in enumerate(keys.names)}
    untouched = sales.person[np.setdiff1d(firsts, touched)]
    return {name: people for name, people in {**found, UNTOUCHED: untouched}.items() if len(people)}
