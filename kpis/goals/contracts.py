"""What leaves the goals: a goal, how it stands, its line for a chart, and what people said about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from kpis.base import Condition, Unit
from kpis.contracts import Number
from kpis.daily_visitors import DailyVisitors
from kpis.explore.stamp import Stamp


class Status(StrEnum):
    """How a goal stands. `unknown`: nothing is known of the metric in the period yet."""

    UPCOMING = "upcoming"
    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    OFF_TRACK = "off_track"
    REACHED = "reached"
    MISSED = "missed"
    UNKNOWN = "unknown"


class Shape(StrEnum):
    """How the target spreads over the period.

    `step`: the whole target from the first day. `linear`: in step with the calendar's days. `seasonal`: each day its
    share in comparable past periods of the metric itself.
    """

    STEP = "step"
    LINEAR = "linear"
    SEASONAL = "seasonal"


Method = Literal["sum", "ratio", "daily_mean", "level", "growth", "quantile", "settled", "none"]


@dataclass(frozen=True, slots=True)
class Chance:
    """The share of simulated paths that reach the target; null where nothing can be simulated, and `words` say why.

    `low`, `median` and `high` are where 10, 50 and 90 % of the paths end at most. `error` is the standard error of
    `probability` that comes from the number of paths.
    """

    probability: float | None
    error: float | None
    paths: int
    history_days: int
    method: Method
    words: str
    low: Number = None
    median: Number = None
    high: Number = None


@dataclass(frozen=True, slots=True)
class PacePoint:
    """The end of one local day: what had been reached by then (null in the future), what was expected.

    `low` and `high` bound 80 % of the simulated paths, and are null for days that are over.
    """

    day: date
    start: datetime
    end: datetime
    actual: Number
    expected: Number
    low: Number = None
    high: Number = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a goal stands at `as_of`. `rule` says the status in words, with the numbers it was decided by.

    `expected` is what should have been reached by now; `pace` = value / expected for sums, and the share of the way
    from baseline that should lie behind for levels (1.0: exactly as planned; above 1 is better, also where less is
    better). `progress` is the share of the whole way, 0 at the baseline and 1 at the target, not clipped.
    `shape` is the one that was used; `shape_note` says why when it is not the goal's own. `daily_visitors` are those in
    `value` who are counted anew each day (S35).
    """

    status: Status
    rule: str
    value: Number
    expected: Number
    pace: Number
    progress: Number
    elapsed: float
    shape: Shape
    shape_note: str
    chance: Chance
    is_complete: bool
    as_of: datetime
    data_through: datetime
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True, slots=True)
class Frozen:
    """What was written down when the period ended, and what is known now (null while it is the same)."""

    value: Number
    status: Status
    frozen_at: datetime
    known_now: Number


@dataclass(frozen=True, slots=True)
class CheckInView:
    """What a person said beside what the machine said at that moment. Both between 0 and 1."""

    id: UUID
    at: datetime
    author: str
    confidence: float
    note: str
    probability: float | None
    value: Number


@dataclass(frozen=True, slots=True)
class GoalView:
    """A goal with its standing. Money is in whole units of `currency`; `end` is the local day after the last.

    `stamp` is of the value: its definition version is empty where the metric is gone, its executor where nothing could
    be asked.
    """

    id: UUID
    name: str
    metric: str
    metric_name: str
    unit: Unit
    currency: str
    exponent: int
    better: Literal["up", "down"]
    owner: str
    objective: str
    objective_id: UUID | None
    weight: Number
    baseline: Number
    target: Number
    stretch: Number
    period: str
    first: date
    end: date
    shape: Shape
    filters: tuple[Condition, ...]
    note: str
    standing: Standing
    frozen: Frozen | None
    check_ins: tuple[CheckInView, ...]
    stamp: Stamp
    points: tuple[PacePoint, ...] = ()


@dataclass(frozen=True, slots=True)
class FrozenObjective:
    """What an objective had come to when its period ended; `known_now` is null while it is the same."""

    progress: Number
    status: Status
    frozen_at: datetime
    known_now: Number


@dataclass(frozen=True, slots=True)
class ObjectiveView:
    """What its goals come to: `progress`, `chance` and `confidence` are means by weight (null where no goal has one).

    `elapsed` is the share of its days that lie behind; `rule` says why it stands as it does.
    """

    id: UUID
    name: str
    owner: str
    note: str
    period: str
    first: date
    end: date
    elapsed: float
    progress: Number
    status: Status
    rule: str
    chance: Number
    confidence: Number
    goals: tuple[UUID, ...]
    frozen: FrozenObjective | None


@dataclass(frozen=True, slots=True)
class GoalLine:
    """The goal line of a metric's chart: what is expected at the end of each local day."""

    goal: UUID
    name: str
    target: Number
    stretch: Number
    points: tuple[PacePoint, ...]
