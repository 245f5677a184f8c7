"""Takes the snapshot of a tenant's customers: scores, segments, fits, and how well the same fit would have foreseen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from django.db import transaction
from pyroaring import BitMap

from analytics.capture.money import exponents
from analytics.locks import REPLACING, hold
from analytics.tenancy import tenant_context
from insights.customers.histories import Customers, Sales, customers_of, spent_between
from insights.customers.lifetime import (
    Floats,
    NoFit,
    NotEnoughData,
    Purchases,
    Spending,
    purchases_fit,
    spending_fit,
)
from insights.customers.prediction import DRAWS, Predicted, calibration, predicted
from insights.customers.reading import Ledger, sales_read
from insights.customers.rfm import OTHERS, SEGMENTS, Rule, Scored, Segment, scored, segments_of
from insights.models import CustomerSegment, CustomerSnapshot, SegmentRange
from kpis.explore.stamp import fingerprint

VERSION: Final = 1
"""Of the arithmetic of scores, segments and predictions: it goes up whenever the same sales give other numbers."""
HORIZON_DAYS: Final = 90
DAYS_A_WEEK: Final = 7
SEED: Final = 7
FEWEST_DRAWS: Final = 50
DRAWN_IN_ALL: Final = 20_000_000
"""Futures of customers: 400 draws for each of 50,000, fewer for each of more. Some 80 MB while they are drawn."""


class NobodyBought(LookupError):
    """There are no sales of known people before the day, so there are no customers to look at."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The two models. `note`: why one is missing, or what they could not tell."""

    purchases: Purchases | None
    spending: Spending | None
    note: str = ""


def snapshot_take(
    *,
    tenant_id: int,
    taken_on: date,
    now: datetime,
    rule: Rule = Rule.QUANTILE_EDGES,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] | None = None,
) -> CustomerSnapshot:
    """Look at all customers as of the end of the local day `taken_on`, and keep what is seen. Safe to repeat: the
    snapshot of the day is replaced. Raises NobodyBought, NoCalendar, LakeError.
    """
    progress(0, 4)
    ledger = ledger_until(tenant_id=tenant_id, taken_on=taken_on, now=now, cancelled=cancelled)
    end = ledger.day(taken_on) + 1
    customers = customers_of(ledger.sales.before(end))
    if not len(customers.person):
        raise NobodyBought(f"Nobody known had bought anything by {taken_on}; send order_completed with a user.")
    progress(1, 4)
    fit = fitted(customers, end)
    foreseen = foresee(customers, end, fit)
    progress(2, 4)
    graded = hold_out(ledger.sales, end)
    progress(3, 4)
    scores = scored(
        recency_days=customers.recency_days(end),
        orders=customers.orders.astype(np.float64),
        money=customers.net / 10 ** exponents().get(ledger.calendar.base_currency, 2),
        rule=rule,
    )
    with tenant_context(tenant_id):
        kept = _keep(tenant_id, taken_on, ledger, customers, end, rule, scores, fit, foreseen, graded, now)
    progress(4, 4)
    return kept


def ledger_until(
    *, tenant_id: int, taken_on: date, now: datetime, cancelled: Callable[[], bool] | None = None
) -> Ledger:
    """Sales until the end of the local day. Raises NobodyBought."""
    from kpis.selectors import calendar_read

    until = calendar_read(tenant_id=tenant_id).day(taken_on).end
    ledger = sales_read(tenant_id=tenant_id, until=until, now=now, cancelled=cancelled)
    if not ledger.has_events:
        raise NobodyBought(f"There are no events before the end of {taken_on}.")
    return ledger


def fitted(customers: Customers, end: int) -> Fit:
    """Both models, or what was missing for them, in words."""
    try:
        purchases = purchases_fit(customers.histories(end))
        spending = spending_fit(customers.repeats, customers.repeat_mean)
    except (NotEnoughData, NoFit) as error:
        return Fit(None, None, str(error))
    if spending.q <= 1:
        return Fit(purchases, None, "a few customers outweigh all others, so that a mean purchase has no expectation")
    return Fit(purchases, spending, edges_told(purchases, spending))


def edges_told(purchases: Purchases, spending: Spending) -> str:
    """Whether a fit lies where its model turns into a simpler one, and what that means; '' where it does not."""
    edges = "; ".join(edge for edge in (purchases.edge, spending.edge) if edge)
    return f"{edges}: intervals hold chance alone, and not the doubt about the model" if edges else ""


def foresee(customers: Customers, end: int, fit: Fit, horizon_days: int = HORIZON_DAYS) -> Predicted | None:
    """What each customer brings in the days after; None without both models."""
    if fit.purchases is None or fit.spending is None:
        return None
    return predicted(
        fit.purchases,
        fit.spending,
        customers.histories(end),
        count=customers.repeats,
        mean=customers.repeat_mean,
        horizon=horizon_days / DAYS_A_WEEK,
        seed=SEED,
        draws=max(FEWEST_DRAWS, min(DRAWS, DRAWN_IN_ALL // max(len(customers.person), 1))),
    )


def hold_out_days(end: int) -> int:
    """Over how many days a history of `end` days is graded: the horizon, of a short history whole weeks of a third."""
    return min(HORIZON_DAYS, end // 3 // DAYS_A_WEEK * DAYS_A_WEEK)


def hold_out(sales: Sales, end: int) -> dict[str, Any] | None:
    """Fit as of some time ago and compare with what came since; None when that leaves too little to fit."""
    horizon_days = hold_out_days(end)
    if not horizon_days:
        return None
    cut = end - horizon_days
    before = customers_of(sales.before(cut))
    fit = fitted(before, cut)
    foreseen = foresee(before, cut, fit, horizon_days)
    if foreseen is None:
        return None
    actual = spent_between(sales, before.person, cut, end).astype(np.float64)
    mean, low, high = foreseen.total
    return {
        "days": horizon_days,
        "customers": len(before.person),
        "predicted": round(mean),
        "low": round(low),
        "high": round(high),
        "level": foreseen.level,
        "actual": round(float(actual.sum())),
        "inside_share": float(np.mean((actual >= foreseen.lower) & (actual <= foreseen.upper))),
        "deciles": [
            {"customers": part.customers, "predicted": round(part.predicted), "actual": round(part.actual)}
            for part in calibration(foreseen.value, actual)
        ],
    }


def segment_table(*, tenant_id: int) -> tuple[Segment, ...]:
    """The tenant's own table of segments, else the built-in one. Inside the tenant's context."""
    rows = SegmentRange.objects.filter(tenant_id=tenant_id).order_by("position")
    own = tuple(
        Segment(
            row.name,
            (row.recency_low, row.recency_high),
            (row.frequency_low, row.frequency_high),
            (row.monetary_low, row.monetary_high),
        )
        for row in rows
    )
    return own or SEGMENTS


def segment_table_set(*, tenant_id: int, table: Sequence[Segment]) -> None:
    """Replace the tenant's table; an empty one goes back to the built-in. Raises ValueError for a bad range."""
    for segment in table:
        for low, high in (segment.recency, segment.frequency, segment.monetary):
            if not 1 <= low <= high <= 5:
                raise ValueError(f"{segment.name}: scores run from 1 to 5, not {low} to {high}")
    with tenant_context(tenant_id), transaction.atomic():
        hold(REPLACING, tenant_id)
        SegmentRange.objects.filter(tenant_id=tenant_id).delete()
        SegmentRange.objects.bulk_create(
            SegmentRange(
                tenant_id=tenant_id,
                position=position,
                name=segment.name,
                recency_low=segment.recency[0],
                recency_high=segment.recency[1],
                frequency_low=segment.frequency[0],
                frequency_high=segment.frequency[1],
                monetary_low=segment.monetary[0],
                monetary_high=segment.monetary[1],
            )
            for position, segment in enumerate(table)
        )


def _keep(
    tenant_id: int,
    taken_on: date,
    ledger: Ledger,
    customers: Customers,
    end: int,
    rule: Rule,
    scores: Scored,
    fit: Fit,
    foreseen: Predicted | None,
    graded: dict[str, Any] | None,
    now: datetime,
) -> CustomerSnapshot:
    table = segment_table(tenant_id=tenant_id)
    CustomerSnapshot.objects.filter(tenant_id=tenant_id, taken_on=taken_on).delete()
    snapshot = CustomerSnapshot.objects.create(
        tenant_id=tenant_id,
        taken_on=taken_on,
        data_through=ledger.data_through,
        currency=ledger.calendar.base_currency,
        customers=len(customers.person),
        rule=scores.rule.value,
        edges={name: list(found) for name, found in scores.edges.items()},
        purchases_model=_plain(fit.purchases),
        spending_model=_plain(fit.spending),
        fit_note=fit.note,
        prediction=_prediction(foreseen),
        calibration=graded,
        created_at=now,
        zone=ledger.calendar.zone,
        starts_at=ledger.starts_at,
        definition_version=fingerprint(VERSION, (ledger.names, table, rule.value, HORIZON_DAYS)),
        executor=ledger.executor,
    )
    places = segments_of(scores, table)
    names = [*[segment.name for segment in table], OTHERS]
    rows = [
        _segment(
            snapshot, position, name, places == (position if position < len(table) else -1), customers, end, foreseen
        )
        for position, name in enumerate(names)
    ]
    CustomerSegment.objects.bulk_create(row for row in rows if row.size or row.name != OTHERS)
    return snapshot


def _segment(
    snapshot: CustomerSnapshot,
    position: int,
    name: str,
    inside: Any,
    customers: Customers,
    end: int,
    foreseen: Predicted | None,
) -> CustomerSegment:
    size = int(inside.sum())
    return CustomerSegment(
        tenant_id=snapshot.tenant_id,
        snapshot=snapshot,
        position=position,
        name=name,
        size=size,
        members=BitMap(customers.person[inside].astype(np.uint32)).serialize(),
        orders=int(customers.orders[inside].sum()),
        net=int(customers.net[inside].sum()),
        recency_days=float(customers.recency_days(end)[inside].mean()) if size else None,
        predicted=float(foreseen.value[inside].sum()) if foreseen is not None else None,
    )


def _plain(model: Purchases | Spending | None) -> dict[str, Any] | None:
    if model is None:
        return None
    names = ("r", "alpha", "a", "b") if isinstance(model, Purchases) else ("p", "q", "gamma")
    return {
        **dict(zip(names, model.parameters, strict=True)),
        "log_likelihood": model.log_likelihood,
        "spread": [list(row) for row in model.spread],
        "edge": model.edge,
    }


def purchases_model(kept: dict[str, Any] | None) -> Purchases | None:
    """The fitted model of a snapshot."""
    if kept is None:
        return None
    found = Purchases(kept["r"], kept["alpha"], kept["a"], kept["b"], kept["log_likelihood"])
    return replace(found, spread=tuple(tuple(row) for row in kept["spread"]), edge=kept.get("edge", ""))


def spending_model(kept: dict[str, Any] | None) -> Spending | None:
    """The fitted model of a snapshot, in minor units."""
    if kept is None:
        return None
    found = Spending(kept["p"], kept["q"], kept["gamma"], kept["log_likelihood"])
    return replace(found, spread=tuple(tuple(row) for row in kept["spread"]), edge=kept.get("edge", ""))


def _prediction(foreseen: Predicted | None) -> dict[str, Any] | None:
    if foreseen is None:
        return None
    mean, low, high = foreseen.total
    return {
        "days": HORIZON_DAYS,
        "value": round(mean),
        "low": round(low),
        "high": round(high),
        "level": foreseen.level,
        "purchases": float(_sum(foreseen.purchases)),
        "draws": foreseen.draws,
    }


def _sum(values: Floats) -> float:
    return float(values.sum())
