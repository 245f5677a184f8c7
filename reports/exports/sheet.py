"""The document that every format is written from: typed columns, rows, and a footer that says what the numbers are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias
from zoneinfo import ZoneInfo

from kpis.base import Metric, Unit
from kpis.contracts import OTHER, Breakdown, Point, Series, written
from kpis.daily_visitors import DailyVisitors
from kpis.rollup.keys import NONE_KEY

Cell: TypeAlias = str | int | float | bool | Decimal | datetime | date | None
NO_VALUE = "(none)"
OTHER_VALUES = "(other)"


class ColumnKind(StrEnum):
    """How the cells of a column are written and shown."""

    TEXT = "text"
    INSTANT = "instant"
    FLAG = "flag"
    COUNT = "count"
    MONEY = "money"
    RATIO = "ratio"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Column:
    """`digits` after the point, of money."""

    name: str
    kind: ColumnKind
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Sheet:
    """`rows` may be read once only. `footer` are pairs of a word and what it says."""

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[tuple[Cell, ...]]
    footer: tuple[tuple[str, str], ...] = ()


KINDS = {
    Unit.MONEY: ColumnKind.MONEY,
    Unit.COUNT: ColumnKind.COUNT,
    Unit.RATIO: ColumnKind.RATIO,
    Unit.DURATION: ColumnKind.NUMBER,
    Unit.NUMBER: ColumnKind.NUMBER,
}


def series_sheet(series: Series, metric: Metric) -> Sheet:
    """A row for each point, and for each value of the breakdown; for totals alone one row (each)."""
    kind = KINDS.get(series.unit, ColumnKind.NUMBER)
    before = series.comparison is not None
    columns = [
        Column("start", ColumnKind.INSTANT),
        *([Column(series.by, ColumnKind.TEXT)] if series.by else []),
        Column(_value_name(series), kind, series.exponent),
        Column("is_complete", ColumnKind.FLAG),
        *(
            [Column("compared_start", ColumnKind.INSTANT), Column("compared_value", kind, series.exponent)]
            if before
            else []
        ),
        *([Column("daily_visitors", ColumnKind.TEXT)] if has_daily(series) else []),
        *([Column("compared_daily_visitors", ColumnKind.TEXT)] if has_daily(series) and before else []),
    ]
    return Sheet(metric.id, tuple(columns), _rows(series), series_footer(series, metric))


def has_daily(series: Series) -> bool:
    """Whether any number of it counts daily visitors over days (S35)."""
    compared = [series.comparison, *(part.comparison for part in series.series)]
    marks = [series.daily_visitors, *(part.daily_visitors for part in series.series)]
    return any(marks) or any(each.daily_visitors for each in compared if each is not None)


def series_footer(series: Series, metric: Metric) -> tuple[tuple[str, str], ...]:
    """What somebody needs to trust the numbers without asking where they come from."""
    zone = ZoneInfo(series.timezone)
    filters = "; ".join(f"{test.field} {test.op} {test.value}" for test in series.filters)
    pairs = [
        ("Metric", f"{metric.name} ({metric.id})"),
        ("Computed as", metric.in_words),
        ("Total of the range", _text(series.total, series)),
        ("Unit", f"{series.unit}, {series.currency}" if series.unit is Unit.MONEY else str(series.unit)),
        ("Range", f"{_at(series.start, zone)} to {_at(series.end, zone)} (not included)"),
        ("Time zone", series.timezone),
        ("Granularity", series.granularity),
        ("Filters", filters or "none"),
        ("Included besides", ", ".join(series.include) or "nothing: bots and internal users are left out"),
        ("Data through", _at(series.data_through, zone)),
        ("Complete", "yes" if series.is_complete else "no: the range is open or waits to be counted"),
        ("Definition version", series.definition_version),
        ("Computed at", _at(series.computed_at, zone)),
    ]
    if series.comparison is not None:
        compared = series.comparison
        pairs.insert(5, ("Compared with", f"{_at(compared.start, zone)} to {_at(compared.end, zone)} (not included)"))
        pairs.insert(6, ("Total compared with", _text(compared.total, series)))
    if series.is_partial:
        pairs.append(("Partial", "money without an exchange rate is missing"))
    if series.daily_visitors is not None:
        pairs.append(("Daily visitors", series.daily_visitors.told))
    if series.comparison is not None and series.comparison.daily_visitors is not None:
        pairs.append(("Daily visitors compared with", series.comparison.daily_visitors.told_of_before))
    return tuple(pairs)


def _rows(series: Series) -> Iterator[tuple[Cell, ...]]:
    if series.by is None:
        yield from _lines(
            series, Breakdown("", series.total, series.points, series.comparison, series.daily_visitors), ()
        )
    for part in series.series:
        yield from _lines(series, part, (_key(part.key),))


def _lines(series: Series, part: Breakdown, key: tuple[str, ...]) -> Iterator[tuple[Cell, ...]]:
    zone = ZoneInfo(series.timezone)
    has_before = series.comparison is not None
    points = part.points or (Point(series.start, part.total, series.is_complete, part.daily_visitors),)
    compared = part.comparison
    earlier: tuple[Point, ...] = compared.points if compared is not None else ()
    if compared is not None and not part.points:
        earlier = (Point(compared.start, compared.total, True, compared.daily_visitors),)
    says = has_daily(series)
    for index, point in enumerate(points):
        line: tuple[Cell, ...] = (point.start.astimezone(zone), *key, _number(point.value, series), point.is_complete)
        mark = (_mark(point, part.daily_visitors),) if says else ()
        if not has_before:
            yield (*line, *mark)
        elif index < len(earlier):
            then = earlier[index]
            mark_then = (_mark(then, compared.daily_visitors if compared else None),) if says else ()
            yield (*line, then.start.astimezone(zone), _number(then.value, series), *mark, *mark_then)
        else:
            yield (*line, None, None, *mark, *((None,) if says else ()))


def _mark(point: Point, of_total: DailyVisitors | None) -> str | None:
    """A CSV has no footer: what its numbers must not be taken for without stands beside each of them. A day counts
    nobody twice, but whoever has a file of days adds them up.
    """
    found = point.daily_visitors or of_total
    if found is None or point.value is None:
        return None
    return found.label if found is point.daily_visitors or found.are_left_out else f"never add rows: {found.label}"


def _value_name(series: Series) -> str:
    unit = {Unit.MONEY: series.currency, Unit.DURATION: "milliseconds"}.get(series.unit, "")
    return f"value ({unit})" if unit else "value"


def _number(value: Decimal | None, series: Series) -> Cell:
    found = written(value, series.unit, series.exponent)
    return Decimal(found) if isinstance(found, str) else found


def _text(value: Decimal | None, series: Series) -> str:
    return "not known" if value is None else str(written(value, series.unit, series.exponent))


def _key(key: str) -> str:
    return {"": NO_VALUE, NONE_KEY: NO_VALUE, OTHER: OTHER_VALUES}.get(key, key)


def _at(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat(timespec="seconds")
