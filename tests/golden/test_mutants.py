"""The golden numbers would notice: declarations are broken on purpose, and each broken metric must show another number.

A way to break is applied to all declarations at once, so that a run tells of all of them. A metric that looks the same
in every story survived, and its story has to become a better one.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from analytics.models import Tenant
from kpis import base
from kpis.base import (
    DailyMean,
    Form,
    Formula,
    Growth,
    Kept,
    Measure,
    Newcomers,
    PerMinute,
    Ratio,
    Retained,
    Share,
    Trailing,
    Value,
)
from kpis.contracts import written
from kpis.needs import measures_in
from kpis.series import metrics_series
from kpis.taxonomy import STANDARD_EVENTS, named
from tests.golden import test_edges, test_every_metric
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

STORIES: tuple[tuple[Callable[[Story], None], dict[str, Any]], ...] = (
    (test_every_metric.tell, test_every_metric.EXPECTED),
    (test_edges.tell_windows, test_edges.WINDOWS),
    (test_edges.tell_returns, test_edges.RETURNS),
    (test_edges.tell_creators, test_edges.CREATORS),
    (test_edges.tell_alone, test_edges.ALONE),
)
FIELDS = {"amount_base": "duration_ms", "duration_ms": "value", "value": "amount_base"}
OPERATORS = ((" - ", " + "), (" * ", " + "), (" / ", " * "), (" + ", " - "))
ELSEWHERE = ("mrr.",)  # tests/golden/test_recurring.py moves those


def without_event(place: int) -> Callable[[Measure], Measure | None]:
    """The standard event of that place, with all its other names, is forgotten."""

    def broken(measure: Measure) -> Measure | None:
        events = sorted(set(STANDARD_EVENTS) & (measure.events or set()))
        if len(events) < 2 or place >= len(events):
            return None
        return replace(measure, events=(measure.events or frozenset()) - named(events[place]))

    return broken


def without_conditions(measure: Measure) -> Measure | None:
    return replace(measure, where=()) if measure.where else None


def of_another_field(measure: Measure) -> Measure | None:
    if measure.field is None or measure.source == "sessions":
        return None  # a session has no other number
    return replace(measure, field=FIELDS.get(measure.field, "duration_ms"))


def upside_down(form: Form) -> Form | None:
    if isinstance(form, Ratio):
        return Ratio(form.denominator, form.numerator)
    if isinstance(form, DailyMean):
        return DailyMean(form.denominator, form.numerator)
    if isinstance(form, Share):
        return Share(form.among, form.who)
    return replace(form, is_returning=not form.is_returning) if isinstance(form, Newcomers) else None


def longer(form: Form, *, days: int = 1) -> Form | None:
    return replace(form, days=form.days + days) if isinstance(form, Trailing | Retained) else None


def shorter(form: Form) -> Form | None:
    return longer(form, days=-1)


def read_otherwise(form: Form) -> Form | None:
    if isinstance(form, Value) and form.q is not None:
        return replace(form, q=form.q - 0.1)
    if isinstance(form, Value) and form.statistic == "mean":
        return replace(form, statistic="total")
    if isinstance(form, Growth | Kept):
        return Value("events.count")
    return PerMinute("events.count") if isinstance(form, PerMinute) else None


def calculated_otherwise(form: Form) -> Form | None:
    for was, becomes in OPERATORS:
        if isinstance(form, Formula) and was in form.text:
            return Formula(form.text.replace(was, becomes, 1))
    return None


MEASURES: dict[str, Callable[[Measure], Measure | None]] = {
    **{f"without event {place}": without_event(place) for place in range(5)},
    "without conditions": without_conditions,
    "of another field": of_another_field,
}
FORMS: dict[str, Callable[[Form], Form | None]] = {
    "upside down": upside_down,
    "longer": longer,
    "shorter": shorter,
    "read otherwise": read_otherwise,
    "calculated otherwise": calculated_otherwise,
}


@contextmanager
def broken(way: str) -> Iterator[set[str]]:
    """All declarations broken in one way; the ids of the metrics that are."""
    measures, metrics = dict(base.measures.items()), dict(base.metrics.items())
    hurt = set()
    for name, measure in measures.items():
        if way in MEASURES and (other := MEASURES[way](measure)) is not None:
            base.measures._items[name] = other
            hurt.add(name)
    for name, metric in metrics.items():
        if way in FORMS and (form := FORMS[way](metric.form)) is not None:
            base.metrics._items[name] = replace(metric, form=form)
    _forget()
    direct = Value | Share | Newcomers | Retained | Kept | Trailing | DailyMean
    try:
        yield {
            name
            for name, metric in metrics.items()
            if base.metrics[name] is not metric
            or (isinstance(metric.form, direct) and hurt & set(measures_in(metric, metrics)))
        }
    finally:
        base.measures._items.update(measures)
        base.metrics._items.update(metrics)
        _forget()


def _forget() -> None:
    """Everything that is remembered of declarations."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "kpis":
            for found in vars(module).values():
                if isinstance(found, functools._lru_cache_wrapper):
                    found.cache_clear()


def same_as_ever(tenant: Tenant, metric: str, expected: Any) -> bool:
    try:
        (found,) = metrics_series(
            tenant_id=tenant.pk,
            metrics=[metric],
            start=test_edges.MONDAY,
            end=test_edges.MONDAY + test_edges.DAY,
            grain="total",
            now=test_edges.NOW,
        )
    except Exception:
        return False
    value = written(found.total, found.unit, found.exponent)
    return bool(value == (pytest.approx(expected) if isinstance(expected, float) else expected))


@pytest.mark.parametrize("way", [*MEASURES, *FORMS])
def test_no_broken_metric_looks_like_a_whole_one(acme: Tenant, globex: Tenant, way: str) -> None:
    with broken(way) as metrics:
        alive = {name for name in metrics if not name.startswith(ELSEWHERE)}
        assert alive
        for tell, expected in STORIES:
            with transaction.atomic():
                story = Story(acme)
                tell(story)
                story.count(test_edges.NOW)
                alive -= {name for name in alive & set(expected) if not same_as_ever(acme, name, expected[name])}
                transaction.set_rollback(True)

    assert alive == set()
