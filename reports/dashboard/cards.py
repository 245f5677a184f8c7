"""What pages and boards are made of: tiles, charts and tables, as frozen values that templates only write down.

`tile_of`, `chart_of` and `table_of` make them of a series; `templates/reports/cards/*.html` show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analytics.periods import Calendar, Period
from kpis.base import Metric
from kpis.compare import status_of
from kpis.contracts import OTHER, Breakdown, Change, Number, Point, Series, plain, written
from kpis.goals.contracts import GoalView
from kpis.rollup.keys import NONE_KEY
from kpis.sparkline import sparkline
from reports.dashboard import shown
from reports.dashboard.drawing import Drawing, drawing_of
from reports.dashboard.marks import GoalMark, Marks, Note, goal_mark, goal_of_tile, line_values, notes_of
from reports.dashboard.question import PageQuestion

NO_MARKS = Marks()
STATUS_WORDS = {"warning": "Warning", "critical": "Critical"}


@dataclass(frozen=True, slots=True)
class Moved:
    """A change as it is shown: an arrow, a size, words for ears, and whether it is good news."""

    arrow: str
    size: str
    spoken: str
    tone: str
    before: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A small remark on a card: "today so far", "some money has no exchange rate yet"."""

    text: str
    title: str
    tone: str = "muted"


@dataclass(frozen=True, slots=True)
class Tile:
    """One number: value, change, line, standing. `problem` is set instead of a value when there is none."""

    metric: str
    name: str
    help: str
    href: str
    value: str = shown.UNKNOWN
    exact: str = ""
    raw: str = ""
    unit: str = ""
    currency: str = ""
    exponent: int = 2
    moved: Moved | None = None
    lines: tuple[str, ...] = ()
    status: str = "unknown"
    status_word: str = ""
    status_title: str = ""
    marks: tuple[Mark, ...] = ()
    goal: GoalMark | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """An entry of a card's menu. `kind` is link, download, png or copy (then `href` is what is copied)."""

    label: str
    href: str
    kind: str = "link"


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A row of "View as table"."""

    label: str
    value: str
    before: str
    change: str
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ChartCard:
    """One metric over time. `data` is what `<kpi-chart>` draws, `drawing` the same without script, `rows` the table."""

    id: str
    metric: str
    title: str
    help: str
    href: str
    value: str = shown.UNKNOWN
    moved: Moved | None = None
    caption: str = ""
    data: dict[str, Any] | None = None
    drawing: Drawing | None = None
    rows: tuple[ChartRow, ...] = ()
    has_comparison: bool = False
    period_name: str = ""
    before_name: str = ""
    actions: tuple[Action, ...] = ()
    marks: tuple[Mark, ...] = ()
    notes: tuple[Note, ...] = ()
    problem: str = ""

    @property
    def data_id(self) -> str:
        """Of the script element that holds `data`."""
        return f"{self.id}-data"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A value of a dimension; `bar` is its length in percent, `href` filters the page by it."""

    label: str
    value: str
    share: str
    bar: str
    moved: Moved | None
    href: str
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class TableCard:
    """One metric by one dimension, the highest first."""

    id: str
    metric: str
    title: str
    dimension: str
    href: str
    rows: tuple[TableRow, ...] = ()
    actions: tuple[Action, ...] = ()
    problem: str = ""


# --- Making them ------------------------------------------------------------------------------------------------------


def tile_of(metric: Metric, series: Series, question: PageQuestion, marks: Marks = NO_MARKS) -> Tile:
    """The tile of a metric over the question's range."""
    status = status_of(series.total, metric)
    return Tile(
        metric=metric.id,
        name=metric.name,
        help=metric.help,
        href=question.href(metric_path(metric.id), by=None),
        value=shown.of_series(series.total, series, is_short=True),
        exact=shown.of_series(series.total, series),
        raw=str(written(series.total, series.unit, series.exponent) if series.total is not None else ""),
        unit=series.unit.value,
        currency=series.currency,
        exponent=series.exponent,
        moved=moved_of(series),
        lines=sparkline(settled(series.points)),
        status=status,
        status_word=STATUS_WORDS.get(status, ""),
        status_title=_limit_passed(metric, series, status),
        marks=marks_of(series, question.ask.calendar),
        goal=goal_mark(goal_of_tile(marks.goals.get(metric.id, ()))),
    )


def _limit_passed(metric: Metric, series: Series, status: str) -> str:
    """Which limit the value has reached, in words."""
    limit = {"warning": metric.thresholds.warning, "critical": metric.thresholds.critical}.get(status)
    if limit is None:
        return ""
    side = "at or below" if metric.better == "up" else "at or above"
    return f"It is {side} {shown.of_series(limit, series)}, the limit for {status}."


def settled(points: Sequence[Point]) -> list[Number]:
    """The values of whole buckets: one that is not over would look like a fall. All of them where none is whole."""
    whole = [point.value if point.is_complete else None for point in points]
    return whole if any(value is not None for value in whole) else [point.value for point in points]


def tile_missing(metric: Metric | None, name: str, problem: str, question: PageQuestion) -> Tile:
    """In place of a tile that has no number, with the reason."""
    title, text = (metric.name, metric.help) if metric else (name, "")
    return Tile(name, title, text, question.href(metric_path(name), by=None), problem=problem)


def chart_of(metric: Metric, series: Series, question: PageQuestion, marks: Marks = NO_MARKS) -> ChartCard:
    """The chart of a metric over the question's range, with its comparison."""
    moved, calendar = moved_of(series), question.ask.calendar
    notes = notes_of(metric.id, series, marks.notes, calendar)
    return ChartCard(
        id=f"chart-{metric.id.replace('.', '-')}",
        metric=metric.id,
        title=metric.name,
        help=metric.help,
        href=question.href(metric_path(metric.id), by=None),
        value=shown.of_series(series.total, series, is_short=True),
        moved=moved,
        caption=caption_of(metric, series, question),
        data=chart_data(metric, series, marks, notes),
        notes=notes,
        drawing=drawing_of(series, calendar),
        rows=rows_of(series, calendar),
        has_comparison=series.comparison is not None,
        period_name=shown.period_shown(Period(series.start, series.end), calendar),
        before_name=_before_name(series, calendar),
        actions=actions_of(metric.id, question, is_chart=True),
        marks=marks_of(series, calendar),
    )


def table_of(metric: Metric, series: Series, question: PageQuestion) -> TableCard:
    """The breakdown of a series made with `by`, each row a link that filters by it."""
    by = series.by or ""
    most = max((abs(part.total) for part in series.series if part.total is not None), default=Decimal(0))
    return TableCard(
        id=f"table-{metric.id.replace('.', '-')}-{by.replace('.', '-')}",
        metric=metric.id,
        title=f"{metric.name} by {shown.dimension_shown(by)}",
        dimension=shown.dimension_shown(by),
        href=question.href(metric_path(metric.id), by=by),
        rows=tuple(_table_row(part, series, most, question) for part in series.series),
        actions=actions_of(metric.id, question, by=by),
    )


def _table_row(part: Breakdown, series: Series, most: Decimal, question: PageQuestion) -> TableRow:
    by = series.by or ""
    chosen = question.parameters.get(by, "")
    return TableRow(
        label=label_of(part.key),
        value=shown.of_series(part.total, series, is_short=True),
        share=_share(part.total, series),
        bar=f"{abs(part.total) / most * 100:.1f}" if part.total is not None and most else "0",
        moved=moved_of(series, part),
        href="" if part.key in (OTHER, NONE_KEY, "") or "," in part.key else _narrowed(question, by, part.key),
        is_chosen=bool(chosen) and chosen == part.key,
    )


def _narrowed(question: PageQuestion, by: str, key: str) -> str:
    """The page, filtered by a value: properties have no short form, so they are added to `filters`."""
    from reports.dashboard.toolbar import filtered

    return filtered(question, by, key)


def label_of(key: str) -> str:
    """A key of a breakdown for people."""
    return shown.NONE_LABEL if key == NONE_KEY else shown.key_shown(key)


def _share(value: Number, series: Series) -> str:
    if value is None or not series.total or series.unit.value not in ("count", "money"):
        return ""
    return f"{value / series.total * 100:.1f} %"


# --- Their parts ------------------------------------------------------------------------------------------------------


def metric_path(metric: str) -> str:
    """Where a metric has its page."""
    return f"/metrics/{metric}/"


def moved_of(series: Series, part: Breakdown | None = None) -> Moved | None:
    """How the total (or a part) moved against the comparison; None without one."""
    comparison = part.comparison if part else series.comparison
    if comparison is None:
        return None
    change = comparison.change
    return Moved(
        arrow=shown.ARROWS.get(change.direction, ""),
        size=shown.change_shown(change),
        spoken=shown.change_spoken(change),
        tone=_tone(change),
        before=shown.of_series(comparison.total, series),
    )


def _tone(change: Change) -> str:
    return {True: "good", False: "bad"}.get(change.is_good, "flat") if change.is_good is not None else "flat"


def marks_of(series: Series, calendar: Calendar) -> tuple[Mark, ...]:
    """What to know before trusting the number."""
    marks = []
    if not series.is_complete:
        through = shown.moment_shown(series.data_through, calendar)
        marks.append(Mark("so far", f"The range is not over, or not all of it is counted: data through {through}."))
    if series.is_partial:
        marks.append(Mark("partial", "Some amounts have no exchange rate yet and are missing in it.", "warning"))
    if series.executor == "events":
        marks.append(Mark("from events", "No roll-up holds this breakdown, so it was counted from the events."))
    return tuple(marks)


def caption_of(metric: Metric, series: Series, question: PageQuestion) -> str:
    """One sentence that says what the chart shows."""
    calendar = question.ask.calendar
    period = shown.period_shown(Period(series.start, series.end), calendar)
    if series.total is None:
        return f"{metric.name} has no value from {period}."
    text = f"{metric.name} was {shown.of_series(series.total, series)} over {period}"
    if series.comparison is None or not series.comparison.change.direction:
        return f"{text}."
    spoken = shown.change_spoken(series.comparison.change)
    before = shown.of_series(series.comparison.total, series)
    return f"{text}, {spoken} against {before} over {_before_name(series, calendar)}."


def _before_name(series: Series, calendar: Calendar) -> str:
    comparison = series.comparison
    return shown.period_shown(Period(comparison.start, comparison.end), calendar) if comparison else ""


def rows_of(series: Series, calendar: Calendar) -> tuple[ChartRow, ...]:
    """The points as rows, each beside the point of the comparison that has its place."""
    before = series.comparison.points if series.comparison else ()
    rows = []
    for place, point in enumerate(series.points):
        earlier = before[place].value if place < len(before) else None
        rows.append(
            ChartRow(
                label=shown.point_shown(point.start, series.granularity, calendar),
                value=shown.of_series(point.value, series),
                before=shown.of_series(earlier, series),
                change="",
                is_complete=point.is_complete,
            )
        )
    return tuple(rows)


def chart_data(metric: Metric, series: Series, marks: Marks = NO_MARKS, notes: Sequence[Note] = ()) -> dict[str, Any]:
    """What the chart draws: the API's own answer, shortened to what a picture needs."""
    whole = plain(series)
    comparison = whole["comparison"]
    data: dict[str, Any] = {
        "metric": metric.id,
        "name": metric.name,
        "unit": whole["unit"],
        "currency": whole["currency"],
        "exponent": series.exponent,
        "timezone": series.timezone,
        "granularity": series.granularity,
        "starts": [point["start"] for point in whole["points"]],
        "values": [_float(point["value"]) for point in whole["points"]],
        "open": [place for place, point in enumerate(whole["points"]) if not point["is_complete"]],
    }
    if comparison:
        data["before"] = [_float(point["value"]) if point["is_complete"] else None for point in comparison["points"]]
        data["before_starts"] = [point["start"] for point in comparison["points"]]
    if lines := marks.goals.get(metric.id):
        data["goals"] = [_goal_line(line, metric, series) for line in lines]
    if notes:
        data["annotations"] = [{"place": note.place, "mark": str(note.number), "title": note.title} for note in notes]
    limits = {"warning": metric.thresholds.warning, "critical": metric.thresholds.critical}
    if found := {name: float(limit) for name, limit in limits.items() if limit is not None}:
        data["limits"] = found
    return data


def _goal_line(line: GoalView, metric: Metric, series: Series) -> dict[str, Any]:
    return {"name": line.name, "values": [_float(value) for value in line_values(line, metric, series)]}


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def actions_of(metric: str, question: PageQuestion, *, is_chart: bool = False, by: str = "") -> tuple[Action, ...]:
    """The menu of a card. Files have the same address as the page, so they hold the same numbers."""
    more = {"by": by or None}
    actions = [
        Action("Download CSV", question.href(f"/export/{metric}.csv", **more), "download"),
        Action("Download XLSX", question.href(f"/export/{metric}.xlsx", **more), "download"),
    ]
    if is_chart:
        actions.append(Action("Download PNG", metric, "png"))
    return (*actions, Action("Copy API call", question.api(metric, **more), "copy"))
