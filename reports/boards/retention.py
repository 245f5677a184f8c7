"""Cohorts as a table of shares: how dark a cell is comes from a class, in steps of ten percent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analytics.periods import Calendar
from kpis.contracts import Number, Retention
from kpis.groups import SMALLEST

HIDDEN = "<5"


@dataclass(frozen=True, slots=True)
class Share:
    """A cell: "41 %", '' where the week is not over; `step` is 0 to 10."""

    text: str
    step: int


@dataclass(frozen=True, slots=True)
class Cohort:
    """Who came first in the week of `label`."""

    label: str
    size: str
    cells: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class RetentionTable:
    """Cohorts by week, and their weighted mean. `note`: who is in none of them."""

    weeks: tuple[int, ...]
    rows: tuple[Cohort, ...]
    means: tuple[Share, ...]
    note: str = ""


def retention_table(found: Retention, calendar: Calendar, *, least: int = 0) -> RetentionTable:
    """The table. Cohorts of fewer than `least` people keep their shares to themselves."""
    rows = tuple(
        Cohort(
            label=f"{calendar.local_date(row.start):%-d %b}",
            size=HIDDEN if 0 < row.size < least else f"{row.size:,}",
            cells=tuple(_share(None if 0 < row.size < least else cell.value) for cell in row.cells),
        )
        for row in found.rows
    )
    note = found.daily_visitors.told if found.daily_visitors else ""
    return RetentionTable(tuple(range(len(found.means))), rows, tuple(_share(mean) for mean in found.means), note)


def for_strangers(found: Retention, calendar: Calendar) -> RetentionTable:
    """Without small cohorts. The means, from which one hidden cohort could be worked out, go with them."""
    table = retention_table(found, calendar, least=SMALLEST)
    has_small = any(0 < row.size < SMALLEST for row in found.rows)
    return replace(table, means=() if has_small else table.means)


def _share(value: Number) -> Share:
    return Share("", 0) if value is None else Share(f"{value * 100:.0f} %", min(10, int(value * 10)))
