"""From a question to its series: read once, then evaluate for each metric, value of the breakdown and point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from analytics.periods import Granularity, Period
from kpis.base import Metric, measures
from kpis.catalogue import definition_version
from kpis.compare import change_of, range_before
from kpis.contracts import OTHER, Breakdown, Comparison, Executor, Number, Point, Series
from kpis.needs import Asked, Need, days_after, is_daily, lag_days, measures_in, needs_of
from kpis.rollup.keys import OVERFLOW_KEY
from kpis.series.context import Context
from kpis.series.daily import daily_visitors_in, daily_visitors_of_points
from kpis.series.evaluate import Evaluator
from kpis.series.events import strips_counted
from kpis.series.question import Question, Slot, selection_of, slots_of
from kpis.series.read import Strips, strips_read

UNCONVERTED = "money.unconverted"


@dataclass(frozen=True, slots=True)
class Range:
    """A range with its points."""

    period: Period
    slots: Sequence[Slot]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that the answer of a question is worked out from."""

    question: Question
    context: Context
    catalogue: Mapping[str, Metric]
    asked: Range
    before: Range | None
    strips: Strips
    executor: Executor


def answer(question: Question, context: Context, catalogue: Mapping[str, Metric]) -> list[Series]:
    """One series for each metric of the question."""
    sheet = _sheet(question, context, catalogue)
    is_split = bool(question.by or question.filters)
    # One for all metrics: many are made of the same ones.
    whole = Evaluator(sheet.strips.shelf(sheet.strips.keys if is_split else None), sheet.context, catalogue)
    return [_series(sheet, metric, whole) for metric in question.metrics]


def _sheet(question: Question, context: Context, catalogue: Mapping[str, Metric]) -> Sheet:
    asked = Range(question.period, slots_of(context.calendar, question.period, question.granularity))
    before = _before(question, context)
    periods = [asked.period, *([before.period] if before else []), *_open_points(context, asked)]
    needs = _needs(question, context, catalogue, periods)
    strips, executor = _strips(question, context, catalogue, needs)
    if executor == "events" and strips.events_from and context.first_day:
        # What was counted before is of no use here, and nothing is not zero (S5).
        context = replace(context, first_day=max(context.first_day, strips.events_from))
    return Sheet(question, context, catalogue, asked, before, strips, executor)


def _open_points(context: Context, asked: Range) -> list[Period]:
    """The point that is not over: what it is measured against ends in the middle of an earlier one (S3)."""
    return [Period(slot.start, slot.end) for slot in asked.slots if slot.start < context.known_until < slot.end]


def _before(question: Question, context: Context) -> Range | None:
    if question.against is None:
        return None
    earlier = range_before(
        question.period,
        question.against,
        context.calendar,
        through=context.known_until,
        match_weekday=question.match_weekday,
    )
    return Range(earlier, slots_of(context.calendar, earlier, question.granularity))


def _needs(question: Question, context: Context, catalogue: Mapping[str, Metric], periods: list[Period]) -> list[Need]:
    first_day = context.first_day or question.period.start
    needs: list[Need] = []
    for period in periods:
        asked = Asked(period.start, period.end, first_day, context.known_until, context.calendar, catalogue)
        for metric in question.metrics:
            needs += needs_of(metric, asked)
            if _has_money(metric, catalogue):
                needs.append(Need(UNCONVERTED, period.start, period.end, everyone=True))
    return needs


def _strips(
    question: Question, context: Context, catalogue: Mapping[str, Metric], needs: list[Need]
) -> tuple[Strips, Executor]:
    """From the buckets when they have it; from the events when not, or when a value was lost in the overflow key."""
    wanted = frozenset().union(*(measures_in(metric, catalogue) for metric in question.metrics))
    selection = selection_of(question, wanted)
    if selection is not None:
        strips = strips_read(context, needs, selection, question.granularity or Granularity.DAY)
        if OVERFLOW_KEY not in strips.keys:
            return strips, "rollup"
    days = any(is_daily(metric, catalogue) for metric in question.metrics)
    return strips_counted(question, context, needs, is_daily=days), "events"


def _series(sheet: Sheet, metric: Metric, whole: Evaluator) -> Series:
    question, context, period = sheet.question, sheet.context, sheet.question.period
    total = whole.number(metric.id, period.start, period.end)
    end = period.end
    if lag := lag_days(metric, sheet.catalogue):
        end = days_after(context.calendar, end, lag)
    return Series(
        metric=metric.id,
        unit=metric.unit,
        currency=context.calendar.base_currency,
        timezone=context.calendar.zone,
        start=period.start,
        end=period.end,
        granularity=question.granularity.value if question.granularity else "total",
        total=total,
        points=_points(sheet, metric, whole, sheet.asked),
        by=question.by,
        series=_breakdown(sheet, metric) if question.by else (),
        comparison=_comparison(sheet, metric, whole, total),
        filters=question.filters,
        include=tuple(sorted(question.include)),
        definition_version=definition_version(metric, sheet.catalogue),
        data_through=context.data_through,
        is_complete=context.is_settled(period.start, end),
        is_partial=_is_partial(sheet, metric),
        computed_at=context.now,
        executor=sheet.executor,
        events_from=sheet.strips.events_from,
        exponent=context.exponent,
        covered=context.covered(period.start, period.end),
        daily_visitors=daily_visitors_in(whole, metric, period.start, period.end),
    )


def _points(sheet: Sheet, metric: Metric, evaluator: Evaluator, asked: Range) -> tuple[Point, ...]:
    evaluator.prime(metric, [slot.end for slot in asked.slots])
    lag = lag_days(metric, sheet.catalogue)
    daily = daily_visitors_of_points(evaluator, metric, asked.slots, sheet.question.granularity)
    return tuple(
        Point(
            slot.start, evaluator.number(metric.id, slot.start, slot.end), _is_settled(sheet.context, slot, lag), mark
        )
        for slot, mark in zip(asked.slots, daily, strict=False)
    )


def _is_settled(context: Context, slot: Slot, lag: int) -> bool:
    end = days_after(context.calendar, slot.end, lag) if lag else slot.end
    return slot.is_whole and context.is_settled(slot.start, end)


def _comparison(sheet: Sheet, metric: Metric, evaluator: Evaluator, total: Number) -> Comparison | None:
    if sheet.before is None:
        return None
    earlier = sheet.before.period
    previous = evaluator.number(metric.id, earlier.start, earlier.end)
    change = change_of(total, previous, unit=metric.unit, better=metric.better)
    return Comparison(
        earlier.start,
        earlier.end,
        previous,
        change,
        _points(sheet, metric, evaluator, sheet.before),
        daily_visitors_in(evaluator, metric, earlier.start, earlier.end),
    )


def _breakdown(sheet: Sheet, metric: Metric) -> tuple[Breakdown, ...]:
    """The values with the highest totals, then everything else as one: united, so that people count once in it."""
    period, limit = sheet.asked.period, sheet.question.limit
    evaluators = {
        key: Evaluator(sheet.strips.shelf([key]), sheet.context, sheet.catalogue) for key in sheet.strips.keys
    }
    totals = {key: found.number(metric.id, period.start, period.end) for key, found in evaluators.items()}
    present = [key for key in totals if _occurs(sheet, metric, key)]
    ranked = sorted(present, key=lambda key: (totals[key] is None, -(totals[key] or Decimal(0)), key))
    top = [key for key in ranked if key != OTHER][: limit if limit is not None else len(ranked)]
    rest = [key for key in ranked if key not in set(top)]
    parts = [_part(sheet, metric, key, evaluators[key]) for key in top]
    if rest:
        parts.append(_part(sheet, metric, OTHER, Evaluator(sheet.strips.shelf(rest), sheet.context, sheet.catalogue)))
    return tuple(parts)


def _occurs(sheet: Sheet, metric: Metric, key: str) -> bool:
    """Whether anything of the metric happened under the key; other metrics of the question have their own keys."""
    return not measures_in(metric, sheet.catalogue).isdisjoint(sheet.strips.by_key[key])


def _part(sheet: Sheet, metric: Metric, key: str, evaluator: Evaluator) -> Breakdown:
    period = sheet.asked.period
    total = evaluator.number(metric.id, period.start, period.end)
    return Breakdown(
        key,
        total,
        _points(sheet, metric, evaluator, sheet.asked),
        _comparison(sheet, metric, evaluator, total),
        daily_visitors_in(evaluator, metric, period.start, period.end),
    )


def _has_money(metric: Metric, catalogue: Mapping[str, Metric]) -> bool:
    return any(measures[name].field == "amount_base" for name in measures_in(metric, catalogue))


def _is_partial(sheet: Sheet, metric: Metric) -> bool:
    """Whether amounts of the range have no exchange rate yet, so that they are missing in a sum of money."""
    if not _has_money(metric, sheet.catalogue):
        return False
    whole = Evaluator(sheet.strips.shelf(), sheet.context, sheet.catalogue)
    return whole.state(UNCONVERTED, sheet.asked.period.start, sheet.asked.period.end).n > 0
