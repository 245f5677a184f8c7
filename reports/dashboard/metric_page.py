"""The page of one metric: its chart, its breakdown, and the panels that explain it, each read when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db import Error

from analytics.access.roles import Scope
from kpis.base import Metric
from kpis.catalogue import Catalogue
from kpis.parameters import FILTERS
from kpis.series import NoCalendar, QuestionError
from reports.dashboard import shown
from reports.dashboard.breakdowns import WHOLE, ordered, split_read
from reports.dashboard.cards import ChartCard, TableCard, Tile, metric_path
from reports.dashboard.marks import Marks, marks_read
from reports.dashboard.pages import chart_for, data_through_of, table_for, tile_for
from reports.dashboard.panels import (
    TITLES,
    ExplainedPanel,
    LedgerPanel,
    MovedPanel,
    explained_panel,
    ledger_panel,
    moved_panel,
)
from reports.dashboard.question import PageQuestion
from reports.dashboard.reading import (
    TOO_SLOW,
    dimensions_of,
    has_events,
    is_too_slow,
    numbers_read,
    sentence,
    unanswerable,
)
from reports.dashboard.toolbar import Choice, Toolbar, toolbar_of

ROWS: Final = 10
MORE_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class MetricPage:
    """All of the page that is read at once. `panels` are (title, address) of what is read later."""

    title: str
    intro: str
    metric: Metric
    toolbar: Toolbar
    tile: Tile
    chart: ChartCard
    dimensions: tuple[Choice, ...]
    others: tuple[Choice, ...]
    table: TableCard | None
    more: str
    panels: tuple[tuple[str, str, str], ...]
    data_through: str
    complaints: tuple[str, ...]
    live_query: str
    refresh: str
    until: str
    is_empty: bool


def metric_page(metric: Metric, question: PageQuestion, catalogue: Catalogue) -> MetricPage:
    """The metric over the question's range. Needs the tenant's context."""
    whole = replace(question.ask, by=None)
    numbers = numbers_read([metric.id], whole, tenant_id=question.tenant.id, catalogue=catalogue)
    marks = Marks() if numbers.is_empty else marks_read([metric.id], question)
    stored = ordered(dimensions_of(metric, catalogue))
    by, complaint = _dimension(metric, question, stored, catalogue)
    split = WHOLE if numbers.is_empty or complaint else split_read([metric.id], [], question, catalogue)
    rows = MORE_ROWS if question.parameters.get("limit") else ROWS
    table = table_for(metric.id, by, question, catalogue, limit=rows) if by and not numbers.is_empty else None
    return MetricPage(
        title=metric.name,
        intro=metric.help,
        metric=metric,
        toolbar=toolbar_of(question, stored),
        tile=tile_for(metric.id, numbers, question, marks),
        chart=chart_for(metric.id, numbers, question, marks, split),
        dimensions=tuple(_choice(question, name, by) for name in stored),
        others=tuple(_choice(question, name, by) for name in _unstored(metric, stored, question, catalogue)),
        table=table,
        more=question.href(by=by, limit=str(MORE_ROWS)) if table and len(table.rows) > ROWS and rows == ROWS else "",
        panels=panels_of(metric.id, question, by),
        data_through=data_through_of(numbers, question),
        complaints=(*(each.message for each in question.complaints), *complaint),
        live_query=question.live_query,
        refresh=question.href(),
        until=question.until,
        is_empty=numbers.is_empty or not has_events(numbers),
    )


def panels_of(metric: str, question: PageQuestion, by: str) -> tuple[tuple[str, str, str], ...]:
    """Id, title and address of the panels: each a page of its own without script."""
    return tuple(
        (name, title, question.href(f"{metric_path(metric)}{name}/", by=by or None)) for name, title in TITLES.items()
    )


def panel_context(
    kind: str, metric: Metric, question: PageQuestion, catalogue: Catalogue, scopes: frozenset[str]
) -> dict[str, Any]:
    """What a panel's template needs; a question that has no answer is told in its place."""
    try:
        panel, problem = _panel(kind, metric, question, catalogue, scopes), ""
    except (QuestionError, NoCalendar) as error:
        panel, problem = None, sentence(error).replace(f"{metric.id[:1].upper()}{metric.id[1:]}", metric.name)
    except Error as error:
        if not is_too_slow(error):
            raise
        panel, problem = None, TOO_SLOW
    return {
        "panel": panel,
        "problem": problem,
        "panel_template": f"reports/panels/{kind}.html",
        "title": TITLES[kind],
        "back": question.href(metric_path(metric.id)),
    }


def _panel(
    kind: str, metric: Metric, question: PageQuestion, catalogue: Catalogue, scopes: frozenset[str]
) -> MovedPanel | ExplainedPanel | LedgerPanel:
    if kind == "explained":
        return explained_panel(metric, question, may_see_events=Scope.EVENTS_READ in scopes)
    if kind == "ledger":
        return ledger_panel(metric, question)
    by, complaint = _dimension(metric, question, ordered(dimensions_of(metric, catalogue)), catalogue)
    if complaint or not by:
        raise QuestionError(next(iter(complaint), f"{metric.name} has no dimension to take it apart by"), "by")
    return moved_panel(metric, question, by)


def _dimension(
    metric: Metric, question: PageQuestion, stored: Sequence[str], catalogue: Catalogue
) -> tuple[str, tuple[str, ...]]:
    """The dimension of the breakdown: the one asked for when the metric has it, else its first."""
    default = next(iter(stored), "")
    asked = question.ask.by
    if not asked:
        return default, ()
    problem = unanswerable(metric, replace(question.ask, filters=()), catalogue)
    return (default, (problem,)) if problem else (asked, ())


def _unstored(metric: Metric, stored: Sequence[str], question: PageQuestion, catalogue: Catalogue) -> list[str]:
    """Dimensions that no roll-up holds: counted from the events, so slower."""
    plain = replace(question.ask, filters=())
    return [
        name for name in FILTERS if name not in stored and not unanswerable(metric, replace(plain, by=name), catalogue)
    ]


def _choice(question: PageQuestion, name: str, by: str) -> Choice:
    return Choice(shown.dimension_shown(name), question.href(by=name, limit=None), name == by)
