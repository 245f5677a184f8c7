"""Query parameters of the metrics: one question, read once, refused field by field in words that say what would do."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from rest_framework.exceptions import APIException

from analytics.contracts import TenantInfo
from analytics.filters import (
    Parameters,
    calendar_of,
    flag_parameter,
    list_parameter,
    named_period,
    nearest,
    number_parameter,
    only_known,
    period_parameters,
    refuse,
    text_parameter,
)
from analytics.periods import Calendar, Granularity, Period, RangeError, parse_range, zone_named
from analytics.registry import UnknownName
from kpis.base import TEXT_COLUMNS, Condition
from kpis.compare import Against
from kpis.series import NoCalendar, QuestionError
from kpis.series.question import INCLUDABLE, TOTAL, WIDTHS

DEFAULT_PERIOD: Final = "last_30d"
GRANULARITIES: Final = (*(granularity.value for granularity in Granularity), TOTAL)
OPERATORS: Final = ("eq", "ne", "in", "gt", "lt", "is_null")
# Columns that name one event or one person: they are looked up in the event list, not counted by.
FILTERS: Final = tuple(sorted(TEXT_COLUMNS - {"session_id", "parent_id", "bot_reason"}))
RANGE: Final = ("from", "to", "period", "timezone")
CUT: Final = ("granularity", "by", "limit")
NARROW: Final = (*FILTERS, "filters", "include")
COMPARE: Final = ("compare", "match_weekday")
PAYMENTS: Final = (*RANGE, "days", "limit", "country", "method", "platform", "include", *COMPARE)
EVERYTHING: Final = (*RANGE, *CUT, *NARROW, *COMPARE)
AGAINST: Final[tuple[Literal["previous", "year_ago"], ...]] = ("previous", "year_ago")
MAX_FILTERS: Final = 20
MAX_VALUES: Final = 1000
"""Of one condition."""
MAX_KEYS: Final = 1000
MAX_CELLS: Final = 100_000


class UnknownMetric(APIException):
    """No metric of that name is visible to the tenant."""

    status_code = 404
    default_code = "unknown_metric"


class NothingCounted(APIException):
    """The tenant has no live calendar, so there are no numbers yet."""

    status_code = 409
    default_code = "nothing_counted"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question about metrics, without the metrics."""

    calendar: Calendar
    now: datetime
    period: Period
    grain: str
    by: str | None
    filters: tuple[Condition, ...]
    include: tuple[str, ...]
    compare: Against | None
    match_weekday: bool
    limit: int

    @property
    def against(self) -> Against | None:
        """What it is compared with; for a range to date that is the equal time of the earlier unit (S3): its instants
        alone do not say that they began a day or a month."""
        if not self.period.is_to_date or self.match_weekday:
            return self.compare
        if self.compare == "previous":
            return self.calendar.previous(self.period)
        return self.calendar.year_ago(self.period) if self.compare == "year_ago" else self.compare

    def arguments(self) -> dict[str, Any]:
        """For `metric_series` and `metrics_series`."""
        return {
            "start": self.period.start,
            "end": self.period.end,
            "grain": self.grain,
            "by": self.by,
            "filters": self.filters,
            "include": self.include,
            "compare": self.against,
            "match_weekday": self.match_weekday,
            "limit": self.limit,
            "now": self.now,
        }


def ask_of(
    parameters: Parameters,
    tenant: TenantInfo,
    now: datetime,
    *,
    known: Collection[str] = EVERYTHING,
    default_period: str = DEFAULT_PERIOD,
    default_grain: str = "day",
    default_compare: str = "",
) -> Ask:
    """The question of a request. `known` are the parameters that the route reads; others are refused."""
    only_known(parameters, known)
    calendar = calendar_of(tenant)
    _check_zone(parameters, calendar)
    with refusals():
        ask = Ask(
            calendar=calendar,
            now=now,
            period=_period(parameters, calendar, now, default_period),
            grain=_grain(parameters, default_grain),
            by=_by(parameters),
            filters=_filters(parameters),
            include=_include(parameters),
            compare=_compare(parameters, calendar, now, default_compare),
            match_weekday=bool(flag_parameter(parameters, "match_weekday")),
            limit=number_parameter(parameters, "limit", default=10, most=MAX_KEYS),
        )
    _check_size(ask)
    return ask


@contextmanager
def refusals(*, in_path: bool = False, named: str = "metrics") -> Iterator[None]:
    """Turn the errors of a question into 4xx answers of the field at fault; `named` is the one that names metrics."""
    try:
        yield
    except QuestionError as error:
        refuse(error.field or "question", "invalid_question", _sentence(error))
    except RangeError as error:
        refuse("period", "invalid_range", _sentence(error))
    except UnknownName as error:
        if in_path:
            raise UnknownMetric(_sentence(error)) from None
        refuse(named, "unknown_metric", _sentence(error))
    except NoCalendar as error:
        raise NothingCounted(_sentence(error)) from None


def as_query(wanted: Mapping[str, Any]) -> dict[str, str]:
    """A JSON body as the query parameters that mean the same."""
    texts = {}
    for name, value in wanted.items():
        if name == "filters":
            texts[name] = json.dumps([dict(item) for item in value])
        elif isinstance(value, list):
            texts[name] = ",".join(value)
        else:
            texts[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return texts


def metric_names(parameters: Parameters, default: Collection[str]) -> tuple[str, ...]:
    """`metrics=a.b,c.d`, or the default ones."""
    return list_parameter(parameters, "metrics") or tuple(default)


def _period(parameters: Parameters, calendar: Calendar, now: datetime, default: str) -> Period:
    """As every route, and `days=7` for the last seven complete days."""
    if not parameters.get("days"):
        return period_parameters(parameters, calendar, now, default=default)
    if any(parameters.get(name) for name in ("from", "to", "period")):
        refuse("days", "ambiguous_range", "Give either `days`, or `period`, or `from` and `to`.")
    return calendar.last(number_parameter(parameters, "days", default=30, most=3660), Granularity.DAY, now)


def _check_size(ask: Ask) -> None:
    """A breakdown has points for each of its values: many values of many points would be an answer of gigabytes."""
    if ask.by is None or ask.grain == TOTAL:
        return
    points = int(ask.period.elapsed / WIDTHS[Granularity(ask.grain)]) + 1
    if points * ask.limit > MAX_CELLS and ask.limit > 1:
        most = max(1, MAX_CELLS // points)
        refuse("limit", "too_many_points", f"{points} points a value leave room for {most}: lower `limit`, or widen.")


def _grain(parameters: Parameters, default: str) -> str:
    text = text_parameter(parameters, "granularity") or default
    if text not in GRANULARITIES:
        listed = ", ".join(GRANULARITIES)
        refuse(
            "granularity",
            "invalid_granularity",
            f"`granularity` is one of {listed}, not {text!r}.{nearest(text, GRANULARITIES)}",
        )
    return text


def _by(parameters: Parameters) -> str | None:
    text = text_parameter(parameters, "by")
    if text and text not in FILTERS and not text.startswith("properties."):
        refuse(
            "by",
            "unknown_dimension",
            f"There is no dimension {text!r}: use one of {', '.join(FILTERS)}, or properties.<key>."
            f"{nearest(text, FILTERS)}",
        )
    return text or None


def _include(parameters: Parameters) -> tuple[str, ...]:
    words = list_parameter(parameters, "include")
    for word in words:
        if word not in INCLUDABLE:
            refuse("include", "invalid_choice", f"`include` takes {', '.join(sorted(INCLUDABLE))}, not {word!r}.")
    return words


def _compare(parameters: Parameters, calendar: Calendar, now: datetime, default: str) -> Against | None:
    text = text_parameter(parameters, "compare") or default
    if text in ("", "none"):
        return None
    for word in AGAINST:
        if text == word:
            return word
    try:
        parse_range(text, calendar, now)
    except (RangeError, OverflowError):
        refuse("compare", "invalid_compare", "`compare` is previous, year_ago, none or a range such as 2026-10.")
    return named_period(text, "compare", calendar, now)


def _filters(parameters: Parameters) -> tuple[Condition, ...]:
    short = [_short(column, values) for column in FILTERS if (values := list_parameter(parameters, column))]
    return (*short, *_written_filters(parameters.get("filters", "")))


def _short(column: str, values: tuple[str, ...]) -> Condition:
    return Condition(column, "eq", values[0]) if len(values) == 1 else Condition(column, "in", values)


def _written_filters(text: str) -> list[Condition]:
    """`filters`: a JSON list of {field, op, value}, as answers show them."""
    if not text:
        return []
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        refuse("filters", "invalid_filters", 'Write JSON: [{"field": "country", "op": "eq", "value": "FR"}].')
    if not isinstance(found, list) or len(found) > MAX_FILTERS:
        refuse("filters", "invalid_filters", f"`filters` is a JSON list of at most {MAX_FILTERS} conditions.")
    return [condition_of(item) for item in found]


def condition_of(item: Any) -> Condition:
    """One condition of a JSON list."""
    if not isinstance(item, Mapping) or set(item) != {"field", "op", "value"} or item["op"] not in OPERATORS:
        refuse("filters", "invalid_filters", f"A condition has `field`, `op` ({', '.join(OPERATORS)}) and `value`.")
    value = tuple(item["value"]) if isinstance(item["value"], list) else item["value"]
    scalars = value if isinstance(value, tuple) else (value,)
    if len(scalars) > MAX_VALUES:
        refuse("filters", "invalid_filters", f"A condition has at most {MAX_VALUES} values.")
    if not isinstance(item["field"], str) or not all(isinstance(each, str | int | float) for each in scalars):
        refuse("filters", "invalid_filters", "`field` is a text, `value` a text, a number, a truth or a list of them.")
    if any(isinstance(each, str) and "\x00" in each for each in (*scalars, item["field"])):
        refuse("filters", "invalid_filters", "A value with a NUL character matches nothing.")
    try:
        return Condition(item["field"], item["op"], value)
    except ValueError as error:
        refuse("filters", "invalid_filters", _sentence(error))


def _check_zone(parameters: Parameters, calendar: Calendar) -> None:
    """Numbers are cut in the tenant's zone only; another one asked for must not be ignored in silence."""
    text = text_parameter(parameters, "timezone")
    if not text or text == calendar.zone:
        return
    try:
        zone_named(text)
    except RangeError as error:
        refuse("timezone", "unknown_timezone", _sentence(error))
    refuse("timezone", "other_timezone", f"This tenant counts in {calendar.zone}; its numbers have no other zone.")


def _sentence(error: Exception) -> str:
    text = str(error.args[0]) if error.args else str(error)
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?", ")")) else ".")
