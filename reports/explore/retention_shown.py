"""Cohorts and lifecycle as they are written on the page."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from analytics.periods import Calendar
from reports.dashboard.shown import point_shown
from reports.explore.drawing import Block, stacks_of
from reports.explore.frame import amount, count, people_href, share

STATES: Final = (("new", 4, "New"), ("returning", 1, "Stayed"), ("resurrected", 3, "Came back"))
DORMANT: Final = 6
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CellShown:
    """One cell; `step` is 0 to 10 for its colour. `is_open`: the period is not over for all."""

    text: str
    more: str
    step: int
    is_open: bool
    href: str
    spoken: str


@dataclass(frozen=True, slots=True)
class CohortShown:
    """One row."""

    label: str
    size: str
    cells: tuple[CellShown, ...]


@dataclass(frozen=True, slots=True)
class RetentionShown:
    """The table. `heads` are periods."""

    reading: str
    heads: tuple[str, ...]
    rows: tuple[CohortShown, ...]
    means: tuple[str, ...]
    spent: tuple[str, ...]
    is_empty: bool
    has_open: bool
    places: tuple[tuple[str, str], ...]


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


def retention_shown(answer: Answer, q: str, calendar: Calendar) -> RetentionShown:
    """Every number written out; cells lead to their people."""
    rows, unit = answer["rows"], answer["unit"]
    currency = answer.get("currency") or ""
    shown = tuple(_row(row, place, q, unit, currency, calendar) for place, row in enumerate(rows))
    spent = [f"{value:.2f}" if value is not None else None for value in answer.get("revenue_per_person", ())]
    return RetentionShown(
        reading=answer["reading"],
        heads=tuple(_heads(answer)),
        rows=shown,
        means=tuple(share(mean) if mean is not None else "" for mean in answer["means"]),
        spent=tuple(amount(value, currency) if value is not None else "" for value in spent) if currency else (),
        is_empty=not any(row["size"] for row in rows),
        has_open=any(not cell["is_complete"] for row in rows for cell in row["cells"]),
        places=tuple(
            (f"{place}:1", f"Of {row.label}: came again in the first period after")
            for place, row in enumerate(shown)
            if len(row.cells) > 1
        ),
    )


def _heads(answer: Answer) -> list[str]:
    brackets = answer.get("brackets") or []
    if brackets:
        spans = itertools.pairwise(brackets)
        return [f"Day {low}" if high == low + 1 else f"Day {low}–{high - 1}" for low, high in spans]
    most = max((len(row["cells"]) for row in answer["rows"]), default=0)
    return [f"{answer['unit'].capitalize()} {period}" for period in range(most)]


def _row(row: Answer, place: int, q: str, unit: str, currency: str, calendar: Calendar) -> CohortShown:
    label = point_shown(datetime.fromisoformat(row["start"]), unit, calendar)
    cells = tuple(_cell(cell, place, q, label, currency) for cell in row["cells"])
    return CohortShown(label, count(row["size"]), cells)


def _cell(cell: Answer, place: int, q: str, label: str, currency: str) -> CellShown:
    value = cell["share"]
    step = 0 if not value else max(1, min(10, round(value * 10)))
    href = people_href("retention", q, cohort=place, period=cell["period"]) if cell["returned"] else ""
    text = share(value) if value is not None else ("open" if not cell["is_complete"] else "")
    more = amount(cell["revenue"], currency) if currency and cell["revenue"] is not None else ""
    spoken = f"{count(cell['returned'])} people of {label}, period {cell['period']}"
    return CellShown(text, more, step, not cell["is_complete"], href, spoken)


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
