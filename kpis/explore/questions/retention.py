"""Retention as a kind of question: from bitmaps where they hold all it asks about, else from the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pyroaring import BitMap

from analytics.capture.money import exponents
from analytics.filters import period_parameters
from analytics.periods import Granularity
from kpis.daily_visitors import beside
from kpis.explore.bodies import RetentionBody
from kpis.explore.grammar import Asking, pick_of
from kpis.explore.kinds import Desk, Opening, QuestionKind, kinds
from kpis.explore.picks import EventPick
from kpis.explore.plain import money, plain
from kpis.explore.stamp import Stamp
from kpis.funnels.rows import names_wanted
from kpis.retention import retention_read
from kpis.retention_clock import came_before, clock_people, clock_retention_read
from kpis.retention_clock import columns_of as retention_columns
from kpis.retention_clock_answer import ClockAnswer, ClockCell, ClockRow, RetentionPart, answered
from kpis.retention_clock_question import ClockRetention
from kpis.series.question import QuestionError
from kpis.usage_interval import UsageInterval, interval_in, usage_interval_read

BEGINNING = timedelta(days=3660)


def retention_of(wanted: Mapping[str, Any], asking: Asking) -> ClockRetention:
    """Checked JSON as a question of retention. Raises QuestionError."""
    calendar, unit = asking.calendar, Granularity(wanted["unit"])
    if wanted.get("from"):
        start = period_parameters({"from": str(wanted["from"])}, calendar, asking.now, default="").start
    else:
        start = calendar.last(wanted["periods"], unit, asking.now).start
    return ClockRetention(
        start=start,
        calendar=calendar,
        periods=wanted["periods"],
        unit=wanted["unit"],
        clock=wanted["clock"],
        cohort=wanted["cohort"],
        mode=wanted["mode"],
        first=pick_of(wanted.get("first") or {}),
        returning=pick_of(wanted.get("returning") or wanted.get("first") or {}),
        days=tuple(wanted["days"]),
        brackets=tuple(wanted["brackets"]),
        min_size=wanted["min_size"],
        versus=versus_of(wanted["versus"]),
        revenue=wanted["revenue"],
        filters=tuple(wanted["filters"]),
        include=tuple(wanted["include"]),
        by=wanted["by"] or None,
        limit=wanted["limit"],
    )


def versus_of(cohorts: Sequence[int]) -> tuple[int, int] | None:
    """Two cohorts, or none. Raises QuestionError."""
    if not cohorts:
        return None
    if len(cohorts) != 2:
        raise QuestionError("versus are two cohorts by their place in the table, from 0", "versus")
    return cohorts[0], cohorts[1]


def is_of_bitmaps(question: ClockRetention) -> bool:
    """Whether the roll-ups hold all that it asks about. They know who came, and not by what event."""
    whole = EventPick()
    return (
        question.clock == "calendar"
        and question.first == question.returning == whole
        and not (question.revenue or question.filters or question.include or question.by)
    )


def retention_answer(question: ClockRetention, desk: Desk) -> dict[str, Any]:
    shared = {"unit": question.unit, "clock": question.clock, "cohort": question.cohort, "mode": question.mode}
    if is_of_bitmaps(question) and desk.people is None:
        return {**shared, **_from_bitmaps(question, desk.asking)}
    known = _known_before(question, desk)
    desk.progress(1, 3)
    # A breakdown must not change what is told of everybody, and bitmaps know the time before the range.
    knows_more = desk.people is None and is_of_bitmaps(replace(question, by=None))
    interval_of = (lambda *_: _interval(question, desk.asking)) if knows_more else interval_in
    with desk.open(_retention_opening(question)) as source:
        found = clock_retention_read(
            source,
            question,
            now=desk.asking.now,
            known_before=known,
            daily=desk.known.daily,
            interval_of=interval_of,
        )
    return {**shared, **clock_plain(found, desk.asking)}


def _interval(question: ClockRetention, asking: Asking) -> UsageInterval | None:
    return usage_interval_read(tenant_id=asking.tenant.id, until=question.span[1], now=asking.now)


def _from_bitmaps(question: ClockRetention, asking: Asking) -> dict[str, Any]:
    found = retention_read(
        tenant_id=asking.tenant.id,
        start=question.start,
        periods=question.periods,
        unit=question.unit,
        cohort=question.cohort,
        mode=question.mode,
        now=asking.now,
    )
    rows = [
        ClockRow(
            row.start,
            row.size,
            tuple(
                ClockCell(cell.period, cell.returned, _float(cell.value), None, cell.is_complete) for cell in row.cells
            ),
        )
        for row in found.rows
    ]
    stamp = Stamp(
        timezone=found.timezone,
        start=question.edges[0],
        end=question.edges[question.periods],
        filters=(),
        include=(),
        definition_version="2.bitmaps",
        data_through=found.data_through,
        is_complete=all(cell.is_complete for row in rows for cell in row.cells),
        computed_at=asking.now,
        executor="rollup",
    )
    return clock_plain(answered(question, rows, stamp, _interval(question, asking), found.daily_visitors), asking)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def clock_plain(found: ClockAnswer, asking: Asking) -> dict[str, Any]:
    exponent = exponents().get(asking.tenant.base_currency, 2)
    return {
        **_table_plain(found, exponent),
        "currency": asking.tenant.base_currency if found.question.revenue else None,
        "days": list(found.question.days),
        "brackets": list(found.question.brackets),
        "min_size": found.question.min_size,
        "by": found.question.by,
        "breakdown": [
            {"key": part.key, "size": part.size, "is_small": part.is_small, **_table_plain(part, exponent)}
            for part in found.breakdown
        ],
        "versus": plain(found.versus),
        "usage_interval": plain(found.interval),
        **beside(found.reading, found.daily_visitors),
        **found.stamp.plain(),
    }


def _table_plain(found: ClockAnswer | RetentionPart, exponent: int) -> dict[str, Any]:
    """What the whole and each value of the breakdown have."""
    rows = plain(found.rows)
    for row in rows:
        for cell in row["cells"]:
            cell["revenue"] = money(cell["revenue"], exponent)
    return {
        "rows": rows,
        "means": list(found.means),
        "revenue_per_person": [None if value is None else value / 10**exponent for value in found.revenue_per_person],
        "mean_intervals": plain(found.mean_intervals),
    }


def _retention_opening(question: ClockRetention) -> Opening:
    columns, properties = retention_columns(question)
    start, end = question.span
    names = names_wanted([question.first, question.returning])
    return Opening(start=start, end=end, columns=columns, properties=properties, names=names)


def _known_before(question: ClockRetention, desk: Desk) -> Any:
    if question.cohort != "first_ever":
        return None
    columns, properties = retention_columns(replace(question, by=None))
    start = question.edges[0]
    before = Opening(
        start=start - BEGINNING, end=start, columns=columns, properties=properties, names=question.first.all_names
    )
    with desk.open(before) as history:
        return came_before(history, question)


def retention_people(question: ClockRetention, place: Mapping[str, Any], desk: Desk) -> BitMap:
    """`place`: {"cohort": index, "period": index}, and "key" for those of a value of the breakdown."""
    cohort, period, key = place.get("cohort"), place.get("period"), place.get("key")
    if not isinstance(cohort, int) or not 0 <= cohort < question.periods:
        raise QuestionError("`cohort` is the index of a row, from 0", "place")
    if not isinstance(period, int) or not 0 <= period < len(question.windows):
        raise QuestionError("`period` is the index of a cell, from 0", "place")
    if key is not None and not (question.by and isinstance(key, str)):
        raise QuestionError("`key` is a value of the breakdown; without `by` there are none", "place")
    known = _known_before(question, desk)
    with desk.open(_retention_opening(question)) as source:
        daily = desk.known.daily
        return clock_people(source, question, cohort=cohort, period=period, key=key, known_before=known, daily=daily)


kinds.register(
    QuestionKind(
        id="retention",
        body=RetentionBody,
        build=retention_of,
        picks=lambda question: (question.first, question.returning),
        answer=retention_answer,
        people=retention_people,
    )
)
