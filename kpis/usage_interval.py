"""How long people leave between two uses, and which unit of retention fits that. Pure, but for the reading of bitmaps.

A person's interval is the median of the days between neighbouring days of use; what is told is the median of the
people, and the days within which four in five of them fit. People who came on one day only have none. Whoever pauses
longer than the stretch that is looked at seems to have none either, so long intervals are told too short, never too
long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from pyroaring import FrozenBitMap

from analytics.periods import Calendar, Granularity, to_micros
from analytics.tenancy import tenant_context
from kpis.funnels.attempts import Ints
from kpis.needs import Need
from kpis.retention import active_in, unit_edges
from kpis.series.context import context_read
from kpis.series.read import Selection, strips_read

STRETCH: Final = timedelta(days=120)
"""The end of the range that is looked at."""
MOST_USES: Final = 500_000
"""Days of use that are looked at; beyond it a fixed part of the people stands for all."""
UNITS: Final = (("day", 1.0), ("week", 7.0))
MIXER: Final = 2_654_435_761
BITS: Final = 32


@dataclass(frozen=True, slots=True)
class UsageInterval:
    """`people` came on two days or more (of a part of all, when `is_sampled`). `unit` is the smallest unit of retention
    that is at least as long as the median."""

    people: int
    median_days: float
    p80_days: float
    unit: str
    is_sampled: bool = False


def interval_of(person: Ints, day: Ints, *, is_sampled: bool = False) -> UsageInterval | None:
    """`person` and `day` (a number) of each use, in any order and repeated at will; None when nobody came twice."""
    order = np.lexsort((day, person))
    person, day = person[order], day[order]
    is_gap = (person[1:] == person[:-1]) & (day[1:] > day[:-1])
    who, gaps = person[1:][is_gap], np.diff(day)[is_gap]
    if len(who) == 0:
        return None
    order = np.lexsort((gaps, who))
    who, gaps = who[order], gaps[order]
    start = np.flatnonzero(np.append(True, who[1:] != who[:-1]))
    count = np.diff(np.append(start, len(who)))
    medians = (gaps[start + (count - 1) // 2] + gaps[start + count // 2]) / 2
    middle, most = (float(np.quantile(medians, share)) for share in (0.5, 0.8))
    unit = next((name for name, days in UNITS if middle <= days), "month")
    return UsageInterval(len(start), middle, most, unit, is_sampled)


def interval_in(person: Ints, ts: Ints, calendar: Calendar, until: datetime) -> UsageInterval | None:
    """Of uses in microseconds; those of the stretch before `until` count, by local days."""
    edges = _days(calendar, until)
    day = np.searchsorted(np.array([to_micros(edge) for edge in edges]), ts, side="right")
    inside = (day > 0) & (day < len(edges))
    return interval_of(*_sampled(person[inside], day[inside]))


def usage_interval_read(*, tenant_id: int, until: datetime, now: datetime) -> UsageInterval | None:
    """Of all activity, from the bitmaps of single days."""
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        edges = _days(context.calendar, min(until, context.data_through))
        measure = "users.active"
        strips = strips_read(context, {Need(measure, edges[0], edges[-1], everyone=True)}, Selection(), Granularity.DAY)
    return interval_of_bitmaps(active_in(strips, measure, edges))


def interval_of_bitmaps(days: Sequence[FrozenBitMap]) -> UsageInterval | None:
    """Of who came on each of some days in a row."""
    uses = sum(len(people) for people in days)
    part = min(1.0, MOST_USES / uses) if uses else 1.0
    chosen = [_part_of(np.frombuffer(people.to_array(), dtype=np.uint32), part) for people in days]
    person = np.concatenate([np.zeros(0, dtype=np.int64), *chosen])
    day = np.repeat(np.arange(len(days)), [len(people) for people in chosen])
    return interval_of(person, day, is_sampled=part < 1)


def _sampled(person: Ints, day: Ints) -> tuple[Ints, Ints]:
    part = min(1.0, MOST_USES / len(person)) if len(person) else 1.0
    kept = _is_kept(person, part)
    return person[kept], day[kept]


def _part_of(people: Ints, part: float) -> Ints:
    found = people.astype(np.int64)
    return found if part >= 1 else found[_is_kept(found, part)]


def _is_kept(person: Ints, part: float) -> Ints:
    """The same people each time, whatever the day."""
    mixed = (person.astype(np.uint64) * np.uint64(MIXER)) & np.uint64((1 << BITS) - 1)
    found: Ints = np.flatnonzero(mixed < np.uint64(part * (1 << BITS)))
    return found


def _days(calendar: Calendar, until: datetime) -> list[datetime]:
    """The starts of the local days of the stretch, and the end of the last one that is over."""
    edges = unit_edges(calendar, until - STRETCH, Granularity.DAY, STRETCH.days + 1)
    return [edge for edge in edges if edge <= until]


def reading_of(found: UsageInterval | None) -> str:
    """In words; nothing when nobody came twice."""
    if found is None:
        return ""
    among = f"{found.people:,} {'people of a sample' if found.is_sampled else 'people'}"
    return (
        f" Of {among} who came on two days or more, half come again within {days_shown(found.median_days)} and four in"
        f" five within {days_shown(found.p80_days)}: {found.unit}s fit that."
    )


def days_shown(days: float) -> str:
    """1 day, 2.5 days."""
    text = f"{days:.1f}".removesuffix(".0")
    return f"{text} day" if text == "1" else f"{text} days"
