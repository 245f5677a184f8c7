"""How goals stand, worked out from the buckets: one reading a goal, then the pure parts of this package."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from analytics.periods import Calendar, Granularity
from analytics.registry import UnknownName
from kpis.base import Additivity, Condition, Metric
from kpis.catalogue import Catalogue
from kpis.contracts import Number
from kpis.goals import chance as chances
from kpis.goals.chance import Floats, Past, Rest, Simulated
from kpis.goals.contracts import Chance, PacePoint, Shape, Standing, Status
from kpis.goals.models import Goal
from kpis.goals.pace import Aim, expected_after, pace_of, progress_of
from kpis.goals.parts import NOT_DRAWN, Parts, grows, parts_of_metric
from kpis.goals.shapes import Spread, spread_of
from kpis.goals.status import Facts, reaches, status_of
from kpis.ranges import Reading, looks_aside, ranges_read
from kpis.series import QuestionError
from kpis.series.context import Context

HISTORY: tuple[tuple[int, int], ...] = ((31, 182), (92, 364), (10_000, 728))
"""Days of history by the length of the period: half a year for months, a year for quarters, two for years."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the goal's period stands: its days, how many of them have passed, and until which day there are data."""

    calendar: Calendar
    days: tuple[date, ...]
    start: datetime
    end: datetime
    as_of: datetime
    elapsed: Fraction
    until: datetime
    past_first: date

    @property
    def has_begun(self) -> bool:
        return self.as_of > self.start

    @property
    def today(self) -> date:
        return self.calendar.local_date(self.as_of)


def timing_of(goal: Goal, context: Context) -> Timing:
    """The goal's period in the tenant's calendar, at the last moment that is known."""
    calendar, as_of = context.calendar, context.known_until
    every = [goal.first + timedelta(days=number) for number in range((goal.end - goal.first).days)]
    days = tuple(day for day in every if calendar.day(day).elapsed)  # Samoa had no 2011-12-30
    start, end = calendar.day_start(goal.first), calendar.day_start(goal.end)
    history = next(count for most, count in HISTORY if len(days) <= most)
    today = calendar.local_date(as_of)
    return Timing(
        calendar,
        days,
        start,
        end,
        as_of,
        elapsed_days(calendar, days, as_of),
        min(end, calendar.ceil(as_of, Granularity.DAY)),
        min(goal.first, today) - timedelta(days=history),
    )


def elapsed_days(calendar: Calendar, days: tuple[date, ...], at: datetime) -> Fraction:
    """How many of the days have passed at that instant; the one that is not over counts by its share."""
    whole = 0
    for day in days:
        period = calendar.day(day)
        if at >= period.end:
            whole += 1
        elif at > period.start:
            return whole + Fraction(micros_of(at - period.start), micros_of(period.elapsed))
        else:
            break
    return Fraction(whole)


def micros_of(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Seen:
    """A goal's standing and its line."""

    standing: Standing
    points: tuple[PacePoint, ...]


def seen(goal: Goal, context: Context, catalogue: Catalogue, *, with_points: bool) -> Seen:
    """How the goal stands now. A metric that is gone, or cannot be asked like that, is unknown and says why."""
    timing = timing_of(goal, context)
    try:
        metric = catalogue[goal.metric]
        reading = ranges_read(
            tenant_id=context.tenant_id,
            metrics=[goal.metric],
            spans=_spans(timing, looks_aside(metric, catalogue)),
            filters=conditions_of(goal),
            context=context,
            now=context.now,
        )
    except (UnknownName, QuestionError) as error:
        return Seen(_unknown(timing, context, str(error.args[0])), ())
    return _Sight(goal, metric, reading, timing).seen(with_points)


def _spans(timing: Timing, is_bound: bool) -> list[tuple[datetime, datetime]]:
    """All days that may be asked about; of metrics that look aside, each range that will be."""
    calendar = timing.calendar
    if not is_bound:
        return [(calendar.day_start(timing.past_first), calendar.ceil(timing.as_of, Granularity.DAY))]
    ends = [calendar.day(day).end for day in timing.days if calendar.day_start(day) < timing.as_of]
    return [(timing.start, end) for end in ends] or [(timing.start, timing.end)]


def conditions_of(goal: Goal) -> tuple[Condition, ...]:
    """The goal's filters as conditions."""
    return tuple(
        Condition(item["field"], item["op"], tuple(item["value"]) if isinstance(item["value"], list) else item["value"])
        for item in goal.filters
    )


def _unknown(timing: Timing, context: Context, why: str) -> Standing:
    return Standing(
        status=Status.UNKNOWN, rule=why, value=None, expected=None, pace=None, progress=None,
        elapsed=float(timing.elapsed / max(len(timing.days), 1)), shape=Shape.LINEAR, shape_note="",
        chance=chances.no_chance(why), is_complete=False, as_of=timing.as_of, data_through=context.data_through,
    )  # fmt: skip


@dataclass(frozen=True)
class _Sight:
    """One goal being looked at."""

    goal: Goal
    metric: Metric
    reading: Reading
    timing: Timing

    def seen(self, with_points: bool) -> Seen:
        timing, context = self.timing, self.reading.context
        aim = Aim(self.goal.target, self.goal.baseline, self.metric.better, grows(self.metric))
        spread = self._spread(aim)
        value = self._until(timing.until) if timing.has_begun else None
        expected = expected_after(aim, spread, timing.elapsed)
        pace = pace_of(aim, value, expected)
        simulated = self._simulated(aim, value, with_points)
        is_over = context.now >= timing.end
        facts = Facts(value, aim.target, aim.better, aim.is_sum, timing.has_begun, is_over, pace, simulated.chance)
        status, rule = status_of(facts)
        standing = Standing(
            status=status,
            rule=rule,
            value=value,
            expected=expected,
            pace=pace,
            progress=progress_of(aim, value, pace),
            elapsed=float(timing.elapsed / max(len(timing.days), 1)),
            shape=spread.shape,
            shape_note=spread.note,
            chance=simulated.chance,
            is_complete=context.is_settled(timing.start, timing.end),
            as_of=timing.as_of,
            data_through=context.data_through,
        )
        return Seen(standing, self._points(aim, spread, simulated) if with_points else ())

    def _spread(self, aim: Aim) -> Spread:
        shape = Shape(self.goal.shape)
        if shape is Shape.SEASONAL and not aim.is_sum:
            note = "The metric is a level, which has no shares of days: the way from the baseline is straight instead."
            return replace(spread_of(Shape.LINEAR, self.timing.days, {}), note=note)
        days = self._past_days(min(self.goal.first, self.timing.today)) if shape is Shape.SEASONAL else []
        past = {day: self._of_day(self.goal.metric, day) for day in days}
        spread = spread_of(shape, self.timing.days, past)
        if self.metric.additivity is Additivity.UNION and not spread.note:
            return replace(spread, note="People count once in the period: the share of a day is that of its visitors.")
        return spread

    def _past_days(self, before: date) -> list[date]:
        """Whole days with data before a date: the very first day of data may be half a day, so it is left out."""
        context, calendar = self.reading.context, self.timing.calendar
        if context.first_day is None:
            return []
        first = max(self.timing.past_first, calendar.local_date(context.first_day) + timedelta(days=1))
        days = (first + timedelta(days=number) for number in range(max((before - first).days, 0)))
        return [day for day in days if calendar.day(day).elapsed]

    def _of_day(self, metric: str, day: date) -> Number:
        period = self.timing.calendar.day(day)
        return self.reading.number(metric, period.start, period.end)

    def _until(self, end: datetime) -> Number:
        return self.reading.number(self.goal.metric, self.timing.start, end)

    # Chance

    def _simulated(self, aim: Aim, value: Number, with_points: bool) -> Simulated:
        timing = self.timing
        if timing.has_begun and value is None and aim.is_sum:
            return Simulated(chances.no_chance("Nothing is known of the metric in this period."))
        if self.reading.context.now >= timing.end:
            return Simulated(_settled(value, aim))
        if value is not None and aim.is_sum and (reaches(value, aim.target, aim.better) == (aim.better == "up")):
            return Simulated(_settled(value, aim))
        parts = parts_of_metric(self.metric, self.reading.catalogue)
        if parts.method in ("none", "settled"):
            return Simulated(chances.no_chance(NOT_DRAWN))
        return self._drawn(aim, parts, parts.method, with_points)  # type: ignore[arg-type]  # the two are gone

    def _drawn(
        self,
        aim: Aim,
        parts: Parts,
        method: Literal["sum", "ratio", "daily_mean", "level"],
        with_points: bool,
    ) -> Simulated:
        days = self._past_days(self.timing.today)
        rows = self._rows(parts, days)
        if method == "level":
            rows, days = np.diff(rows, axis=0), days[1:]
        past = Past(days[0].weekday() if days else 0, rows)
        ahead, share = self._ahead(method)
        return chances.simulate(
            past,
            Rest(ahead[0].weekday(), len(ahead), share),
            method=method,
            value_of=self._value_of(parts, method),
            target=float(aim.target),
            better=aim.better,
            seed=self.goal.pk.int % 2**64,
            with_days=with_points and parts.is_quick,
        )

    def _rows(self, parts: Parts, days: list[date]) -> Floats:
        """The parts of each day; a day on which nothing is known adds nothing to a sum and is as the mean to a mean."""
        spans = [self.timing.calendar.day(day) for day in days]
        found = np.array(
            [[_float(leaf(self.reading, span.start, span.end)) for leaf in parts.leaves] for span in spans],
            dtype=np.float64,
        ).reshape(len(days), len(parts.leaves))
        if parts.method in ("daily_mean", "level"):
            known = found[np.isfinite(found)]
            return np.where(np.isfinite(found), found, known.mean() if len(known) else 0.0)
        return np.where(np.isfinite(found), found, 0.0)

    def _ahead(self, method: str) -> tuple[list[date], float]:
        """The days to come, and which share of the first one is still ahead."""
        days, elapsed = self.timing.days, self.timing.elapsed
        ahead = list(days[int(elapsed) :])
        return ahead, float(1 - (elapsed - int(elapsed))) if method in ("sum", "ratio") else 1.0

    def _value_of(self, parts: Parts, method: str) -> Any:
        timing, reading = self.timing, self.reading
        start, until = timing.start, timing.until
        if method == "level":
            today = _float(self._of_day(self.goal.metric, timing.today))
            return lambda sums, days: today + sums[..., 0]
        if method == "daily_mean":
            over = timing.days[: int(timing.elapsed)]
            known = [value for day in over if (value := self._of_day(self.goal.metric, day)) is not None]
            total = float(sum(known, Decimal(0)))
            return lambda sums, days: (total + sums[..., 0]) / (len(known) + days)
        base = np.array([_float(leaf(reading, start, until)) if timing.has_begun else 0.0 for leaf in parts.leaves])
        base = np.where(np.isfinite(base), base, 0.0)
        return lambda sums, days: parts.combine(base + sums)

    # Points

    def _points(self, aim: Aim, spread: Spread, simulated: Simulated) -> tuple[PacePoint, ...]:
        timing = self.timing
        over = int(timing.elapsed)
        points = []
        for place, day in enumerate(timing.days):
            period = timing.calendar.day(day)
            ahead = place - over
            has_fan = 0 <= ahead < len(simulated.low)
            points.append(
                PacePoint(
                    day,
                    period.start,
                    period.end,
                    self._until(period.end) if period.start < timing.as_of else None,
                    expected_after(aim, spread, Fraction(place + 1)),
                    simulated.low[ahead] if has_fan else None,
                    simulated.high[ahead] if has_fan else None,
                )
            )
        return tuple(points)


def _settled(value: Number, aim: Aim) -> Chance:
    return chances.settled_chance(value is not None and reaches(value, aim.target, aim.better), value)


def _float(value: Number) -> float:
    return float("nan") if value is None else float(value)
