"""What pages and boards are made of: tiles, charts and tables, as frozen values that templates only write down.

`tile_of`, `table_of` and `charts.chart_of` make them of a series; `templates/reports/cards/*.html` show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analytics.periods import Calendar
from kpis.base import Additivity, Metric
from kpis.compare import standing_of
from kpis.contracts import OTHER, Breakdown, Change, Comparison, Number, Point, Series, written
from kpis.daily_visitors import DailyVisitors
from kpis.rollup.keys import NONE_KEY
from kpis.sparkline import sparkline
from reports.dashboard import shown
from reports.dashboard.drawing import Drawing
from reports.dashboard.marks import GoalMark, Marks, Note, goal_mark, goal_of_tile
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
    """A small remark on a card: "today so far", "some money has no exchange rate yet".

    `is_told`: on the metric's own page the title is there to be read, too.
    """

    text: str
    title: str
    tone: str = "muted"
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A value of a breakdown on a tile or in the legend of a chart. `line` is its colour and shape, 0 for all others;
    `x` and `width` are those of its piece of a bar, in percent."""

    line: int
    label: str
    value: str
    share: str = ""
    x: str = ""
    width: str = ""
    moved: Moved | None = None
    href: str = ""
    marks: tuple[Mark, ...] = ()


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
    parts: tuple[Part, ...] = ()
    by: str = ""
    actions: tuple[Action, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """An entry of a card's menu. `kind` is link, download, png or copy (then `href` is what is copied); links first."""

    label: str
    href: str
    kind: str = "link"


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A row of "View as table"."""

    label: str
    value: str
    before: str
    is_complete: bool
    cells: tuple[str, ...] = ()
    daily: str = ""


@dataclass(frozen=True, slots=True)
class ChartCard:
    """One metric over time. `data` is what `<kpi-chart>` draws, `drawing` the same without script, `rows` the table.

    Broken down it has a `legend`, an entry a line. `refresh` is where a newer one is asked for on pages that do not
    ask for all of themselves, `note_href` where something is written down beside it (empty for those who may not).
    `is_bare` when there is no line.
    """

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
    by: str = ""
    legend: tuple[Part, ...] = ()
    refresh: str = ""
    note_href: str = ""
    is_bare: bool = False
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
    daily: str = ""


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
    status = standing_of(series, metric)
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
        actions=actions_of(metric.id, question),
    )


def _limit_passed(metric: Metric, series: Series, status: str) -> str:
    """Which limit the value has reached, in words."""
    limit = {"warning": metric.thresholds.warning, "critical": metric.thresholds.critical}.get(status)
    if limit is None:
        return ""
    side = "at or below" if metric.better == "up" else "at or above"
    by_day = " a day" if metric.thresholds.is_per_day else ""
    return f"It is {side} {shown.of_series(limit, series)}{by_day}, the limit for {status}."


def settled(points: Sequence[Point]) -> list[Number]:
    """The values of whole buckets: one that is not over would look like a fall. All of them where none is whole."""
    whole = [point.value if point.is_complete else None for point in points]
    return whole if any(value is not None for value in whole) else [point.value for point in points]


def tile_missing(metric: Metric | None, name: str, problem: str, question: PageQuestion) -> Tile:
    """In place of a tile that has no number, with the reason."""
    title, text = (metric.name, metric.help) if metric else (name, "")
    return Tile(name, title, text, question.href(metric_path(name), by=None), problem=problem)


def table_of(metric: Metric, series: Series, question: PageQuestion) -> TableCard:
    """The breakdown of a series made with `by`, each row a link that filters by it."""
    by = series.by or ""
    dimension = shown.dimension_shown(by, metric.id)
    most = max((abs(part.total) for part in series.series if part.total is not None), default=Decimal(0))
    return TableCard(
        id=f"table-{metric.id.replace('.', '-')}-{by.replace('.', '-')}",
        metric=metric.id,
        title=shown.titled(metric.name, dimension),
        dimension=dimension,
        href=question.href(metric_path(metric.id), by=by),
        rows=tuple(_table_row(part, series, most, metric, question) for part in series.series),
        actions=actions_of(metric.id, question, by=by),
    )


def _table_row(part: Breakdown, series: Series, most: Decimal, metric: Metric, question: PageQuestion) -> TableRow:
    by = series.by or ""
    chosen = question.parameters.get(by, "")
    return TableRow(
        label=label_of(part.key, by),
        value=shown.of_series(part.total, series, is_short=True),
        share=share_of(part.total, series, metric),
        bar=f"{abs(part.total) / most * 100:.1f}" if part.total is not None and most else "0",
        moved=moved_of(series, part),
        href=narrowed(question, by, part.key),
        is_chosen=bool(chosen) and chosen == part.key,
        daily=part.daily_visitors.label if part.daily_visitors else "",
    )


def narrowed(question: PageQuestion, by: str, key: str) -> str:
    """The page, filtered by a value; '' for what is no value: properties have no short form, they go to `filters`."""
    from reports.dashboard.toolbar import filtered

    return "" if key in (OTHER, NONE_KEY, "") or "," in key else filtered(question, by, key)


def label_of(key: str, by: str) -> str:
    """A key of a breakdown for people."""
    return shown.NONE_LABEL if key == NONE_KEY else shown.value_shown(by, key)


def share_of(value: Number, series: Series, metric: Metric) -> str:
    """Its share of the whole, '' where parts make no whole: a mean has no part of which it is the sum."""
    is_whole = metric.additivity in (Additivity.ADDITIVE, Additivity.UNION)
    return f"{value / series.total * 100:.1f} %" if is_whole and value is not None and series.total else ""


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
    marks += daily_marks(series.daily_visitors, series.comparison)
    if series.executor == "events":
        marks.append(Mark("from events", "No roll-up holds this breakdown, so it was counted from the events."))
    return tuple(marks)


def daily_marks(found: DailyVisitors | None, comparison: Comparison | None) -> list[Mark]:
    """How many are daily visitors, and how many of those compared with: a change may be due to them alone."""
    before = comparison.daily_visitors if comparison else None
    if found is None:
        return [] if before is None else [Mark(f"before: {before.label}", before.told_of_before, is_told=True)]
    told = found.told if before is None else f"{found.told} {before.told_of_before}"
    return [Mark(found.label, told, is_told=True)]


def actions_of(metric: str, question: PageQuestion, *, is_chart: bool = False, by: str = "") -> tuple[Action, ...]:
    """The menu of a card. Files have the same address as the page, so they hold the same numbers."""
    more = {"by": by or None}
    page = question.href(metric_path(metric), **more)
    actions = [
        *([Action("What moved it?", f"{page}#moved")] if question.ask.compare else []),
        Action("How is this computed?", f"{page}#explained"),
        Action("Download CSV", question.href(f"/export/{metric}.csv", **more), "download"),
        Action("Download XLSX", question.href(f"/export/{metric}.xlsx", **more), "download"),
    ]
    if is_chart:
        actions.append(Action("Download PNG", metric, "png"))
    return (*actions, Action("Copy API call", question.api(metric, **more), "copy"))
