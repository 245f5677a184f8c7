"""A question about metrics, checked: what is asked, over which range, cut how, and who can answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from analytics.periods import Calendar, Granularity, Period, from_micros
from kpis.base import Condition, Measure, Metric, Share, check_column, check_dimension, measures
from kpis.catalogue import closure
from kpis.compare import Against
from kpis.needs import measures_in
from kpis.rollup.keys import NONE_KEY
from kpis.series.read import Selection, stored

MAX_POINTS = 10_000
INCLUDABLE = frozenset({"bots", "internal"})
TOTAL = "total"
WIDTHS = {
    Granularity.MINUTE: timedelta(minutes=1),
    Granularity.HOUR: timedelta(hours=1),
    Granularity.DAY: timedelta(days=1),
    Granularity.WEEK: timedelta(weeks=1),
    Granularity.MONTH: timedelta(days=30),
    Granularity.QUARTER: timedelta(days=91),
    Granularity.YEAR: timedelta(days=365),
}


class QuestionError(ValueError):
    """The question has no answer; the message says what would do. `field` is the argument at fault."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Question:
    """One or several metrics over a range. `granularity` None gives totals only."""

    metrics: tuple[Metric, ...]
    period: Period
    granularity: Granularity | None
    by: str | None
    filters: tuple[Condition, ...]
    include: frozenset[str]
    against: Against | None
    match_weekday: bool
    limit: int | None


def granularity_of(text: str) -> Granularity | None:
    """The granularity of that name, None for "total". Raises QuestionError."""
    if text == TOTAL:
        return None
    try:
        return Granularity(text)
    except ValueError:
        names = ", ".join([*Granularity, TOTAL])
        raise QuestionError(f"granularity {text!r} is none of {names}", "granularity") from None


def check(question: Question, catalogue: Mapping[str, Metric]) -> None:
    """Raise QuestionError unless every metric can be filtered and broken down like that."""
    if question.period.end <= question.period.start:
        raise QuestionError("the range is empty: `to` must be after `from` (it is exclusive)", "to")
    if unknown := question.include - INCLUDABLE:
        raise QuestionError(
            f"include takes {', '.join(sorted(INCLUDABLE))}, not {', '.join(sorted(unknown))}", "include"
        )
    for metric in question.metrics:
        for name in measures_in(metric, catalogue):
            _check_measure(question, metric, measures[name])
        if question.filters and any(_is_of_everyone(catalogue[name]) for name in closure(metric, catalogue)):
            raise QuestionError(f"{metric.id} is a share of everybody: it can be broken down, not filtered", "filters")


def _is_of_everyone(metric: Metric) -> bool:
    return isinstance(metric.form, Share) and metric.form.of_everyone


def _check_measure(question: Question, metric: Metric, measure: Measure) -> None:
    source = measure.source
    if measure.aggregate == "prices" and (question.by or question.filters):
        raise QuestionError(
            f"{metric.id} follows each customer through all plans: it is neither broken down nor filtered",
            "by" if question.by else "filters",
        )
    try:
        for condition in question.filters:
            check_column(condition.field, source, owner=metric.id)
        if question.by:
            check_dimension(question.by, source, owner=metric.id)
    except ValueError as error:
        raise QuestionError(str(error), "by" if question.by else "filters") from None


def selection_of(question: Question, wanted: frozenset[str]) -> Selection | None:
    """The part of the buckets that answers it, or None when only the events can.

    That is: nothing is filtered, or one rolled-up dimension by equality, and broken down by the same or not at all.
    """
    if not question.filters:
        return Selection(question.by or "", None, question.include) if stored(question.by, wanted) else None
    first = question.filters[0]
    keys = _keys(first)
    if (
        len(question.filters) > 1
        or keys is None
        or question.by not in (None, first.field)
        or not stored(first.field, wanted)
    ):
        return None
    return Selection(first.field, keys, question.include)


def _keys(condition: Condition) -> tuple[str, ...] | None:
    if condition.op == "is_null" and condition.value is True:
        return (NONE_KEY,)
    if condition.op == "eq" and isinstance(condition.value, str):
        return (condition.value,)
    return tuple(map(str, condition.value)) if condition.op == "in" and isinstance(condition.value, tuple) else None


@dataclass(frozen=True, slots=True)
class Slot:
    """The part of a bucket that lies in the range; `is_whole` unless the range cuts it."""

    start: datetime
    end: datetime
    is_whole: bool


def slots_of(calendar: Calendar, period: Period, granularity: Granularity | None) -> Sequence[Slot]:
    """The points of a range. Raises QuestionError for more than MAX_POINTS."""
    if granularity is None:
        return ()
    # Judged by the clock before any edge is laid out: two centuries of minutes would take gigabytes to refuse.
    about = int(period.elapsed / WIDTHS[granularity])
    if about > MAX_POINTS * 1.1:
        raise QuestionError(f"that is about {about} points, at most {MAX_POINTS}: take wider ones", "granularity")
    edges = calendar.edges(period.start, period.end, granularity).tolist()
    if len(edges) > MAX_POINTS + 1:
        raise QuestionError(f"that is {len(edges) - 1} points, at most {MAX_POINTS}: take wider ones", "granularity")
    return [
        Slot(max(left, period.start), min(right, period.end), left >= period.start and right <= period.end)
        for left, right in pairwise(map(from_micros, edges))
    ]


def instant_of(text: str, calendar: Calendar, field: str = "") -> datetime:
    """A date (its local midnight) or an ISO 8601 time (local without an offset) as an instant. Raises QuestionError."""
    try:
        if "T" not in text and " " not in text.strip():
            return calendar.day_start(date.fromisoformat(text))
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no date such as 2026-11-21, nor a time such as 2026-11-21T10:40"
        raise QuestionError(message, field) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=calendar.tz)).astimezone(UTC)
