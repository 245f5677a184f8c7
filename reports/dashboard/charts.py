"""Charts out of series: the line against its comparison, or one line for each of the largest values of a dimension."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from analytics.periods import Calendar, Period
from kpis.base import Metric
from kpis.compare import limits_at
from kpis.contracts import Series, plain
from kpis.goals.contracts import GoalView
from reports.dashboard import shown
from reports.dashboard.cards import (
    NO_MARKS,
    ChartCard,
    ChartRow,
    Part,
    actions_of,
    daily_marks,
    label_of,
    marks_of,
    metric_path,
    moved_of,
    narrowed,
    share_of,
)
from reports.dashboard.drawing import drawing_of, line_number
from reports.dashboard.marks import Marks, Note, line_values, notes_of
from reports.dashboard.question import PageQuestion

TILE_PARTS: Final = 3


def chart_of(metric: Metric, series: Series, question: PageQuestion, marks: Marks = NO_MARKS) -> ChartCard:
    """The chart of a metric over the question's range: with its comparison, or, where the series has a breakdown,
    with a line for each of its values."""
    calendar, by = question.ask.calendar, series.by or ""
    notes = notes_of(metric.id, series, marks.notes, calendar)
    return ChartCard(
        id=f"chart-{metric.id.replace('.', '-')}",
        metric=metric.id,
        title=metric.name,
        help=metric.help,
        href=question.href(metric_path(metric.id), by=by or None),
        value=shown.of_series(series.total, series, is_short=True),
        moved=moved_of(series),
        caption=caption_of(metric, series, question),
        data=chart_data(metric, series, marks, notes),
        notes=notes,
        drawing=drawing_of(series, calendar),
        rows=rows_of(series, calendar),
        has_comparison=series.comparison is not None and not by,
        period_name=shown.period_shown(Period(series.start, series.end), calendar),
        before_name=_before_name(series, calendar),
        actions=actions_of(metric.id, question, is_chart=True, by=by),
        marks=marks_of(series, calendar),
        by=shown.dimension_shown(by) if by else "",
        legend=legend_of(metric, series, question) if by else (),
        refresh=question.href("/cards/chart/", metric=metric.id, page=question.path, by=by or None),
        note_href=_note_href(metric.id, question),
        is_bare=_is_bare(series),
    )


def _is_bare(series: Series) -> bool:
    """Whether neither the range nor what it is compared with has a value."""
    before = series.comparison.points if series.comparison else ()
    return all(point.value is None for point in (*series.points, *before))


def _note_href(metric: str, question: PageQuestion) -> str:
    """Where something is written down beside the chart; the page that is left is where one comes back to."""
    if not question.may_write:
        return ""
    return f"/annotations/?{urlencode({'metric': metric, 'next': question.href()})}"


# --- A breakdown ------------------------------------------------------------------------------------------------------


def legend_of(metric: Metric, series: Series, question: PageQuestion) -> tuple[Part, ...]:
    """The lines of a chart that is broken down, the largest first, each a link that narrows the page to it."""
    return tuple(
        Part(
            line=line_number(place, part.key),
            label=label_of(part.key, series.by or ""),
            value=shown.of_series(part.total, series, is_short=True),
            share=share_of(part.total, series, metric),
            moved=moved_of(series, part),
            href=narrowed(question, series.by or "", part.key),
            marks=tuple(daily_marks(part.daily_visitors, part.comparison)),
        )
        for place, part in enumerate(series.series)
    )


def tile_parts(metric: Metric, series: Series) -> tuple[Part, ...]:
    """The largest values as a tile has room for them: a bar of their shares, where parts make up the whole."""
    found, x = [], Decimal(0)
    has_bar = all(part.total is not None and part.total >= 0 for part in series.series)
    for place, part in enumerate(series.series[:TILE_PARTS]):
        share = share_of(part.total, series, metric)
        width = part.total / series.total * 100 if has_bar and share and part.total and series.total else Decimal(0)
        value = share or shown.of_series(part.total, series, is_short=True)
        label = label_of(part.key, series.by or "")
        found.append(Part(line_number(place, part.key), label, value, share, f"{x:.1f}", f"{min(width, 100 - x):.1f}"))
        x = min(x + width, Decimal(100))
    return tuple(found)


# --- Words and rows ---------------------------------------------------------------------------------------------------


def caption_of(metric: Metric, series: Series, question: PageQuestion) -> str:
    """One sentence that says what the chart shows."""
    calendar = question.ask.calendar
    period = shown.period_shown(Period(series.start, series.end), calendar)
    if series.total is None:
        return f"{metric.name}: no value {shown.over(period)}."
    text = f"{metric.name}: {shown.of_series(series.total, series)} {shown.over(period)}"
    if series.comparison is None or not series.comparison.change.direction:
        return f"{text}."
    spoken = shown.change_spoken(series.comparison.change)
    before = shown.of_series(series.comparison.total, series)
    return f"{text}, {spoken} against {before} {shown.over(_before_name(series, calendar))}."


def _before_name(series: Series, calendar: Calendar) -> str:
    comparison = series.comparison
    return shown.period_shown(Period(comparison.start, comparison.end), calendar) if comparison else ""


def rows_of(series: Series, calendar: Calendar) -> tuple[ChartRow, ...]:
    """The points as rows, each beside the point of the comparison that has its place and those of the breakdown."""
    before = series.comparison.points if series.comparison else ()
    rows = []
    for place, point in enumerate(series.points):
        earlier = before[place].value if place < len(before) else None
        rows.append(
            ChartRow(
                label=shown.point_shown(point.start, series.granularity, calendar),
                value=shown.of_series(point.value, series),
                before=shown.of_series(earlier, series),
                is_complete=point.is_complete,
                cells=tuple(shown.of_series(part.points[place].value, series) for part in series.series),
                daily=point.daily_visitors.label if point.daily_visitors else "",
            )
        )
    return tuple(rows)


# --- What is drawn ----------------------------------------------------------------------------------------------------


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
        "total": _float(whole["total"]),
        "starts": [point["start"] for point in whole["points"]],
        "values": _values(whole["points"]),
        "open": [place for place, point in enumerate(whole["points"]) if not point["is_complete"]],
    }
    if series.by:
        data["parts"] = [
            {
                "name": label_of(part.key, series.by),
                "line": line_number(place, part.key),
                "values": _values(written["points"]),
            }
            for place, (part, written) in enumerate(zip(series.series, whole["series"], strict=True))
        ]
    elif comparison:
        data["before"] = [_float(point["value"]) if point["is_complete"] else None for point in comparison["points"]]
        data["before_starts"] = [point["start"] for point in comparison["points"]]
    if not series.by and (lines := marks.goals.get(metric.id)):
        data["goals"] = [_goal_line(line, metric, series) for line in lines]
    if notes:
        data["annotations"] = [{"place": note.place, "mark": str(note.number), "title": note.title} for note in notes]
    if limits := limits_at(metric, series.granularity):
        data["limits"] = {name: float(limit) for name, limit in limits.items()}
    return data


def _values(points: Sequence[dict[str, Any]]) -> list[float | None]:
    return [_float(point["value"]) for point in points]


def _goal_line(line: GoalView, metric: Metric, series: Series) -> dict[str, Any]:
    return {"name": line.name, "values": [_float(value) for value in line_values(line, metric, series)]}


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
