"""Metrics over many ranges of whole local days at once, which may overlap: one reading, then arithmetic in memory.

"From the first of the month until each of its days" is thirty ranges that a series cannot give: unions of people and
ratios have to be worked out for each from the states themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from analytics.periods import Granularity, Period
from analytics.tenancy import tenant_context
from kpis.base import Condition, DailyMean, Formula, Metric, Newcomers, Ratio, Share, Trailing, Value
from kpis.catalogue import Catalogue
from kpis.contracts import Executor, Number
from kpis.daily_visitors import DailyVisitors
from kpis.needs import Asked, Need, is_daily, measures_in, needs_of, parts_of
from kpis.rollup.keys import OVERFLOW_KEY
from kpis.series.context import Context, context_read
from kpis.series.daily import daily_visitors_in
from kpis.series.evaluate import Evaluator
from kpis.series.events import strips_counted
from kpis.series.question import Question, check, selection_of
from kpis.series.read import Strips, strips_read

Span = tuple[datetime, datetime]
INWARD = (Value, Ratio, Formula, Share, DailyMean, Trailing, Newcomers)
"""Forms of which any range can be worked out from the days in it (and those before it)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """States of some metrics, from which any range of whole days within `spans` can be worked out."""

    evaluator: Evaluator
    strips: Strips
    context: Context
    catalogue: Catalogue
    is_split: bool
    executor: Executor

    def number(self, metric: str, start: datetime, end: datetime) -> Number:
        """The metric over [start, end), as `metric_series` has its total."""
        return self.evaluator.number(metric, start, end)

    def daily_visitors(self, metric: Metric, start: datetime, end: datetime) -> DailyVisitors | None:
        """Those whom the number counts anew each day (S35)."""
        return daily_visitors_in(self.evaluator, metric, start, end)

    def of_key(self, key: str) -> Evaluator:
        """The same for one value of the breakdown."""
        return Evaluator(self.strips.shelf([key]), self.context, self.catalogue)


def ranges_read(
    *,
    tenant_id: int,
    metrics: Sequence[str],
    spans: Sequence[Span],
    filters: Sequence[Condition] = (),
    by: str | None = None,
    context: Context | None = None,
    now: datetime,
) -> Reading:
    """Read what the metrics need over the spans; a `context` that was read before saves a statement.

    Raises UnknownName, QuestionError, NoCalendar.
    """
    with tenant_context(tenant_id):
        context = context or context_read(tenant_id=tenant_id, now=now)
        catalogue = Catalogue(tenant_id)
        asked = tuple(catalogue[name] for name in metrics)
        hull = Period(min(start for start, _ in spans), max(end for _, end in spans))
        question = Question(asked, hull, Granularity.DAY, by, tuple(filters), frozenset(), None, False, None)
        check(question, catalogue)
        strips, executor = _strips(question, context, catalogue, spans)
    is_split = bool(filters or by)
    shelf = strips.shelf(strips.keys if is_split else None)
    return Reading(Evaluator(shelf, context, catalogue), strips, context, catalogue, is_split, executor)


def _strips(
    question: Question, context: Context, catalogue: Catalogue, spans: Sequence[Span]
) -> tuple[Strips, Executor]:
    needs = list(_needs(question.metrics, context, catalogue, spans))
    wanted = frozenset[str]().union(*(measures_in(metric, catalogue) for metric in question.metrics))
    selection = selection_of(question, wanted)
    if selection is not None:
        strips = strips_read(context, needs, selection, Granularity.DAY)
        if OVERFLOW_KEY not in strips.keys:
            return strips, "rollup"
    days = any(is_daily(metric, catalogue) for metric in question.metrics)
    return strips_counted(question, context, needs, is_daily=days), "events"


def looks_aside(metric: Metric, catalogue: Catalogue) -> bool:
    """Whether it also looks at another range that follows from the one asked for (growth against the one before).

    Such a metric can only be worked out over spans that were asked for, not over any range within them.
    """
    if not isinstance(metric.form, INWARD):
        return True
    return any(looks_aside(catalogue[part], catalogue) for part in parts_of(metric))


def _needs(metrics: Sequence[Metric], context: Context, catalogue: Catalogue, spans: Sequence[Span]) -> list[Need]:
    """Of each span, cut where another begins or ends, so that no wide bucket is read in place of two narrow ones."""
    found: list[Need] = []
    for start, end in spans:
        first_day = context.first_day or start
        for metric in metrics:
            found += needs_of(metric, Asked(start, end, first_day, context.known_until, context.calendar, catalogue))
    return list(dict.fromkeys(found))
