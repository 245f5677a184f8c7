"""The view models of the pages made of cards: overview and areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kpis.catalogue import Catalogue
from reports.dashboard import shown
from reports.dashboard.areas import Area
from reports.dashboard.breakdowns import WHOLE, Split, dimensions_offered, split_read
from reports.dashboard.cards import (
    NO_MARKS,
    ChartCard,
    Mark,
    TableCard,
    Tile,
    metric_path,
    table_of,
    tile_missing,
    tile_of,
)
from reports.dashboard.charts import chart_of, tile_parts
from reports.dashboard.marks import Marks, marks_read
from reports.dashboard.question import PageQuestion
from reports.dashboard.reading import Numbers, broken_down, has_events, metric_named, numbers_read
from reports.dashboard.toolbar import Toolbar, toolbar_of


@dataclass(frozen=True, slots=True)
class CardPage:
    """A page of tiles, charts and tables. `is_empty` before the tenant's first event is counted."""

    title: str
    intro: str
    toolbar: Toolbar
    tiles: tuple[Tile, ...] = ()
    charts: tuple[ChartCard, ...] = ()
    tables: tuple[TableCard, ...] = ()
    data_through: str = ""
    is_empty: bool = False
    live_query: str = ""
    refresh: str = ""
    until: str = ""
    complaints: list[str] = field(default_factory=list)


def card_page(area: Area, question: PageQuestion) -> CardPage:
    """The area over the question's range: tiles and charts out of one reading. Needs the tenant's context."""
    tenant_id = question.tenant.id
    catalogue = Catalogue(tenant_id)
    # What a family of metrics lacks on this installation is left out; `manage.py check` tells of misspelt names.
    tiles, charts = ([name for name in names if metric_named(name, catalogue)] for names in (area.tiles, area.charts))
    tables = [pair for pair in area.tables if metric_named(pair[0], catalogue)]
    numbers = numbers_read([*tiles, *charts], replace(question.ask, by=None), tenant_id=tenant_id, catalogue=catalogue)
    marks = Marks() if numbers.is_empty else marks_read([*tiles, *charts], question)
    split = WHOLE if numbers.is_empty else split_read(charts, tiles, question, catalogue)
    return CardPage(
        title=area.title,
        intro=area.intro,
        toolbar=toolbar_of(question, dimensions_offered(charts, catalogue)),
        tiles=tuple(tile_for(name, numbers, question, marks, split) for name in tiles),
        charts=tuple(chart_for(name, numbers, question, marks, split) for name in charts),
        tables=() if numbers.is_empty else tables_for(tables, question, catalogue),
        data_through=data_through_of(numbers, question),
        is_empty=numbers.is_empty or not has_events(numbers),
        live_query=question.live_query,
        refresh=question.href(),
        until=question.until,
        complaints=[*(each.message for each in question.complaints), *([split.complaint] if split.complaint else ())],
    )


def card_alone(kind: str, name: str, question: PageQuestion) -> Tile | ChartCard | TableCard:
    """One card of a page: `kind` is tile, chart or table (then the question's `by` is its dimension)."""
    catalogue = Catalogue(question.tenant.id)
    if kind == "table":
        return table_for(name, question.ask.by or "country", question, catalogue)
    numbers = numbers_read([name], replace(question.ask, by=None), tenant_id=question.tenant.id, catalogue=catalogue)
    marks = NO_MARKS if numbers.is_empty else marks_read([name], question)
    if kind == "tile":
        return tile_for(name, numbers, question, marks)
    split = WHOLE if numbers.is_empty else split_read([name], [], question, catalogue)
    return chart_for(name, numbers, question, marks, split)


def tile_for(
    name: str, numbers: Numbers, question: PageQuestion, marks: Marks = NO_MARKS, split: Split = WHOLE
) -> Tile:
    """The tile of a metric that was read, or why there is none."""
    metric = metric_named(name, numbers.catalogue)
    if metric is None or name not in numbers.series:
        return tile_missing(metric, name, numbers.missing.get(name, ""), question)
    tile = tile_of(metric, numbers.series[name], question, marks)
    if name not in split.tiles:
        return tile
    by = shown.dimension_shown(split.tiles[name].by or "")
    return replace(tile, parts=tile_parts(metric, split.tiles[name]), by=by)


def chart_for(
    name: str, numbers: Numbers, question: PageQuestion, marks: Marks = NO_MARKS, split: Split = WHOLE
) -> ChartCard:
    """The chart of a metric that was read, broken down where the page is and it can be, or why there is none."""
    metric = metric_named(name, numbers.catalogue)
    if metric is None or name not in numbers.series:
        title, text = (metric.name, metric.help) if metric else (name, "")
        href = question.href(metric_path(name))
        return ChartCard(f"chart-{name}", name, title, text, href, problem=numbers.missing.get(name, ""))
    if name in split.charts:
        return chart_of(metric, split.charts[name], question, marks)
    chart = chart_of(metric, numbers.series[name], question, marks)
    if name not in split.missing:
        return chart
    by = shown.dimension_shown(question.ask.by or "")
    return replace(chart, marks=(*chart.marks, Mark(f"not by {by}", split.missing[name])))


def tables_for(pairs: Sequence[tuple[str, str]], question: PageQuestion, catalogue: Catalogue) -> tuple[TableCard, ...]:
    """Metrics by dimensions; those of one dimension are read together."""
    read = {
        by: broken_down([name for name, its in pairs if its == by], by, question.ask, catalogue)
        for by in dict.fromkeys(by for _, by in pairs)
    }
    return tuple(_table(name, by, read[by], question) for name, by in pairs)


def table_for(name: str, by: str, question: PageQuestion, catalogue: Catalogue, *, limit: int = 8) -> TableCard:
    """A metric by a dimension, or why it cannot be."""
    return _table(name, by, broken_down([name], by, question.ask, catalogue, limit=limit), question)


def _table(name: str, by: str, numbers: Numbers, question: PageQuestion) -> TableCard:
    metric = metric_named(name, numbers.catalogue)
    if metric is not None and name in numbers.series:
        return table_of(metric, numbers.series[name], question)
    title = shown.titled(metric.name if metric else name, shown.dimension_shown(by, name))
    href = question.href(metric_path(name), by=by)
    return TableCard(f"table-{name}-{by}", name, title, by, href, problem=numbers.missing.get(name, ""))


def data_through_of(numbers: Numbers, question: PageQuestion) -> str:
    """Up to when everything received is counted, on the tenant's clock."""
    found = next(iter(numbers.series.values()), None)
    return shown.moment_shown(found.data_through, question.ask.calendar) if found else ""
