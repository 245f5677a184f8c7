"""How long customers take to bring back what it cost to win them. Pure.

What a cohort has brought on average, times the share of it that is margin, against what one of its customers cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from insights.customers.histories import Curve

Standing = Literal["no_cost", "no_customers", "paid_back", "not_yet"]


@dataclass(frozen=True, slots=True)
class Payback:
    """One cohort of customers. Money is minor units.

    `cac` = cost / customers. `months` counts the month of the first purchase as 1; null while it is not paid back.
    `observed` months are over, after which `recovered` of the cost came back (1 is all of it); `curve` is that share by
    the end of each of them.
    """

    start: date | None
    customers: int
    cost: int | None
    cac: Decimal | None
    months: int | None
    observed: int
    recovered: float | None
    standing: Standing
    curve: tuple[float, ...] = ()


def payback_of(
    start: date | None, customers: int, cost: int | None, net: Sequence[int | None], margin: Decimal
) -> Payback:
    """`net`: cumulative minor units the cohort had brought by the end of each month; null for a month not over."""
    known = [amount for amount in net if amount is not None]
    if cost is None or customers == 0:
        standing: Standing = "no_cost" if cost is None else "no_customers"
        return Payback(start, customers, cost, None, None, len(known), None, standing)
    share = Fraction(margin)
    months = next((age for age, amount in enumerate(known, start=1) if amount * share >= cost), None)
    return Payback(
        start=start,
        customers=customers,
        cost=cost,
        cac=Decimal(cost) / customers,
        months=months,
        observed=len(known),
        recovered=float(known[-1] * share / cost) if known and cost else None,
        standing="not_yet" if months is None else "paid_back",
        curve=tuple(float(amount * share / cost) for amount in known) if cost else (),
    )


def together(curves: Sequence[tuple[Curve, int | None]], margin: Decimal) -> Payback:
    """All cohorts of which the cost is known, as one: the mean customer against the mean cost.

    By the end of each month, of the cohorts that are so old: what they brought, against what they cost.
    """
    costed = [(curve, cost) for curve, cost in curves if cost is not None]
    customers = sum(curve.size for curve, _ in costed)
    cost = sum(cost for _, cost in costed) if costed else None
    whole = payback_of(None, customers, cost, (), margin)
    if whole.cac is None or not cost:
        return whole
    share, months, curve = Fraction(margin), None, list[float]()
    for age in range(max(len(curve.net) for curve, _ in costed)):
        old = [
            (curve.net[age] or 0, spent)
            for curve, spent in costed
            if age < len(curve.net) and curve.net[age] is not None
        ]
        brought, spent = sum(net for net, _ in old), sum(paid for _, paid in old)
        if not old or not spent:
            break
        curve.append(float(brought * share / spent))
        months = age + 1 if months is None and brought * share >= spent else months
    standing: Standing = "not_yet" if months is None else "paid_back"
    recovered = curve[-1] if curve else None
    return Payback(None, customers, cost, whole.cac, months, len(curve), recovered, standing, tuple(curve))
