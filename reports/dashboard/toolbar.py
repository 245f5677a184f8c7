"""The row above every page: range, comparison, granularity, filters; each a link, so that it works without script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from analytics.periods import Period
from kpis.base import Condition
from kpis.compare import range_before
from kpis.parameters import FILTERS
from reports.dashboard import shown
from reports.dashboard.question import DEFAULT_COMPARE, PageQuestion, grains_for

PRESETS: Final = (
    (("today", "Today"), ("yesterday", "Yesterday")),
    (("last_7d", "Last 7 days"), ("last_30d", "Last 30 days"), ("last_90d", "Last 90 days")),
    (("mtd", "This month"), ("last_month", "Last month"), ("qtd", "This quarter")),
    (("ytd", "This year"), ("last_year", "Last year"), ("last_12m", "Last 12 months")),
)
COMPARISONS: Final = (("previous", "Previous period"), ("year_ago", "Year ago"), ("none", "No comparison"))
OPERATORS: Final = {"eq": "is", "in": "is", "ne": "is not", "gt": "above", "lt": "below", "is_null": "is empty"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a menu."""

    label: str
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on; `href` is the page without it."""

    label: str
    value: str
    href: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """A parameter that a form carries along."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Toolbar:
    """All of the row, ready to be written."""

    path: str
    range_name: str
    range_dates: str
    presets: tuple[tuple[Choice, ...], ...]
    first: str
    last: str
    compare_name: str
    compare_dates: str
    comparisons: tuple[Choice, ...]
    match_weekday: Choice | None
    compare_first: str
    compare_last: str
    grains: tuple[Choice, ...]
    grain: str
    chips: tuple[Chip, ...]
    clear: str
    columns: tuple[tuple[str, str], ...]
    breakdowns: tuple[Choice, ...]
    breakdown: Chip | None
    bots: Choice
    hidden: tuple[Hidden, ...]
    zone: str


def toolbar_of(question: PageQuestion, dimensions: Sequence[str] = ()) -> Toolbar:
    """The row of a question, on a page that can be broken down by these dimensions."""
    ask, calendar = question.ask, question.ask.calendar
    before = _before(question)
    return Toolbar(
        path=question.path,
        range_name=_range_name(question),
        range_dates=shown.period_shown(ask.period, calendar),
        presets=tuple(tuple(_preset(question, name, label) for name, label in group) for group in PRESETS),
        first=calendar.local_date(ask.period.start).isoformat(),
        last=calendar.local_date(ask.period.end - timedelta(microseconds=1)).isoformat(),
        compare_name=_compare_name(question),
        compare_dates=shown.period_shown(before, calendar) if before else "",
        comparisons=tuple(_comparison(question, name, label) for name, label in COMPARISONS),
        match_weekday=_weekday(question),
        compare_first=calendar.local_date(before.start).isoformat() if before else "",
        compare_last=calendar.local_date(before.end - timedelta(microseconds=1)).isoformat() if before else "",
        grains=tuple(
            Choice(name.capitalize(), question.href(granularity=name), name == ask.grain)
            for name in grains_for(ask.period)
        ),
        grain=ask.grain,
        chips=tuple(_chip(question, condition) for condition in ask.filters),
        clear=question.href(filters=None, **dict.fromkeys(FILTERS)),
        columns=tuple((name, shown.dimension_shown(name)) for name in FILTERS),
        breakdowns=tuple(_breakdown(question, name) for name in dimensions),
        breakdown=_broken_down(question) if dimensions else None,
        bots=_bots(question),
        hidden=tuple(Hidden(name, value) for name, value in question.parameters.items()),
        zone=shown.zone_shown(calendar, ask.now),
    )


def filtered(question: PageQuestion, column: str, value: str) -> str:
    """The page narrowed to one value of a column (in place of an earlier one), or of a property.

    A breakdown by the same column ends: it would have that one value.
    """
    ended = {"by": None} if question.ask.by == column else {}
    if column in FILTERS:
        return question.href(**{column: value, **ended})
    conditions = [_written(each) for each in question.ask.filters if each.field not in (*FILTERS, column)]
    conditions.append({"field": column, "op": "eq", "value": value})
    return question.href(filters=json.dumps(conditions), **ended)


def _written(condition: Condition) -> dict[str, object]:
    value = list(condition.value) if isinstance(condition.value, tuple) else condition.value
    return {"field": condition.field, "op": condition.op, "value": value}


def _range_name(question: PageQuestion) -> str:
    parameters = question.parameters
    if parameters.get("from"):
        return "Custom range"
    chosen = parameters.get("period") or (f"{parameters['days']}d" if parameters.get("days") else "last_30d")
    chosen = f"last_{chosen}" if chosen[:1].isdigit() and chosen[-1:] in "hdwm" else chosen
    named = {name: label for group in PRESETS for name, label in group}
    return named.get(chosen, chosen.replace("_", " ").capitalize())


def _preset(question: PageQuestion, name: str, label: str) -> Choice:
    href = question.href(period=name, from_=None, to=None, days=None, granularity=None)
    return Choice(label, href, _range_name(question) == label)


def _before(question: PageQuestion) -> Period | None:
    ask = question.ask
    if ask.compare is None:
        return None
    return range_before(ask.period, ask.compare, ask.calendar, through=ask.now, match_weekday=ask.match_weekday)


def _compare_name(question: PageQuestion) -> str:
    compare = question.ask.compare
    if isinstance(compare, Period):
        return "Custom comparison"
    return dict(COMPARISONS)[compare or "none"]


def _comparison(question: PageQuestion, name: str, label: str) -> Choice:
    written = None if name == DEFAULT_COMPARE else name
    return Choice(label, question.href(compare=written), (question.ask.compare or "none") == name)


def _weekday(question: PageQuestion) -> Choice | None:
    ask = question.ask
    if ask.compare is None or isinstance(ask.compare, Period):
        return None
    return Choice(
        "Match weekdays", question.href(match_weekday=None if ask.match_weekday else "true"), ask.match_weekday
    )


def _breakdown(question: PageQuestion, name: str) -> Choice:
    is_chosen = question.ask.by == name
    return Choice(shown.dimension_shown(name), question.href(by=None if is_chosen else name), is_chosen)


def _broken_down(question: PageQuestion) -> Chip | None:
    by = question.ask.by
    return Chip("by", shown.dimension_shown(by), question.href(by=None, limit=None)) if by else None


def _bots(question: PageQuestion) -> Choice:
    is_on = "bots" in question.ask.include
    rest = [word for word in question.ask.include if word != "bots"]
    wanted = rest if is_on else [*rest, "bots"]
    return Choice("Include bots", question.href(include=",".join(wanted) or None), is_on)


def _chip(question: PageQuestion, condition: Condition) -> Chip:
    value = condition.value
    values: tuple[object, ...] = () if condition.op == "is_null" else value if isinstance(value, tuple) else (value,)
    text = " or ".join(shown.value_shown(condition.field, str(each)) for each in values)
    operator = "is not empty" if condition.op == "is_null" and value is False else OPERATORS[condition.op]
    return Chip(f"{shown.dimension_shown(condition.field)} {operator}", text, _without(question, condition))


def _without(question: PageQuestion, condition: Condition) -> str:
    is_short = condition.op in ("eq", "in") and condition.field in question.parameters
    if is_short:
        return question.href(**{condition.field: None})
    rest = [
        _written(each)
        for each in question.ask.filters
        if each != condition and not (each.op in ("eq", "in") and each.field in question.parameters)
    ]
    return question.href(filters=json.dumps(rest) if rest else None)
