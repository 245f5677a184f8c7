"""What leaves `insights`, as frozen values. Money is minor units of the currency named beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from kpis.explore.stamp import Stamp


@dataclass(frozen=True, slots=True)
class SegmentView:
    """One segment of a snapshot. `share` is of all customers, `net_share` of all net revenue."""

    name: str
    size: int
    share: float
    orders: int
    net: int
    net_share: float | None
    recency_days: float | None
    predicted: float | None


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """All customers on one day. `moves` maps (segment before, segment now) to people, against `compared_with`."""

    taken_on: date
    stamp: Stamp
    currency: str
    customers: int
    rule: str
    edges: Mapping[str, tuple[float, ...]]
    segments: tuple[SegmentView, ...]
    compared_with: date | None
    moves: Mapping[tuple[str, str], int]
    prediction: Mapping[str, object] | None
    calibration: Mapping[str, object] | None
    models: Mapping[str, object] | None
    fit_note: str


@dataclass(frozen=True, slots=True)
class CustomerValue:
    """What one customer has brought and may still bring.

    `alive` is the chance that they still are one; `expected_*` cover `horizon_days` from the end of `taken_on`, with
    the interval at `level`. They are None where no model could be fitted, and `note` says why.
    """

    person: int
    currency: str
    taken_on: date | None
    first_purchase_on: date | None
    last_purchase_on: date | None
    purchases: int
    orders: int
    gross: int
    refunds: int
    net: int
    scores: tuple[int, int, int] | None
    segment: str | None
    alive: float | None
    expected_purchases: float | None
    expected_value: float | None
    expected_low: float | None
    expected_high: float | None
    horizon_days: int
    level: float
    note: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class CohortCurve:
    """Observed value of those whose first purchase fell into the unit from `start`; None where a unit is not over."""

    start: date
    size: int
    net: tuple[int | None, ...]
    net_each: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class LifetimeCurves:
    """Observed lifetime value by cohort, refunds taken off; `means` weigh cohorts by size and leave open units out."""

    unit: str
    currency: str
    cohorts: tuple[CohortCurve, ...]
    means: tuple[float | None, ...]
    stamp: Stamp
