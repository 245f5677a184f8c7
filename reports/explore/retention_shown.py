"""Cohorts and lifecycle as they are written on the page."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from analytics.periods import Calendar
from kpis.contracts import OTHER
from reports.dashboard.shown import point_shown
from reports.explore.asking import address
from reports.explore.drawing import Block, Lines, lines_of, stacks_of
from reports.explore.frame import amount, between, count, key_shown, people_href, points, share, spread, tone, verdict

STATES: Final = (("new", 4, "New"), ("returning", 1, "Stayed"), ("resurrected", 3, "Came back"))
DORMANT: Final = 6
EVERYBODY: Final = "Everybody"
MOST_DRAWN: Final = 4
"""Values drawn beside everybody: as many as have colours of their own."""
LONGEST_LABEL: Final = 80
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CellShown:
    """One cell; `step` is 0 to 10 for its colour. `is_open`: the period is not over for all. `is_small`: its cohort has
    so few people that the cell says how many instead of standing out."""

    text: str
    more: str
    step: int
    is_open: bool
    is_small: bool
    href: str
    spoken: str


@dataclass(frozen=True, slots=True)
class CohortShown:
    """One row; `place` is its number in the table. `short`: its label where there is little room."""

    label: str
    short: str
    size: str
    place: int
    cells: tuple[CellShown, ...]


@dataclass(frozen=True, slots=True)
class ValueShown:
    """A value of the breakdown with its means; `href` shows its cohorts."""

    label: str
    size: str
    cells: tuple[CellShown, ...]
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ValuesShown:
    """Everybody, then each value. `drawing`: the largest of them as lines. `shares_people`: cohorts do. `has_small`: a
    value has so few people that its shares move by chance."""

    by: str
    rows: tuple[ValueShown, ...]
    drawing: Lines | None
    shares_people: bool
    has_small: bool


@dataclass(frozen=True, slots=True)
class VersusRow:
    """One period of two cohorts."""

    label: str
    share: str
    other: str
    difference: str
    interval: str
    p: str
    verdict: str
    tone: str


@dataclass(frozen=True, slots=True)
class VersusShown:
    """Two cohorts side by side."""

    label: str
    other: str
    size: str
    size_other: str
    rows: tuple[VersusRow, ...]


@dataclass(frozen=True, slots=True)
class RetentionShown:
    """The table. `heads` are periods; `choices` the cohorts that can be compared, and `chosen` the two that are. `of`:
    the value whose cohorts they are; `everybody` leads to those of all."""

    reading: str
    heads: tuple[str, ...]
    rows: tuple[CohortShown, ...]
    means: tuple[str, ...]
    mean_intervals: tuple[str, ...]
    spent: tuple[str, ...]
    is_empty: bool
    has_open: bool
    has_small: bool
    min_size: str
    versus: VersusShown | None
    choices: tuple[tuple[int, str], ...]
    chosen: tuple[int, int] | None
    suggestion: tuple[str, str] | None
    places: tuple[tuple[str, str], ...]
    values: ValuesShown | None
    of: str
    everybody: str


@dataclass(frozen=True, slots=True)
class LifePoint:
    """A period of the lifecycle."""

    label: str
    cells: tuple[tuple[str, str], ...]
    active: str
    ratio: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class LifecycleShown:
    """The drawing and the table."""

    reading: str
    blocks: tuple[Block, ...]
    points: tuple[LifePoint, ...]
    first: str
    last: str
    unit: str


def retention_shown(
    answer: Answer, q: str, calendar: Calendar, path: str, chosen: Mapping[str, str] | None = None
) -> RetentionShown:
    """Every number written out; cells lead to their people. `path` is the page's. `chosen`: the parameters of its
    address; `value` names the value of the breakdown whose cohorts are shown, `job` the one that found the answer."""
    parameters = chosen or {}
    part = next((part for part in answer.get("breakdown", ()) if part["key"] == parameters.get("value")), None)
    page = Page(path, q, parameters, part["key"] if part else None)
    table, rows, unit = part or answer, (part or answer)["rows"], answer["unit"]
    currency = answer.get("currency") or ""
    starts = [datetime.fromisoformat(row["start"]) for row in rows]
    labels, shorts = [point_shown(start, unit, calendar) for start in starts], _shorts(starts, unit, calendar)
    shown = tuple(
        _row(row, place, q, labels[place], shorts[place], currency, page.value) for place, row in enumerate(rows)
    )
    heads = tuple(_heads(answer))
    choices = _choices(answer, shown) if part is None else ()
    spent = [f"{value:.2f}" if value is not None else None for value in table.get("revenue_per_person", ())]
    return RetentionShown(
        reading=answer["reading"],
        heads=heads,
        rows=shown,
        means=tuple(share(mean) if mean is not None else "" for mean in table["means"]),
        mean_intervals=tuple(between(interval) for interval in table.get("mean_intervals", ())),
        spent=tuple(amount(value, currency) if value is not None else "" for value in spent) if currency else (),
        is_empty=not any(row["size"] for row in rows),
        has_open=any(not cell["is_complete"] for row in rows for cell in row["cells"]),
        has_small=any(row.get("is_small") and row["size"] for row in rows),
        min_size=count(answer.get("min_size", 0)),
        versus=_versus(answer.get("versus"), shown, heads) if part is None else None,
        choices=choices,
        chosen=_chosen(answer.get("versus"), choices),
        suggestion=_suggestion(answer, path),
        places=_places(shown) if part is None else (),
        values=_values(answer, page, heads),
        of=value_shown(part["key"]) if part else "",
        everybody=page.at(None),
    )


@dataclass(frozen=True, slots=True)
class Page:
    """Where the answer is shown, and of which value."""

    path: str
    q: str
    parameters: Mapping[str, str]
    value: str | None

    def at(self, key: str | None) -> str:
        """Its address with the cohorts of a value, or of everybody."""
        kept = {name: self.parameters[name] for name in ("job", "engine") if self.parameters.get(name)}
        value = {} if key is None else {"value": key}
        return f"{self.path}?{urlencode({'q': self.q, **kept, **value})}#cohorts-title"


def _places(shown: tuple[CohortShown, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"{place}:1", f"Of {row.label}: came again in the first period after")
        for place, row in enumerate(shown)
        if len(row.cells) > 1
    )


def _values(answer: Answer, page: Page, heads: tuple[str, ...]) -> ValuesShown | None:
    """None without a breakdown, or where nobody came."""
    parts = answer.get("breakdown") or ()
    if not parts:
        return None
    currency, size = answer.get("currency") or "", sum(row["size"] for row in answer["rows"])
    whole = {**answer, "size": size, "is_small": size < answer["min_size"]}
    rows = [
        _value(whole, EVERYBODY, page, None, currency),
        *(_value(part, value_shown(part["key"]), page, part["key"], currency) for part in parts),
    ]
    drawn = [(EVERYBODY, answer), *((value_shown(p["key"]), p) for p in parts[:MOST_DRAWN] if p["key"] != OTHER)]
    first = 0 if answer.get("days") or answer.get("brackets") else 1
    drawing = _drawing([(label, part["means"][first:]) for label, part in drawn], heads[first:])
    has_small = any(part["is_small"] for part in parts)
    return ValuesShown(answer["by"], tuple(rows), drawing, answer.get("cohort") == "recurring", has_small)


def _drawing(series: Sequence[tuple[str, Sequence[float | None]]], heads: Sequence[str]) -> Lines | None:
    """Over the periods that anything is known of; none where that is one point."""
    known = [place for place in range(len(heads)) if any(values[place] is not None for _, values in series)]
    if len(known) < 2:
        return None
    end = known[-1] + 1
    top = max(value for _, values in series for value in values if value is not None)
    return lines_of([(label, values[:end]) for label, values in series], heads[:end], share(top, 0))


def _value(part: Answer, label: str, page: Page, key: str | None, currency: str) -> ValueShown:
    intervals = part["mean_intervals"] or [None] * len(part["means"])
    cells = tuple(
        _mean(part, period, f"{label}, period {period}", interval, currency)
        for period, interval in enumerate(intervals)
    )
    return ValueShown(label, count(part["size"]), cells, page.at(key), page.value == key)


def _mean(part: Answer, period: int, spoken: str, interval: Answer | None, currency: str) -> CellShown:
    mean, spent = part["means"][period], part["revenue_per_person"][period]
    if mean is None:
        return CellShown("open", "", 0, True, False, "", f"{spoken}: over for no cohort yet")
    told = f"{spoken}; 95 % interval {between(interval)}" if interval else spoken
    more = amount(f"{spent:.2f}", currency) if currency and spent is not None else ""
    return CellShown(share(mean), more, _step(mean), False, part["is_small"], "", told)


def value_shown(key: str) -> str:
    """A value of the breakdown as a label."""
    label = key_shown(key)
    return label if len(label) <= LONGEST_LABEL else f"{label[:LONGEST_LABEL]}…"


def _shorts(starts: Sequence[datetime], unit: str, calendar: Calendar) -> list[str]:
    """Dates of cohorts without what goes without saying: the head of the page tells the range and its year."""
    days = [calendar.local_date(start) for start in starts]
    return [
        f"{day:%b %Y}"
        if unit == "month"
        else f"{day.day} {day:%b}" + ("" if day.year == days[-1].year else f" {day:%Y}")
        for day in days
    ]


def _heads(answer: Answer) -> list[str]:
    brackets = answer.get("brackets") or []
    if answer.get("days"):
        return [f"Day {day}" for day in answer["days"]]
    if brackets:
        spans = itertools.pairwise(brackets)
        return [f"Day {low}" if high == low + 1 else f"Day {low}–{high - 1}" for low, high in spans]
    most = max((len(row["cells"]) for row in answer["rows"]), default=0)
    return [f"{answer['unit'].capitalize()} {period}" for period in range(most)]


def _row(row: Answer, place: int, q: str, label: str, short: str, currency: str, key: str | None) -> CohortShown:
    cells = tuple(_cell(cell, row, place, q, label, currency, key) for cell in row["cells"])
    return CohortShown(label, short, count(row["size"]), place, cells)


def _step(value: float | None) -> int:
    return 0 if not value else max(1, min(10, round(value * 10)))


def _cell(cell: Answer, row: Answer, place: int, q: str, label: str, currency: str, key: str | None) -> CellShown:
    value = cell["share"]
    step = _step(value)
    at = {"cohort": place, "period": cell["period"], **({} if key is None else {"key": key})}
    href = people_href("retention", q, **at) if cell["returned"] else ""
    text = share(value) if value is not None else ("open" if not cell["is_complete"] else "")
    more = amount(cell["revenue"], currency) if currency and cell["revenue"] is not None else ""
    spoken = f"{count(cell['returned'])} people of {label}, period {cell['period']}"
    if cell.get("interval"):
        spoken += f"; 95 % interval {between(cell['interval'])}"
    is_small = bool(row.get("is_small")) and value is not None
    if is_small:
        more = f"{more} {count(cell['returned'])} of {count(row['size'])}".strip()
    return CellShown(text, more, step, not cell["is_complete"], is_small, href, spoken)


def _choices(answer: Answer, shown: tuple[CohortShown, ...]) -> tuple[tuple[int, str], ...]:
    """Cohorts with anybody in them, newest first; none where cohorts share people."""
    if answer.get("cohort") == "recurring":
        return ()
    found = [(row.place, row.label) for row in shown if answer["rows"][row.place]["size"]]
    return tuple(reversed(found)) if len(found) > 1 else ()


def _chosen(versus: Answer | None, choices: tuple[tuple[int, str], ...]) -> tuple[int, int] | None:
    """Those that are compared; else the newest but one and the one before it, for the newest has hardly begun."""
    if versus:
        return versus["cohort"], versus["other"]
    newest = choices[1:] if len(choices) > 2 else choices
    return (newest[0][0], newest[1][0]) if len(newest) > 1 else None


def _versus(versus: Answer | None, shown: tuple[CohortShown, ...], heads: tuple[str, ...]) -> VersusShown | None:
    if not versus:
        return None
    one, other = shown[versus["cohort"]], shown[versus["other"]]
    rows = tuple(_period(test, heads[test["period"]]) for test in versus["periods"])
    return VersusShown(one.label, other.label, one.size, other.size, rows)


def _period(test: Answer, head: str) -> VersusRow:
    return VersusRow(
        label=head,
        share=share(test["share"]),
        other=share(test["share_other"]),
        difference=points(test["difference"]),
        interval=spread(test["interval"]),
        p=chance(test["p_holm"]),
        verdict="no difference" if test["p"] is None else verdict(test["difference"], test["is_clear"]),
        tone=tone(test["difference"], test["is_clear"]),
    )


def chance(p: float | None) -> str:
    """A p value."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _suggestion(answer: Answer, path: str) -> tuple[str, str] | None:
    """The unit that fits how often people come, where it is another one: its words and its address."""
    found = answer.get("usage_interval")
    wanted = answer.get("question")
    if not found or not isinstance(wanted, Mapping) or found["unit"] == answer["unit"]:
        return None
    if answer.get("days") or answer.get("brackets"):
        return None
    asked = {name: value for name, value in wanted.items() if name not in ("versus", "unit")}
    return f"Look by {found['unit']}", address(path, {**asked, "unit": found["unit"]})


def lifecycle_shown(answer: Answer, q: str, calendar: Calendar) -> LifecycleShown | None:
    """None while nobody came at all."""
    points, unit = answer["points"], answer["unit"]
    while points and not points[0]["active"] and not points[0]["dormant"]:
        points = points[1:]
    if not points:
        return None
    offset = len(answer["points"]) - len(points)
    labels = [point_shown(datetime.fromisoformat(point["start"]), unit, calendar) for point in points]
    columns = [_column(point, label) for point, label in zip(points, labels, strict=True)]
    shown = tuple(
        _point(point, label, offset + place, q) for place, (point, label) in enumerate(zip(points, labels, strict=True))
    )
    return LifecycleShown(answer["reading"], stacks_of(columns), shown, labels[0], labels[-1], unit)


def _column(point: Answer, label: str) -> list[tuple[int, float, str]]:
    up = [(colour, float(point[name] or 0), f"{word}: {count(point[name])}, {label}") for name, colour, word in STATES]
    return [*up, (DORMANT, -float(point["dormant"] or 0), f"Fell asleep: {count(point['dormant'])}, {label}")]


def _point(point: Answer, label: str, place: int, q: str) -> LifePoint:
    names = [*(name for name, _, _ in STATES), "dormant"]
    cells = tuple(
        (count(point[name]), people_href("lifecycle", q, period=place, state=name) if point[name] else "")
        for name in names
    )
    ratio = "–" if point["quick_ratio"] is None else f"{point['quick_ratio']:.2f}"
    return LifePoint(label, cells, count(point["active"]), ratio, not point["is_complete"])
