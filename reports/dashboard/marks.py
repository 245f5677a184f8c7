"""What lies over the lines of charts: goals that the metric should reach, and things that happened."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from analytics.periods import Calendar, Granularity
from kpis.annotations import AnnotationView, annotation_view, annotations_matching
from kpis.base import Additivity, Metric, Unit
from kpis.contracts import Number, Series
from kpis.goals.contracts import GoalView, PacePoint, Status
from kpis.goals.selectors import goals_shown
from reports.dashboard import shown
from reports.dashboard.drawing import x_percent
from reports.dashboard.question import PageQuestion

MOST_NOTES: Final = 20
MAX_NOTES: Final = 200
STATUS_TONES: Final[Mapping[Status, str]] = {
    Status.ON_TRACK: "good",
    Status.REACHED: "good",
    Status.AT_RISK: "warning",
    Status.OFF_TRACK: "critical",
    Status.MISSED: "critical",
}


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened: `place` is the point of the chart it belongs to, `x` how far right that is in percent,
    `nth` tells those of one point apart."""

    id: UUID
    number: int
    place: int
    x: str
    nth: int
    when: str
    title: str
    kind: str
    url: str


@dataclass(frozen=True, slots=True)
class GoalMark:
    """Where a metric stands against its goal: `share` of the way, 0 to 1."""

    label: str
    share: float
    tone: str
    title: str

    @property
    def percent(self) -> str:
        """The length of the bar."""
        return f"{self.share * 100:.1f}"


@dataclass(frozen=True, slots=True)
class Marks:
    """Goals (by metric, those that end last last) and notes of a page."""

    goals: Mapping[str, tuple[GoalView, ...]] = field(default_factory=dict)
    notes: tuple[AnnotationView, ...] = ()


def marks_read(names: Collection[str], question: PageQuestion) -> Marks:
    """The goals of these metrics and what happened in the range. A filtered page has no goals: they are of everything.

    Two statements when there is nothing. Needs the tenant's context and a calendar (NoCalendar).
    """
    ask, tenant_id = question.ask, question.tenant.id
    start, end = ask.period.start, ask.period.end
    rows = annotations_matching(tenant_id=tenant_id, start=start, end=end).order_by("at", "id")[:MAX_NOTES]
    goals: dict[str, tuple[GoalView, ...]] = {}
    if not ask.filters and not ask.include:
        for goal in goals_shown(tenant_id=tenant_id, metrics=names, start=start, end=end, now=ask.now):
            goals[goal.metric] = (*goals.get(goal.metric, ()), goal)
    return Marks(goals, tuple(annotation_view(row) for row in rows))


def goal_of_tile(goals: Sequence[GoalView]) -> GoalView | None:
    """The one that a tile has room for: the first to end of those that are running, else the last that ran."""
    begun = [goal for goal in goals if goal.standing.status is not Status.UPCOMING]
    running = [goal for goal in begun if goal.frozen is None and goal.standing.elapsed < 1]
    return running[0] if running else begun[-1] if begun else None


def goal_mark(goal: GoalView | None) -> GoalMark | None:
    """The goal as a tile shows it."""
    if goal is None or goal.standing.progress is None:
        return None
    target = shown.short_shown(goal.target, goal.unit, goal.currency, goal.exponent).removesuffix(".00")
    share = min(max(float(goal.standing.progress), 0.0), 1.0)
    status = goal.standing.status.value.replace("_", " ")
    way = "" if goal.unit is Unit.RATIO else f"{share * 100:.0f} % of "
    label = f"{way}{target}, {status}" if way else f"Goal {target}, {status}"
    return GoalMark(label, share, STATUS_TONES.get(goal.standing.status, "flat"), f"{goal.name}: {goal.standing.rule}")


# --- Lines ------------------------------------------------------------------------------------------------------------


def line_values(line: GoalView, metric: Metric, series: Series) -> list[Number]:
    """What the goal expects of each bucket of the series: of a sum what should be added in it, of a level its end."""
    edges = [point.start for point in series.points] + [series.end]
    reached = _Reached(line.points)
    if metric.additivity is Additivity.ADDITIVE:
        return [reached.between(start, end) for start, end in itertools.pairwise(edges)]
    return [reached.at(end) if reached.covers(start) else None for start, end in itertools.pairwise(edges)]


class _Reached:
    """What should have been reached by an instant."""

    def __init__(self, points: Sequence[PacePoint]) -> None:
        self._ends = [point.end for point in points]
        self._expected = [point.expected for point in points]
        self._start = points[0].start if points else None

    def covers(self, instant: datetime) -> bool:
        return self._start is not None and self._start <= instant < self._ends[-1]

    def at(self, instant: datetime) -> Number:
        """At the end of the last day that is over by then; nothing before the first."""
        place = bisect.bisect_right(self._ends, instant) - 1
        return self._expected[place] if place >= 0 else Decimal(0)

    def between(self, start: datetime, end: datetime) -> Number:
        if not self.covers(start):
            return None
        last, first = self.at(end), self.at(start)
        return None if last is None or first is None else last - first


# --- Notes ------------------------------------------------------------------------------------------------------------


def notes_of(metric: str, series: Series, notes: Sequence[AnnotationView], calendar: Calendar) -> tuple[Note, ...]:
    """The notes that concern a metric, numbered, each at its point of the series."""
    starts = [point.start for point in series.points]
    found: list[Note] = []
    for number, note in enumerate([note for note in notes if note.metric in ("", metric)][:MOST_NOTES], start=1):
        place = max(bisect.bisect_right(starts, note.at) - 1, 0)
        found.append(
            Note(
                id=note.id,
                number=number,
                place=place,
                x=x_percent(place, len(starts)),
                nth=sum(other.place == place for other in found),
                when=shown.point_shown(note.at, Granularity.DAY, calendar),
                title=note.title,
                kind=note.kind,
                url=note.url,
            )
        )
    return tuple(found)
