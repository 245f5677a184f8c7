"""The breakdown of a page (`by` in its address), read at once for all charts and tiles that have the dimension."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kpis.catalogue import Catalogue
from kpis.contracts import Series
from kpis.series.question import TOTAL
from reports.dashboard import shown
from reports.dashboard.drawing import LINES
from reports.dashboard.question import PageQuestion
from reports.dashboard.reading import dimensions_of, metric_named, numbers_read

PREFERRED: Final = ("country", "platform", "channel", "method", "content_type", "reason")


@dataclass(frozen=True, slots=True)
class Split:
    """Series with their breakdown by metric, and why others have none. Empty without a breakdown in the address."""

    charts: Mapping[str, Series] = field(default_factory=dict)
    tiles: Mapping[str, Series] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    complaint: str = ""


WHOLE: Final = Split()


def split_read(charts: Sequence[str], tiles: Sequence[str], question: PageQuestion, catalogue: Catalogue) -> Split:
    """What the page's breakdown says of these metrics. Needs the tenant's context.

    Charts whose dimension no roll-up holds are counted from the events, tiles then stay as they are.
    """
    by = question.ask.by
    if not by:
        return WHOLE
    stored = {name for name in {*charts, *tiles} if by in _dimensions(name, catalogue)}
    rolled = [name for name in dict.fromkeys(charts) if name in stored]
    counted = [name for name in dict.fromkeys(charts) if name not in stored]
    of_charts, why = _read(rolled, question, catalogue)
    of_events, why_not = _read(counted, question, catalogue)
    others = [name for name in dict.fromkeys(tiles) if name in stored and name not in of_charts]
    of_tiles, _ = _read(others, question, catalogue, grain=TOTAL)
    found = of_charts | of_events
    complaint = "" if found or of_tiles else f"Nothing on this page can be broken down by {shown.dimension_shown(by)}."
    return Split(found, of_charts | of_tiles, why | why_not, complaint)


def dimensions_offered(names: Iterable[str], catalogue: Catalogue) -> tuple[str, ...]:
    """What a page of these metrics can be broken down by out of the roll-ups."""
    return ordered({dimension for name in names for dimension in _dimensions(name, catalogue)})


def ordered(names: Collection[str]) -> tuple[str, ...]:
    """Those that people ask for most first."""
    first = [name for name in PREFERRED if name in names]
    return (*first, *sorted(name for name in names if name not in first))


def _dimensions(name: str, catalogue: Catalogue) -> tuple[str, ...]:
    metric = metric_named(name, catalogue)
    return dimensions_of(metric, catalogue) if metric else ()


def _read(
    names: Sequence[str], question: PageQuestion, catalogue: Catalogue, grain: str = ""
) -> tuple[dict[str, Series], dict[str, str]]:
    if not names:
        return {}, {}
    ask = replace(question.ask, limit=LINES, grain=grain or question.ask.grain)
    numbers = numbers_read(names, ask, tenant_id=question.tenant.id, catalogue=catalogue)
    return {name: series for name, series in numbers.series.items() if series.series}, numbers.missing
