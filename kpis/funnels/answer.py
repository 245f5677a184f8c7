"""What a funnel answers."""

from __future__ import annotations

from dataclasses import dataclass

from kpis.daily_visitors import DailyVisitors
from kpis.explore.intervals import Interval
from kpis.explore.stamp import Stamp
from kpis.funnels.curve import Curve
from kpis.funnels.question import Funnel
from kpis.funnels.times import TimeBin


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds, interpolated between neighbours (continuous, R's type 7); `n` is how many there were."""

    n: int
    p25: float
    p50: float
    p75: float
    p90: float
    p95: float


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """People at one step.

    `reached` = `dropped` + `still_open` + reached the next step that is not optional. `dropped` and `still_open` are of
    those who got here and not further; the last step has neither. `rate` is of those who reached the step before (of
    an optional step: the nearest one that is not), `rate_total` of all who entered. The settled ones leave out
    everybody whose window is not over, so that young attempts neither count for nor against.
    """

    index: int
    label: str
    is_optional: bool
    reached: int
    dropped: int
    still_open: int
    rate: float | None
    rate_interval: Interval | None
    rate_total: float | None
    rate_total_interval: Interval | None
    settled_entered: int
    settled_reached: int
    settled_rate_total: float | None
    settled_interval: Interval | None
    from_previous: Percentiles | None
    from_start: Percentiles | None


@dataclass(frozen=True, slots=True)
class FunnelPart:
    """One value of the breakdown; `__other__` for those beyond the limit, `__none__` where the event has none."""

    key: str
    steps: tuple[FunnelStep, ...]
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True, slots=True)
class StepChange:
    """The share of all who entered, now against the other range, with the interval of the difference."""

    index: int
    rate_total: float | None
    rate_total_before: float | None
    difference: float | None
    interval: Interval | None
    is_clear: bool


@dataclass(frozen=True, slots=True)
class StepPart:
    """What one step lets through now and before, of those who reached the required step before it and whose window is
    over; the interval of that difference; and how much of the change it makes: `points` of the share of all who
    entered, `conversions` of their number."""

    index: int
    label: str
    rate: float | None
    rate_before: float | None
    interval: Interval | None
    is_clear: bool
    points: float
    conversions: float


@dataclass(frozen=True, slots=True)
class Split:
    """`change` of the share of all who entered is the sum of the steps' `points`; `conversions`, the change of their
    number, the sum of the steps' and of `volume`, which is due to how many entered. All of settled attempts."""

    change: float
    conversions: int
    volume: float
    steps: tuple[StepPart, ...]


@dataclass(frozen=True, slots=True)
class FunnelComparison:
    """The same funnel over another range, and which steps the difference comes from."""

    answer: FunnelAnswer
    changes: tuple[StepChange, ...]
    split: Split | None


@dataclass(frozen=True, slots=True)
class FunnelAnswer:
    """`entered` people are in the bars; `excluded` ones did what an exclusion names and are in none. `curve`, and the
    `times` that they took, are there when the question asks for them. `daily_visitors`: those who entered and are
    counted anew each day (S35)."""

    question: Funnel
    entered: int
    converted: int
    excluded: int
    steps: tuple[FunnelStep, ...]
    breakdown: tuple[FunnelPart, ...]
    comparison: FunnelComparison | None
    curve: Curve | None
    times: tuple[TimeBin, ...]
    reading: str
    stamp: Stamp
    daily_visitors: DailyVisitors | None = None
