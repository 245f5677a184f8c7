"""How goals stand, worked out from the buckets: one reading for all of them, then the pure parts of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from typing import Literal

from analytics.periods import Granularity
from analytics.registry import UnknownName
from kpis.base import Condition, Metric
from kpis.catalogue import Catalogue
from kpis.contracts import Executor, Number
from kpis.goals import chance as chances
from kpis.goals.chance import Simulated, Wish
from kpis.goals.contracts import Chance, PacePoint, Shape, Standing, Status
from kpis.goals.models import Goal
from kpis.goals.pace import Aim, expected_after, pace_of, progress_of
from kpis.goals.parts import grows
from kpis.goals.paths import Paths
from kpis.goals.shapes import Spread, spread_of, spread_of_growths
from kpis.goals.status import Facts, reaches, status_of
from kpis.goals.timing import Timing, timing_of
from kpis.ranges import Reading, looks_aside, ranges_read
from kpis.series import QuestionError
from kpis.series.context import Context


@dataclass(frozen=True, slots=True)
class Seen:
    """A goal's standing and its line, over its period; `executor` is empty where nothing could be asked."""

    standing: Standing
    points: tuple[PacePoint, ...]
    start: datetime
    end: datetime
    executor: Executor | Literal[""] = ""


def seen(goal: Goal, context: Context, catalogue: Catalogue, *, with_points: bool) -> Seen:
    """How the goal stands now. A metric that is gone, or cannot be asked like that, is unknown and says why."""
    (found,) = seen_together([goal], context, catalogue, with_points=with_points)
    return found


def seen_together(
    goals: Sequence[Goal], context: Context, catalogue: Catalogue, *, with_points: bool
) -> tuple[Seen, ...]:
    """The same of several goals, in their order, with one reading for all that look at the same part of the events: as
    many statements for ten as for one. A goal of growth reads what it grows from by itself."""
    timings = [timing_of(goal, context) for goal in goals]
    groups: dict[tuple[tuple[Condition, ...], bool], list[int]] = {}
    found: dict[int, Seen] = {}
    for place, goal in enumerate(goals):
        try:
            groups.setdefault((conditions_of(goal), _is_bound(goal, catalogue)), []).append(place)
        except UnknownName as error:
            found[place] = Seen(
                _unknown(timings[place], context, str(error.args[0])), (), timings[place].start, timings[place].end
            )
    for (filters, is_bound), places in groups.items():
        sights = _sights([(goals[place], timings[place]) for place in places], filters, is_bound, context, catalogue)
        for place, sight in zip(places, sights, strict=True):
            timing = timings[place]
            found[place] = (
                sight.seen(with_points) if isinstance(sight, _Sight) else Seen(sight, (), timing.start, timing.end)
            )
    return tuple(found[place] for place in range(len(goals)))


def _is_bound(goal: Goal, catalogue: Catalogue) -> bool:
    return looks_aside(catalogue[goal.metric], catalogue)


def _sights(
    goals: Sequence[tuple[Goal, Timing]],
    filters: tuple[Condition, ...],
    is_bound: bool,
    context: Context,
    catalogue: Catalogue,
) -> list[_Sight | Standing]:
    """All of them over one reading. Where one of them cannot be asked like that, each is read by itself."""
    spans = list(dict.fromkeys(span for _, timing in goals for span in _spans(timing, is_bound)))
    if not is_bound:
        spans = [(min(start for start, _ in spans), max(end for _, end in spans))]
    try:
        reading = ranges_read(
            tenant_id=context.tenant_id,
            metrics=list(dict.fromkeys(goal.metric for goal, _ in goals)),
            spans=spans,
            filters=filters,
            context=context,
            now=context.now,
        )
    except (UnknownName, QuestionError) as error:
        if len(goals) == 1:
            return [_unknown(goals[0][1], context, str(error.args[0]))]
        return [sight for each in goals for sight in _sights([each], filters, is_bound, context, catalogue)]
    return [_Sight(goal, catalogue[goal.metric], reading, timing) for goal, timing in goals]


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
            daily_visitors=self.reading.daily_visitors(self.metric, timing.start, timing.until)
            if value is not None
            else None,
        )
        points = self._points(aim, spread, simulated) if with_points else ()
        return Seen(standing, points, timing.start, timing.end, self.reading.executor)

    @cached_property
    def paths(self) -> Paths:
        return Paths(self.metric, conditions_of(self.goal), self.reading, self.timing)

    def _spread(self, aim: Aim) -> Spread:
        shape, before = Shape(self.goal.shape), min(self.goal.first, self.timing.today)
        if shape is Shape.SEASONAL and not aim.is_sum:
            note = "The metric is a level, which has no shares of days: the way from the baseline is straight instead."
            return replace(spread_of(Shape.LINEAR, self.timing.days, {}), note=note)
        parts = self.paths.parts
        if shape is Shape.SEASONAL and parts.method == "growth" and len(parts.leaves) == 1:
            growths = self.paths.growths(parts, before)
            return spread_of_growths(self.timing.days, growths.rows[:, :, 0].tolist())
        days = self.paths.past_days(before) if shape is Shape.SEASONAL else []
        return spread_of(shape, self.timing.days, {day: self.paths.of_day(day) for day in days})

    def _until(self, end: datetime) -> Number:
        return self.reading.number(self.goal.metric, self.timing.start, end)

    def _simulated(self, aim: Aim, value: Number, with_points: bool) -> Simulated:
        timing = self.timing
        if timing.has_begun and value is None and aim.is_sum:
            return Simulated(chances.no_chance("Nothing is known of the metric in this period."))
        if self.reading.context.now >= timing.end:
            return Simulated(_settled(value, aim))
        if value is not None and aim.is_sum and (reaches(value, aim.target, aim.better) == (aim.better == "up")):
            return Simulated(_settled(value, aim))
        seed = self.goal.pk.int % 2**64
        return self.paths.simulated(Wish(float(aim.target), aim.better, seed, with_days=with_points))

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
