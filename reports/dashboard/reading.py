"""Reading the numbers of a page: few readings of the buckets, and no page lost to a metric without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.db import Error

from analytics.models import Event
from analytics.registry import UnknownName
from kpis.base import COLUMNS, PROPERTY, Metric, measures
from kpis.catalogue import Catalogue
from kpis.contracts import Series
from kpis.needs import measures_in
from kpis.parameters import Ask
from kpis.series import NoCalendar, QuestionError, metrics_series
from kpis.series.question import TOTAL, Question, check

TOO_SLOW: Final = "This takes too long to count. Ask for a shorter range or fewer filters."


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was read: series by metric, and why others have none. `is_empty` before anything was ever counted."""

    catalogue: Catalogue
    series: dict[str, Series]
    missing: dict[str, str]
    is_empty: bool = False


def numbers_read(names: Sequence[str], ask: Ask, *, tenant_id: int, catalogue: Catalogue | None = None) -> Numbers:
    """Several metrics under one question, in one reading. Needs the tenant's context."""
    catalogue = catalogue or Catalogue(tenant_id)
    wanted, missing = _sorted_out(dict.fromkeys(names), ask, catalogue)
    if not wanted:
        return Numbers(catalogue, {}, missing)
    try:
        found = metrics_series(tenant_id=tenant_id, metrics=wanted, **ask.arguments())
    except NoCalendar:
        return Numbers(catalogue, {}, missing, is_empty=True)
    except QuestionError as error:
        return Numbers(catalogue, {}, missing | dict.fromkeys(wanted, sentence(error)))
    except Error as error:
        if not is_too_slow(error):
            raise
        return Numbers(catalogue, {}, missing | dict.fromkeys(wanted, TOO_SLOW))
    return Numbers(catalogue, {series.metric: series for series in found}, missing)


def has_events(numbers: Numbers) -> bool:
    """Whether the tenant has any event at all; asked only when no number has a value."""
    totals = [series.total for series in numbers.series.values()]
    if not totals or any(total is not None for total in totals):
        return True
    return Event.objects.filter(tenant_id=numbers.catalogue.tenant_id).exists()


def broken_down(names: Sequence[str], by: str, ask: Ask, catalogue: Catalogue, *, limit: int = 8) -> Numbers:
    """Metrics by one dimension: totals only, compared as the page is."""
    question = replace(ask, by=by, grain=TOTAL, limit=limit)
    return numbers_read(names, question, tenant_id=catalogue.tenant_id, catalogue=catalogue)


def _sorted_out(names: dict[str, None], ask: Ask, catalogue: Catalogue) -> tuple[list[str], dict[str, str]]:
    """A metric that cannot be filtered or broken down like that has no value: no reason to refuse the others."""
    wanted, missing = [], {}
    for name in names:
        try:
            problem = unanswerable(catalogue[name], ask, catalogue) or _refused(catalogue[name], ask, catalogue)
        except UnknownName as error:
            problem = sentence(error)
        if problem:
            missing[name] = problem
        else:
            wanted.append(name)
    return wanted, missing


def unanswerable(metric: Metric, ask: Ask, catalogue: Catalogue) -> str:
    """Why the metric cannot be filtered or broken down like that, or ''."""
    sources = {measures[name].source for name in measures_in(metric, catalogue)}
    fields = [condition.field for condition in ask.filters] + ([ask.by] if ask.by else [])
    for name in fields:
        if any(name not in COLUMNS[source] and not (source == "events" and PROPERTY.match(name)) for source in sources):
            return f"{metric.name} cannot be narrowed by {name.replace('_', ' ')}."
    return ""


def _refused(metric: Metric, ask: Ask, catalogue: Catalogue) -> str:
    """What `kpis` itself says against the filters or the breakdown, about this metric."""
    question = Question(
        metrics=(metric,),
        period=ask.period,
        granularity=None,
        by=ask.by,
        filters=ask.filters,
        include=frozenset(),
        against=None,
        match_weekday=False,
        limit=None,
    )
    try:
        check(question, catalogue)
    except QuestionError as error:
        return sentence(error).replace(f"{metric.id[:1].upper()}{metric.id[1:]}", metric.name)
    return ""


def metric_named(name: str, catalogue: Catalogue) -> Metric | None:
    """The metric, or None."""
    try:
        return catalogue[name]
    except UnknownName:
        return None


def dimensions_of(metric: Metric, catalogue: Catalogue) -> tuple[str, ...]:
    """The dimensions that are rolled up for everything the metric is made of."""
    behind = [set(measures[name].dimensions) for name in measures_in(metric, catalogue)]
    return tuple(sorted(set.intersection(*behind))) if behind else ()


def is_too_slow(error: Error) -> bool:
    """Whether a statement ran into its time limit."""
    return getattr(error.__cause__, "sqlstate", None) == "57014"


def sentence(error: Exception) -> str:
    """The error's words as a sentence."""
    text = str(error.args[0]) if error.args else str(error)
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?", ")")) else ".")
