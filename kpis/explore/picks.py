"""Which events a question is about, as a value and as an Ibis expression.

Names and values of a question only ever become bound literals of an expression or a key of a column: there is no text
of SQL that a hostile property name could end up in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final

from analytics.filters import nearest
from analytics.lazily import Lazily
from kpis.base import BOOL_COLUMNS, NUMBER_COLUMNS, TEXT_COLUMNS, Condition
from kpis.explore.stamp import EventSource
from kpis.series.question import QuestionError
from kpis.taxonomy import NOT_ACTIVITY, STANDARD_EVENTS

if TYPE_CHECKING:
    import ibis
else:
    ibis = Lazily("ibis")

MAX_NAMES: Final = 50
MAX_NAME: Final = 400
PROPERTY: Final = "properties."
# Columns of events that are not in the lake are looked up in the event list, not explored.
TEXTS: Final = TEXT_COLUMNS - {"parent_id", "bot_reason"}
NUMBERS: Final = NUMBER_COLUMNS
FLAGS: Final = BOOL_COLUMNS & {"is_bot", "is_internal"}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class EventPick:
    """Events of any of these names (none: every event that makes a person active) that pass every condition.

    `own`: the tenant's own names for the standard ones among them; whoever asks need not know how they are sent.
    """

    names: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    own: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) > MAX_NAMES or any(not name or len(name) > MAX_NAME for name in self.names):
            raise QuestionError(f"a step has at most {MAX_NAMES} event names of {MAX_NAME} characters", "events")
        for condition in self.where:
            field_check(condition.field)

    @property
    def all_names(self) -> tuple[str, ...]:
        """With the other names that standard events go by, everybody's and the tenant's own."""
        return tuple(dict.fromkeys((*names_of(self.names), *self.own)))


def names_of(names: Iterable[str]) -> tuple[str, ...]:
    """The names and, for standard ones, their aliases, each once and in order."""
    found: dict[str, None] = {}
    for name in names:
        standard = STANDARD_EVENTS.get(name)
        found |= dict.fromkeys((name, *(standard.aliases if standard else ())))
    return tuple(found)


def field_check(field: str, argument: str = "filters") -> None:
    """Raise QuestionError unless the lake has such a column, or it is `properties.<key>`."""
    if field.startswith(PROPERTY):
        key = field.removeprefix(PROPERTY)
        if not key or len(key) > 200 or _CONTROL.search(key):
            raise QuestionError("a property has a name of 1 to 200 characters without control characters", argument)
        return
    if field not in TEXTS | NUMBERS | FLAGS:
        known = ", ".join(sorted(TEXTS | NUMBERS))
        raise QuestionError(f"there is no column {field[:60]!r}: use properties.<key> or one of {known}", argument)


def dimension_check(field: str, argument: str = "by") -> None:
    """Raise QuestionError unless it is a text to break down by."""
    if field.startswith(PROPERTY) or field in TEXTS:
        return field_check(field, argument)
    known, meant = sorted(TEXTS), PROPERTY + field.rpartition(".")[2][:60]
    hint = nearest(field[:60], (*known, meant)).strip()
    told = f"there is no dimension {field[:60]!r}: use properties.<key> or one of {', '.join(known)}"
    raise QuestionError(f"{told}. {hint}" if hint else told, argument)


def fields_of(picks: Iterable[EventPick], *more: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns and the properties that a store has to have open for these picks and further fields."""
    fields = {condition.field for pick in picks for condition in pick.where} | {field for field in more if field}
    properties = sorted(field.removeprefix(PROPERTY) for field in fields if field.startswith(PROPERTY))
    return tuple(sorted(field for field in fields if not field.startswith(PROPERTY))), tuple(properties)


def column_of(source: EventSource, table: Any, field: str) -> Any:
    """The Ibis column of a field in a table made of `source.events`."""
    if not field.startswith(PROPERTY):
        return table[field]
    return table[source.property(field.removeprefix(PROPERTY)).get_name()]


def picked(source: EventSource, table: Any, pick: EventPick) -> Any:
    """The Ibis truth of an event being one of the pick's."""
    named = table.name.isin(pick.all_names) if pick.names else ~table.name.isin(sorted(NOT_ACTIVITY))
    return reduce(and_, (holds(source, table, condition) for condition in pick.where), named)


def left_out(include: Sequence[str] = ()) -> tuple[str, ...]:
    """The flags whose events do not count unless they are asked for."""
    return tuple(flag for flag, who in (("is_bot", "bots"), ("is_internal", "internal")) if who not in include)


def people_only(table: Any, include: Sequence[str] = ()) -> Any:
    """Events of known people, without bots and internal users unless they are asked for."""
    kept = table.person_id.notnull()
    for flag in left_out(include):
        kept &= ~table[flag]
    return table.filter(kept)


def holds(source: EventSource, table: Any, condition: Condition) -> Any:
    """The Ibis truth of one condition; never null: a missing value equals nothing, and differs from everything."""
    column, value = column_of(source, table, condition.field), condition.value
    if condition.op == "is_null":
        return column.isnull() if value else column.notnull()
    if condition.op in ("gt", "lt"):
        return _ordered(column, condition).fill_null(False)
    found = _equal(column, value if isinstance(value, tuple) else (value,)).fill_null(False)
    return ~found if condition.op == "ne" else found


def all_hold(source: EventSource, table: Any, conditions: Iterable[Condition]) -> Any:
    """The Ibis truth of all of them."""
    return reduce(and_, (holds(source, table, condition) for condition in conditions), ibis.literal(True))


def _equal(column: Any, values: tuple[Any, ...]) -> Any:
    if column.type().is_string():
        return column.isin([_text(value) for value in values])
    if column.type().is_boolean():
        return column.isin([bool(value) for value in values])
    numbers = [number for value in values if (number := _number(value)) is not None]
    return column.isin(numbers) if numbers else ibis.literal(False)


def _ordered(column: Any, condition: Condition) -> Any:
    number = None if column.type().is_boolean() else _number(condition.value)
    if number is None:
        raise QuestionError(f"{condition.field}: `{condition.op}` compares with a number", "filters")
    if column.type().is_string():
        column = column.try_cast("float64")
    return column > number if condition.op == "gt" else column < number


def _text(value: Any) -> str:
    """As the lake writes a JSON value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def bit(truth: Any, index: int) -> Any:
    """2 ** index where it is true, else 0."""
    return ibis.ifelse(truth, 1 << index, 0).cast("int64")
