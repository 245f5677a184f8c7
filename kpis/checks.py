"""System checks of the declarations: a broken reference fails `manage.py check`, so it never reaches a deployment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from django.core import checks

from kpis import formula
from kpis.base import (
    DailyMean,
    Formula,
    Growth,
    Kept,
    Measure,
    Metric,
    Newcomers,
    PerMinute,
    Ratio,
    Recurring,
    Retained,
    Share,
    Trailing,
    Value,
    measures,
    metrics,
)
from kpis.catalogue import MetricCycle, closure
from kpis.mrr import Movement
from kpis.series.evaluate import STATISTICS
from kpis.taxonomy import STANDARD_NAMES

PEOPLE = frozenset({"distinct", "repeat"})
ALIKE = 0.85
"""How alike two names of events are when one is probably a slip of the other."""


@checks.register("bellwether")
def metrics_check(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Every metric refers to what exists, asks it for what it has, and is not made of itself."""
    return [
        *(problem for metric in metrics for problem in _problems(metric)),
        *(problem for measure in measures for problem in _doubts(measure)),
    ]


def _problems(metric: Metric) -> Iterator[checks.CheckMessage]:
    broken = [*_broken_measures(metric), *_broken_parts(metric)]
    yield from broken
    if not broken:
        yield from _cycles(metric)


def _doubts(measure: Measure) -> Iterator[checks.Warning]:
    """Names of events that are nearly standard ones. Any name may be sent, so this is no error."""
    for name in sorted((measure.events or frozenset()) - STANDARD_NAMES.keys()):
        if near := get_close_matches(name, STANDARD_NAMES, n=1, cutoff=ALIKE):
            problem = f"measure {measure.id} counts the event {name}, which is no standard one"
            yield checks.Warning(problem, hint=f"Did you mean {near[0]}?", obj=measure.id, id="kpis.W001")


def _error(metric: Metric, number: int, problem: str, hint: str | None = None) -> checks.Error:
    return checks.Error(f"metric {metric.id}: {problem}", hint=hint, obj=metric.id, id=f"kpis.E{number:03}")


def _near(name: str, names: Iterable[str]) -> str | None:
    """The hint that offers the nearest names, if any is near."""
    found = get_close_matches(name, list(names), n=3)
    return f"Did you mean {', '.join(found)}?" if found else None


def _broken_measures(metric: Metric) -> Iterator[checks.Error]:
    form = metric.form
    if isinstance(form, Value | Trailing | Newcomers | Retained | Kept | Recurring):
        names = [form.measure]
    else:
        names = [form.who, form.among] if isinstance(form, Share) else []
    for name in names:
        if name not in measures:
            yield _error(metric, 1, f"there is no measure {name}", _near(name, measures.names()))
        elif problem := _misfit(form, measures[name].aggregate):
            yield _error(metric, 2, f"{problem} of measure {name} ({measures[name].aggregate})")


def _misfit(form: Any, aggregate: str) -> str | None:
    """What the form asks for that the aggregate does not have."""
    if isinstance(form, Value):
        needs_q = form.statistic == "quantile" or (not form.statistic and aggregate == "quantiles")
        if needs_q and (form.q is None or not 0 <= form.q <= 1):
            return "a quantile needs q from 0 to 1"
        return f"no statistic {form.statistic!r}" if form.statistic not in {"", *STATISTICS[aggregate]} else None
    if isinstance(form, Recurring):
        if aggregate != "prices":
            return "there are no prices to follow"
        return None if form.part in Movement.__dataclass_fields__ else f"no movement {form.part!r}"
    if isinstance(form, Newcomers | Retained | Kept | Share) and aggregate not in PEOPLE:
        return "there are no people to follow"
    return "a trailing quantile has no q" if isinstance(form, Trailing) and aggregate == "quantiles" else None


def _broken_parts(metric: Metric) -> Iterator[checks.Error]:
    form = metric.form
    parts: tuple[str, ...] = ()
    if isinstance(form, Ratio | DailyMean):
        parts = (form.numerator, form.denominator)
    elif isinstance(form, Growth | PerMinute):
        parts = (form.metric,)
    elif isinstance(form, Formula):
        try:
            parts = formula.parse(form.text).names
        except formula.FormulaError as error:
            yield _error(metric, 3, f"its formula is broken\n{error.pointed()}")
    for name in parts:
        if name not in metrics:
            yield _error(metric, 4, f"it is made of {name}, which is no metric", _near(name, metrics.names()))


def _cycles(metric: Metric) -> Iterator[checks.Error]:
    try:
        closure(metric, {item.id: item for item in metrics})
    except MetricCycle as error:
        yield _error(metric, 5, str(error))
    except (LookupError, formula.FormulaError):
        return  # a broken part says so itself
