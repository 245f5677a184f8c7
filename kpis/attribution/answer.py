"""What attribution answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from kpis.attribution.question import Attribution
from kpis.attribution.sampling import Sampled
from kpis.attribution.versus import AttributionComparison
from kpis.daily_visitors import DailyVisitors
from kpis.explore.stamp import Stamp

UNTOUCHED = "__none__"
"""Key of what nothing came before."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What one key gets under one model. Money is in minor units of the base currency.

    `revenue` has refunds taken off. `cost` is null where none was told; `cac` = cost / new customers,
    `cost_per_conversion` = cost / conversions, `roas` = revenue / cost; each null when it would divide by nothing.
    """

    key: str
    revenue: int
    conversions: float
    new_customers: float
    cost: int | None
    cac: Decimal | None
    cost_per_conversion: Decimal | None
    roas: Decimal | None


@dataclass(frozen=True, slots=True)
class ModelCredits:
    """One model's table; its revenues add up to the total, to the last minor unit."""

    model: str
    credits: tuple[Credit, ...]


@dataclass(frozen=True, slots=True)
class AttributionAnswer:
    """`revenue` = `gross` − `refunded`. `unmatched_refunds` belong to no sale that is known and are in no credit.

    `touches` of the range's paths and `touched` conversions say how much of it all is known. `unvalued` conversions
    have no exchange rate yet and count as 0. `samples` by model are there for a comparison, when they were asked for.
    `daily_visitors` are those of `new_customers` who are counted anew each day (S35).
    """

    question: Attribution
    conversions: int
    new_customers: int
    touched: int
    touches: int
    gross: int
    refunded: int
    revenue: int
    unmatched_refunds: int
    unvalued: int
    mean_touches: float | None
    models: tuple[ModelCredits, ...]
    currency: str
    reading: str
    stamp: Stamp
    comparison: AttributionComparison | None = None
    samples: Mapping[str, Sampled] = field(default_factory=dict)
    daily_visitors: DailyVisitors | None = None
