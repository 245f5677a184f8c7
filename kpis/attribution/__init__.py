"""Attribution: which touches the sales of a range came from, by nine models (S14).

`attribution_read(source, question)` answers over an open event store. Every model's credits sum to the revenue to the
last minor unit; refunds take back what their sale had given, by the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

import numpy as np
from pyroaring import BitMap, FrozenBitMap

from kpis.attribution.answer import UNTOUCHED, AttributionAnswer, Credit, ModelCredits
from kpis.attribution.models import Case, Credits, credits_of
from kpis.attribution.paths import Ints, spans_of
from kpis.attribution.people import credited
from kpis.attribution.question import MODELS, Attribution
from kpis.attribution.reading import Keys, Sold, columns_of, loose_of, names_of, sales_read, touches_read
from kpis.attribution.sampling import sampled
from kpis.attribution.versus import compared
from kpis.daily_visitors import NOBODY, among, is_of_days
from kpis.explore.stamp import EventSource, Stamp, fingerprint, micros_of

__all__ = [
    "MODELS",
    "Attribution",
    "AttributionAnswer",
    "attribution_people",
    "attribution_read",
    "columns_of",
    "names_of",
    "with_other",
]

VERSION: Final = 1


def attribution_read(
    source: EventSource,
    question: Attribution,
    *,
    timezone: str,
    currency: str,
    now: datetime,
    costs: Mapping[str, int] | None = None,
    known_before: Ints | None = None,
    with_samples: bool = False,
    daily: FrozenBitMap = NOBODY,
) -> AttributionAnswer:
    """`costs` by key in minor units of the base currency; `known_before`: who had bought before the store's range;
    `daily`: the persons who are daily visitors.

    `with_samples`: with what a comparison of two ranges needs, which takes as long again as the credits.
    """
    case, keys, sold = _case(source, question, known_before)
    models = tuple(_table(model, credits_of(model, case), keys, costs or {}) for model in question.models)
    found = _answer(source, question, sold, case, models, timezone, currency, now)
    if daily and is_of_days(question.start, question.end):
        new = sold.sales.person[sold.sales.is_in_range & sold.sales.is_first]
        found = replace(found, daily_visitors=among(FrozenBitMap(new.astype(np.uint32)), daily))
    if not with_samples:
        return found
    names = (*keys.names, UNTOUCHED)
    people = sold.sales.person
    return replace(found, samples={model: sampled(model, case, people, names) for model in question.models})


def attribution_people(source: EventSource, question: Attribution, *, model: str, key: str) -> BitMap:
    """The people with a conversion in the range that a key gets credit for under a model."""
    case, keys, sold = _case(source, question, None)
    return BitMap(credited(case, sold.sales.person, keys.names, model=model, key=key).astype(np.uint32))


def _case(source: EventSource, question: Attribution, known_before: Ints | None) -> tuple[Case, Keys, Sold]:
    touches, keys = touches_read(source, question)
    sold = sales_read(source, question, known_before)
    sales, shares = sold.sales, sold.shares
    is_sale = np.arange(len(shares.sale)) < int(sales.is_in_range.sum())
    case = Case(
        touches=touches,
        spans=spans_of(touches, sales, micros_of(question.lookback)),
        shares=shares,
        counts=is_sale.astype(np.float64),
        newcomers=(is_sale & sales.is_first[shares.sale]).astype(np.float64),
        keys=len(keys.names),
        sold_at=sales.ts,
        half_life=float(micros_of(question.half_life)),
        loose=loose_of(touches, question),
    )
    return case, keys, sold


def with_other(found: AttributionAnswer, before: AttributionAnswer) -> AttributionAnswer:
    """The answer with the same question of another range beside it; both with their samples."""
    other = compared(found, before)
    return replace(
        found, comparison=other, reading=f"{found.reading} {other.reading}" if found.conversions else found.reading
    )


def _table(model: str, found: Credits, keys: Keys, costs: Mapping[str, int]) -> ModelCredits:
    names = [*keys.names, UNTOUCHED]
    spent = [name for name in costs if name not in names]
    rows = [_credit(name, found, index, costs.get(name)) for index, name in enumerate(names)]
    rows += [Credit(name, 0, 0.0, 0.0, costs[name], None, None, Decimal(0)) for name in spent]
    rows = [row for row in rows if row.conversions or row.revenue or row.cost is not None or row.key in keys.names]
    rows.sort(key=lambda row: (row.key == UNTOUCHED, -row.revenue, row.key))
    return ModelCredits(model, tuple(rows))


def _credit(name: str, found: Credits, index: int, cost: int | None) -> Credit:
    revenue, conversions, new = int(found.revenue[index]), found.conversions[index], found.newcomers[index]
    spent = None if cost is None else Decimal(cost)
    return Credit(
        key=name,
        revenue=revenue,
        conversions=round(float(conversions), 9),
        new_customers=round(float(new), 9),
        cost=cost,
        cac=_per(spent, new),
        cost_per_conversion=_per(spent, conversions),
        roas=None if not spent else Decimal(revenue) / spent,
    )


def _per(cost: Decimal | None, count: float) -> Decimal | None:
    return None if cost is None or count <= 0 else cost / Decimal(repr(round(float(count), 9)))


def _answer(
    source: EventSource,
    question: Attribution,
    sold: Sold,
    case: Case,
    models: tuple[ModelCredits, ...],
    timezone: str,
    currency: str,
    now: datetime,
) -> AttributionAnswer:
    sales = sold.sales
    mine = sales.is_in_range
    counts = case.spans.count[mine]
    gross = int(sales.amount[mine].sum())
    revenue = int((case.shares.amount * case.shares.sign).sum())
    return AttributionAnswer(
        question=question,
        conversions=int(mine.sum()),
        new_customers=int((mine & sales.is_first).sum()),
        touched=int((counts > 0).sum()),
        touches=len(case.touches),
        gross=gross,
        refunded=gross - revenue,
        revenue=revenue,
        unmatched_refunds=sold.unmatched_refunds,
        unvalued=sold.unvalued,
        mean_touches=float(counts[counts > 0].mean()) if (counts > 0).any() else None,
        models=models,
        currency=currency,
        reading=reading_of(int(mine.sum()), int((counts > 0).sum()), models, revenue),
        stamp=_stamp(source, question, timezone, now),
    )


def reading_of(conversions: int, touched: int, models: tuple[ModelCredits, ...], revenue: int) -> str:
    """The result in words, of its own numbers only."""
    if not conversions:
        return "There was no conversion in this range."
    told = [f"{touched:,} of {conversions:,} conversions had a touch before them."]
    best = {table.model: table.credits[0] for table in models if table.credits and table.credits[0].key != UNTOUCHED}
    winners = {credit.key for credit in best.values()}
    if len(winners) == 1 and revenue > 0:
        name = next(iter(winners))
        shares = [credit.revenue / revenue * 100 for credit in best.values()]
        span = f"{min(shares):.0f} to {max(shares):.0f} %" if len(shares) > 1 else f"{shares[0]:.0f} %"
        told.append(f"“{name}” comes first by every model, with {span} of the revenue.")
    elif winners:
        by_name = {name: [model for model, credit in best.items() if credit.key == name] for name in sorted(winners)}
        told.append(
            "The models disagree on what comes first: "
            + "; ".join(f"“{name}” by {', '.join(found)}" for name, found in by_name.items())
            + "."
        )
    return " ".join(told)


def _stamp(source: EventSource, question: Attribution, timezone: str, now: datetime) -> Stamp:
    return Stamp(
        timezone=timezone,
        start=question.start,
        end=question.end,
        filters=question.filters,
        include=question.include,
        definition_version=fingerprint(VERSION, question.rules),
        data_through=source.data_through,
        is_complete=source.data_through >= question.end,
        computed_at=now,
        executor=f"{source.engine}+kernel",
    )
