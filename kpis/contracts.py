"""What leaves `kpis`: series, comparisons, overviews, as frozen values; and how they are written as plain JSON.

Numbers are Decimals; null is "not known" and never zero (S5). Money is in whole units of the base currency, unrounded:
`plain()` rounds at the edge (S16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, TypeAlias

from kpis.base import Condition, Unit
from kpis.daily_visitors import DailyVisitors, marked

Number: TypeAlias = Decimal | None
Executor: TypeAlias = Literal["rollup", "events"]
Basis: TypeAlias = Literal["", "from_zero", "no_baseline", "no_value"]
OTHER = "__other__"
"""Key of what a breakdown leaves out of its top N."""


@dataclass(frozen=True, slots=True)
class Point:
    """A bucket's value. `is_complete` is false while it is open, cut off by the range, or waiting for a roll-up.

    `daily_visitors` are those in it, where it counts people over more than a day (a week, WAU); None otherwise.
    """

    start: datetime
    value: Number
    is_complete: bool
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """From `previous` to `current` (S4). `percent` is null where it has no meaning, and `basis` says why.

    `points` is set instead for ratios: 0.20 → 0.25 is +5 percentage points.
    """

    absolute: Number
    percent: Number
    points: Number
    direction: Literal["up", "down", "flat", ""]
    basis: Basis
    is_good: bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same metric over the range it is compared with; `to` may be cut so that equal time has passed (S3)."""

    start: datetime
    end: datetime
    total: Number
    change: Change
    points: tuple[Point, ...] = ()
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One value of the dimension: '' for events without one, OTHER for all that the limit left out."""

    key: str
    total: Number
    points: tuple[Point, ...]
    comparison: Comparison | None = None
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A metric over `[start, end)`, with everything needed to trust it (S41).

    `total` is worked out over the whole range from merged states, never by adding points. `data_through` is the instant
    up to which everything received is counted. `is_partial` says that money without an exchange rate is missing in it.
    `events_from` is set when events had to be read of a time of which some are gone: only from then on all are there.
    `covered` is the part of the range that has passed and that data cover, None when there is none.
    `daily_visitors` are those in `total` who are counted anew each day (S35), None when there are none; the totals of a
    comparison, of parts and of their comparisons have their own.
    """

    metric: str
    unit: Unit
    currency: str
    timezone: str
    start: datetime
    end: datetime
    granularity: str
    total: Number
    points: tuple[Point, ...]
    by: str | None
    series: tuple[Breakdown, ...]
    comparison: Comparison | None
    filters: tuple[Condition, ...]
    include: tuple[str, ...]
    definition_version: str
    data_through: datetime
    is_complete: bool
    is_partial: bool
    computed_at: datetime
    executor: Executor
    exponent: int = 2
    events_from: datetime | None = None
    covered: tuple[datetime, datetime] | None = None
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True, slots=True)
class OverviewItem:
    """One metric of an overview: its series over the range, compared with the range before."""

    metric: str
    name: str
    kind: str
    better: str
    status: Literal["ok", "warning", "critical", "unknown"]
    series: Series


@dataclass(frozen=True, slots=True)
class RetentionCell:
    """`value` is null, and `is_complete` false, while the period is not over."""

    period: int
    returned: int | None
    value: Number
    is_complete: bool


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """One cohort: who came first in the period that starts at `start`."""

    start: datetime
    size: int
    cells: tuple[RetentionCell, ...]


@dataclass(frozen=True, slots=True)
class Retention:
    """Cohorts by period. `means` are weighted by cohort size and leave incomplete cells out (S12). `daily_visitors` are
    those who came and are in no cohort, because no day knows those of another (S35).
    """

    unit: str
    mode: str
    cohort: str
    timezone: str
    rows: tuple[RetentionRow, ...]
    means: tuple[Number, ...]
    data_through: datetime
    computed_at: datetime
    daily_visitors: DailyVisitors | None = None


def written(value: Number, unit: Unit, exponent: int = 2) -> str | int | float | None:
    """As JSON has it: money a decimal string rounded half up to the currency's digits, counts int, else float."""
    if value is None:
        return None
    if unit is Unit.MONEY:
        return str(value.quantize(Decimal(1).scaleb(-exponent), rounding=ROUND_HALF_UP))
    if unit is Unit.COUNT and value == value.to_integral_value():
        return int(value)
    return float(value)


def plain(series: Series) -> dict[str, Any]:
    """The series as JSON-ready values, in the shape of `GET /api/v1/kpis/{metric}/series/`."""
    answer: dict[str, Any] = {
        "metric": series.metric,
        "unit": str(series.unit),
        "currency": series.currency if series.unit is Unit.MONEY else None,
        "timezone": series.timezone,
        "from": series.start.isoformat(),
        "to": series.end.isoformat(),
        "granularity": series.granularity,
        "total": written(series.total, series.unit, series.exponent),
        "points": _points(series, series.points),
        "comparison": _comparison(series, series.comparison),
        "filters": [{"field": test.field, "op": test.op, "value": test.value} for test in series.filters],
        "include": list(series.include),
        "definition_version": series.definition_version,
        "data_through": series.data_through.isoformat(),
        "is_complete": series.is_complete,
        "is_partial": series.is_partial,
        "computed_at": series.computed_at.isoformat(),
        "executor": series.executor,
    }
    if series.events_from is not None:
        answer["events_from"] = series.events_from.isoformat()
    answer |= marked(series.daily_visitors)
    if series.by is not None:
        answer["by"] = series.by
        answer["series"] = [
            {
                "key": part.key,
                "total": written(part.total, series.unit, series.exponent),
                "points": _points(series, part.points),
                "comparison": _comparison(series, part.comparison),
                **marked(part.daily_visitors),
            }
            for part in series.series
        ]
    return answer


def _points(series: Series, points: tuple[Point, ...]) -> list[dict[str, Any]]:
    return [
        {
            "start": point.start.isoformat(),
            "value": written(point.value, series.unit, series.exponent),
            "is_complete": point.is_complete,
            **marked(point.daily_visitors),
        }
        for point in points
    ]


def _comparison(series: Series, comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    change = comparison.change
    return {
        "from": comparison.start.isoformat(),
        "to": comparison.end.isoformat(),
        "total": written(comparison.total, series.unit, series.exponent),
        "change": {
            "absolute": written(change.absolute, series.unit, series.exponent),
            "percent": written(change.percent, Unit.NUMBER),
            "percentage_points": written(change.points, Unit.NUMBER),
            "direction": change.direction,
            "basis": change.basis,
            "is_good": change.is_good,
        },
        "points": _points(series, comparison.points),
        **marked(comparison.daily_visitors),
    }


def side_by_side(columns: Mapping[str, Sequence[Mapping[str, Any]]], label: str) -> list[dict[str, Any]]:
    """Plain breakdowns of several metrics as rows with the key under `label`, in the order of the first one."""
    totals = {name: {part["key"]: part["total"] for part in parts} for name, parts in columns.items()}
    keys = dict.fromkeys(key for column in totals.values() for key in column)
    return [{label: key, **{name: column.get(key) for name, column in totals.items()}} for key in keys]
