"""Paths (X3): what people do after an event, or before it, step by step; in visits or in a window.

A visit (or a window after the event) is a series of names. Repeats of one name in a row are one step (loops folded);
at each place the names seen most are shown, the rest is OTHER.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
from pyroaring import BitMap, FrozenBitMap

from analytics.lazily import Lazily
from analytics.periods import to_micros
from kpis.base import Condition
from kpis.contracts import OTHER
from kpis.daily_visitors import NOBODY, DailyVisitors, among, is_of_days
from kpis.explore.picks import (
    EventPick,
    all_hold,
    bit,
    column_of,
    dimension_check,
    field_check,
    fields_of,
    people_only,
    picked,
)
from kpis.explore.stamp import EventSource, Stamp, fingerprint, micros_of
from kpis.funnels.attempts import Flags, Ints
from kpis.funnels.kernel import first_of_run
from kpis.funnels.rows import coded, ordered
from kpis.paths_versus import PathsComparison, Place, Walked, compared
from kpis.series.question import INCLUDABLE, QuestionError

if TYPE_CHECKING:
    import ibis
else:
    ibis = Lazily("ibis")

VERSION: Final = 1
MAX_DEPTH: Final = 10
MAX_TOP: Final = 20
END: Final = "__end__"
"""In place of a next step: the visit or the window was over."""
VISIT: Final = timedelta(minutes=30)
COLUMNS: Final = ("name", "person_id", "ts", "seq", "is_bot", "is_internal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Paths of `depth` steps from each person's events of `anchor` in [start, end).

    direction  "after" or "before" the anchor
    within     "session": to the first pause of 30 minutes; or a window from the anchor
    entry      "first": each person's first anchor in the range; "each": every one that is no part of an earlier path
    by         what a step is called: the event's name, or a column or property such as properties.path
    top        names kept at each place; the rest is OTHER
    against    another range to set beside it
    """

    start: datetime
    end: datetime
    anchor: EventPick
    direction: Literal["after", "before"] = "after"
    depth: int = 3
    top: int = 5
    within: timedelta | None = None
    entry: Literal["first", "each"] = "first"
    by: str = "name"
    filters: tuple[Condition, ...] = ()
    include: tuple[str, ...] = ()
    against: tuple[datetime, datetime] | None = None

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise QuestionError("the range is empty: `to` must be after `from` (it is exclusive)", "to")
        if self.end - self.start > timedelta(days=3660):
            raise QuestionError("the range is at most 3660 days", "from")
        if not self.anchor.names:
            raise QuestionError("say from which event the paths begin", "anchor")
        if self.direction not in ("after", "before") or self.entry not in ("first", "each"):
            raise QuestionError("direction is after or before, entry is first or each", "direction")
        if not 1 <= self.depth <= MAX_DEPTH or not 1 <= self.top <= MAX_TOP:
            raise QuestionError(f"depth is from 1 to {MAX_DEPTH}, top from 1 to {MAX_TOP}", "depth")
        if self.within is not None and not timedelta(0) < self.within <= timedelta(days=366):
            raise QuestionError("within is longer than nothing and at most 366 days", "within")
        dimension_check(self.by)
        for condition in self.filters:
            field_check(condition.field)
        if set(self.include) - INCLUDABLE:
            raise QuestionError(f"include takes {', '.join(sorted(INCLUDABLE))}", "include")

    @property
    def other(self) -> Paths | None:
        """The same of the other range."""
        return self.against and replace(self, start=self.against[0], end=self.against[1], against=None)

    @property
    def reach(self) -> timedelta:
        """How far from the anchor events can matter; a visit is at most twelve hours long (as sessions are)."""
        return self.within or timedelta(hours=12)

    @property
    def span(self) -> tuple[datetime, datetime]:
        if self.direction == "after":
            return self.start, self.end + self.reach
        return self.start - self.reach, self.end


@dataclass(frozen=True, slots=True)
class PathNode:
    """A name at a place (1 is next to the anchor), how many paths come through it and how many people."""

    place: int
    name: str
    paths: int
    people: int


@dataclass(frozen=True, slots=True)
class PathLink:
    """How many paths go from a name at a place to a name at the place after it."""

    place: int
    source: str
    target: str
    paths: int


@dataclass(frozen=True, slots=True)
class PathRow:
    """One whole path and how many took it."""

    steps: tuple[str, ...]
    paths: int


@dataclass(frozen=True, slots=True)
class PathsAnswer:
    """`paths` begin at the anchor; nodes, links and the most frequent whole paths. `daily_visitors`: those of `people`
    who are counted anew each day (S35)."""

    question: Paths
    paths: int
    people: int
    nodes: tuple[PathNode, ...]
    links: tuple[PathLink, ...]
    rows: tuple[PathRow, ...]
    comparison: PathsComparison | None
    reading: str
    stamp: Stamp
    daily_visitors: DailyVisitors | None = None


def columns_of(question: Paths) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns and properties that the store has to have open."""
    columns, properties = fields_of((question.anchor, EventPick(where=question.filters)), question.by)
    return tuple(dict.fromkeys((*COLUMNS, *columns))), properties


def paths_read(
    source: EventSource, question: Paths, *, timezone: str, now: datetime, daily: FrozenBitMap = NOBODY
) -> PathsAnswer:
    """The answer over an open event store, which holds the range compared with too. `daily`: who are daily visitors."""
    walked = _walked(source, question)
    paths, people = len(walked.person), len(np.unique(walked.person))
    nodes, links, whole = _counted(walked.grid, walked.person, walked.names, question)
    other = question.other
    comparison = None
    if other is not None:
        places = [_place(number, nodes) for number in range(1, question.depth + 1)]
        before = _walked(source, other)
        comparison = replace(
            compared(places, walked, before, (other.start, other.end)), daily_visitors=_daily(before, other, daily)
        )
    reading = _reading(question, paths, nodes)
    return PathsAnswer(
        question=question,
        paths=paths,
        people=people,
        nodes=nodes,
        links=links,
        rows=whole,
        comparison=comparison,
        reading=f"{reading} {comparison.reading}" if comparison and paths else reading,
        stamp=Stamp(
            timezone=timezone,
            start=question.start,
            end=question.end,
            filters=question.filters,
            include=question.include,
            definition_version=fingerprint(VERSION, ""),
            data_through=source.data_through,
            is_complete=source.data_through >= question.span[1],
            computed_at=now,
            executor=f"{source.engine}+kernel",
        ),
        daily_visitors=_daily(walked, question, daily),
    )


def _daily(walked: Walked, question: Paths, daily: FrozenBitMap) -> DailyVisitors | None:
    """Those of `daily` who walked; within one UTC day nobody is counted twice."""
    if not daily or not is_of_days(question.start, question.end):
        return None
    return among(FrozenBitMap(walked.person.astype(np.uint32)), daily)


def _walked(source: EventSource, question: Paths) -> Walked:
    rows = _rows(source, question)
    anchors = _anchors(rows, question)
    return Walked(rows.person[anchors], _grid(rows, anchors, question), rows.names)


def _place(number: int, nodes: tuple[PathNode, ...]) -> Place:
    names = [node.name for node in nodes if node.place == number]
    return Place(number, tuple(name for name in names if name not in (OTHER, END)), OTHER, END)


def paths_people(source: EventSource, question: Paths, *, place: int, name: str) -> BitMap:
    """The people whose paths come through a name (or OTHER, or END) at a place, 1 being next to the anchor."""
    rows = _rows(source, question)
    anchors = _anchors(rows, question)
    shown = [*rows.names, OTHER, END]
    column = _folded(_grid(rows, anchors, question)[:, place - 1], shown, question.top)
    # An event may be called as the end or the others are; then it is both.
    codes = [code for code, each in enumerate(shown) if each == name]
    return BitMap(np.unique(rows.person[anchors][np.isin(column, codes)]).astype(np.uint32))


@dataclass(frozen=True)
class _Rows:
    """Events by person and time (backwards for paths before): what each is called, and whether it is an anchor."""

    person: Ints
    ts: Ints
    visit: Ints
    name: Ints
    is_anchor: Flags
    names: tuple[str, ...]


def _rows(source: EventSource, question: Paths) -> _Rows:
    start, end = (to_micros(instant) for instant in question.span)
    table = people_only(source.events, question.include)
    table = table.filter((table.ts >= start) & (table.ts < end))
    anchor = picked(source, table, question.anchor) & all_hold(source, table, question.filters)
    table = table.mutate(anchor=bit(anchor, 0), step=column_of(source, table, question.by))
    table = table.filter((table.anchor > 0) | picked(source, table, EventPick()))
    # People without an anchor have no path: they need not be fetched.
    who = table.filter(table.anchor > 0).select("person_id").distinct()
    table = table.semi_join(who, "person_id")
    found = source.run(
        table.select(
            person=table.person_id.cast("int64"),
            ts=table.ts,
            seq=table.seq.cast("int64"),
            anchor=table.anchor,
            step=ibis.coalesce(table.step, ibis.literal("")),
        )
    )
    return _sorted(found, question)


def _sorted(found: pa.Table, question: Paths) -> _Rows:
    person, ts, seq, anchor = (
        found.column(name).to_numpy().astype(np.int64) for name in ("person", "ts", "seq", "anchor")
    )
    name, names = coded(found.column("step"))
    order = ordered(person, ts, seq)
    if question.direction == "before":
        order = order[::-1]
    person, ts, name, is_anchor = person[order], ts[order], name[order], anchor[order] > 0
    visit = _visits(person, ts, question)
    is_anchor &= (ts >= to_micros(question.start)) & (ts < to_micros(question.end))
    # Loops folded: a name that follows itself is one step, unless a path begins in the middle of it.
    is_same = (visit[1:] == visit[:-1]) & (name[1:] == name[:-1]) & ~(is_anchor[1:] & ~is_anchor[:-1])
    keep = np.append(True, ~is_same)[: len(ts)]
    return _Rows(person[keep], ts[keep], visit[keep], name[keep], is_anchor[keep], names)


def _visits(person: Ints, ts: Ints, question: Paths) -> Ints:
    """A number for each stretch that a path may run through: a visit, or with a window all of a person's events."""
    ends = person[1:] != person[:-1]
    if question.within is None:
        ends = ends | (np.abs(ts[1:] - ts[:-1]) >= micros_of(VISIT))
    return np.append(0, np.cumsum(ends))[: len(ts)]


def _anchors(rows: _Rows, question: Paths) -> Ints:
    """Rows from which a path begins."""
    found = np.flatnonzero(rows.is_anchor)
    if question.entry == "first":
        if question.direction == "before":  # rows run backwards: the earliest of a person comes last
            return found[::-1][first_of_run(rows.person[found][::-1])][::-1]
        return found[first_of_run(rows.person[found])]
    chosen, end = [], -1
    for place in found.tolist():
        if place >= end:
            chosen.append(place)
            end = place + question.depth + 1
    return np.array(chosen, dtype=np.int64)


def _grid(rows: _Rows, anchors: Ints, question: Paths) -> Ints:
    """For each path the numbers of its steps' names; -1 beyond its end."""
    size = len(rows.ts)
    grid = np.full((len(anchors), question.depth), -1)
    goes_on = np.ones(len(anchors), dtype=bool)
    for step in range(1, question.depth + 1):
        place = np.minimum(anchors + step, size - 1) if size else anchors
        goes_on &= (anchors + step < size) & (rows.visit[place] == rows.visit[anchors])
        if question.within is not None:
            goes_on &= np.abs(rows.ts[place] - rows.ts[anchors]) <= micros_of(question.within)
        grid[goes_on, step - 1] = rows.name[place][goes_on]
    return grid


def _counted(
    grid: Ints, person: Ints, names: tuple[str, ...], question: Paths
) -> tuple[tuple[PathNode, ...], tuple[PathLink, ...], tuple[PathRow, ...]]:
    shown = [*names, OTHER, END]
    folded = np.empty_like(grid)
    nodes: list[PathNode] = []
    for place in range(question.depth):
        column = _folded(grid[:, place], shown, question.top)
        folded[:, place] = column
        nodes += _nodes(column, person, place + 1, shown)
    links = tuple(_links(folded, shown))
    found, times = np.unique(folded, axis=0, return_counts=True) if len(folded) else (folded, np.zeros(0, dtype=int))
    rows = [PathRow(tuple(shown[code] for code in path), int(n)) for path, n in zip(found.tolist(), times, strict=True)]
    rows.sort(key=lambda row: (-row.paths, row.steps))
    return tuple(nodes), links, tuple(rows[: question.top * 4])


def _folded(column: Ints, shown: list[str], top: int) -> Ints:
    """The names at one place: the most frequent ones, all others as one, and the end."""
    other, end = len(shown) - 2, len(shown) - 1
    column = np.where(column < 0, end, column)
    counts = np.bincount(column, minlength=len(shown))
    kept = sorted(np.flatnonzero(counts[:other]).tolist(), key=lambda code: (-counts[code], shown[code]))
    return np.where(np.isin(column, [*kept[:top], end]), column, other)


def _nodes(column: Ints, person: Ints, place: int, shown: list[str]) -> list[PathNode]:
    nodes = [
        PathNode(place, shown[code], int((column == code).sum()), len(np.unique(person[column == code])))
        for code in np.unique(column).tolist()
    ]
    return sorted(nodes, key=lambda node: (-node.paths, node.name))


def _links(folded: Ints, shown: list[str]) -> list[PathLink]:
    links = []
    for place in range(folded.shape[1] - 1):
        pairs, times = np.unique(folded[:, place : place + 2], axis=0, return_counts=True)
        found = [
            PathLink(place + 1, shown[left], shown[right], int(n))
            for (left, right), n in zip(pairs.tolist(), times, strict=True)
            if shown[left] != END
        ]
        links += sorted(found, key=lambda link: (-link.paths, link.source, link.target))
    return links


def _reading(question: Paths, paths: int, nodes: tuple[PathNode, ...]) -> str:
    """The first step in words."""
    anchor = " or ".join(question.anchor.names)
    steps = [node for node in nodes if node.place == 1 and node.name not in (OTHER, END)]
    if not paths:
        return f"Nobody did “{anchor}” in this range."
    ended = next((node.paths for node in nodes if node.place == 1 and node.name == END), 0)
    when = "After" if question.direction == "after" else "Before"
    told = f"{when} “{anchor}” ({paths:,} paths), {ended / paths * 100:.0f} % have nothing more."
    if steps:
        told += f" Most frequent is “{steps[0].name}”, in {steps[0].paths / paths * 100:.0f} % of them."
    return told
