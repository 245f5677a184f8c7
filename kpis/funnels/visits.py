"""Events of a funnel by visit (S15), for funnels whose steps all lie in one.

Visits are cut here as sessions are everywhere else, by the same function: from all that a person did, also by what is
no step, and with some hours around the range, because a visit begins where it begins.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa

from analytics.periods import to_micros
from analytics.sessions import GAP, session_keys
from kpis.explore.picks import EventPick, all_hold, bit, column_of, people_only, picked
from kpis.explore.stamp import EventSource
from kpis.funnels.attempts import Ints
from kpis.funnels.question import Funnel
from kpis.funnels.rows import Rows, coded, ordered, picks_of


def visit_rows(source: EventSource, funnel: Funnel) -> Rows:
    """The events of steps and exclusions, a unit being a visit (or a visit with one value of what is held)."""
    return rows_by_visit(source.run(visit_selection(source, funnel)), is_strict=funnel.order == "strict")


def visit_selection(source: EventSource, funnel: Funnel) -> Any:
    """The Ibis table of every event that shows activity, and which steps it fits."""
    start, end = (to_micros(instant) for instant in funnel.span)
    table = people_only(source.events, funnel.include)
    table = table.filter((table.ts >= start) & (table.ts < end))
    table = table.filter(picked(source, table, EventPick()))
    passes = all_hold(source, table, funnel.filters)
    wanted: dict[str, Any] = {
        "person_id": table.person_id.cast("int64"),
        "ts": table.ts,
        "seq": table.seq.cast("int64"),
        "cohort": bit(table.is_bot, 0) + bit(table.is_internal, 1),
        "session_id": table.session_id,
        "flags": reduce(
            add, (bit(picked(source, table, pick) & passes, index) for index, pick in enumerate(picks_of(funnel)))
        ),
    }
    if funnel.hold:
        wanted["held"] = column_of(source, table, funnel.hold)
    if funnel.by:
        wanted["key"] = column_of(source, table, funnel.by)
    return table.select(**wanted)


def rows_by_visit(found: pa.Table, *, is_strict: bool = False) -> Rows:
    """The rows of a selection by visit, without those that fit no step unless the order is strict."""
    if found.num_rows == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return Rows(nothing, nothing, nothing, nothing, nothing, nothing, (), nothing)
    names = ("person_id", "ts", "seq", "cohort", "flags")
    person, ts, seq, cohort, flags = (found.column(name).to_numpy().astype(np.int64) for name in names)
    order = ordered(person * 4 + cohort, ts, seq)
    visit, closes = _visits((person * 4 + cohort)[order], ts[order], coded(found.column("session_id"))[0][order])
    rows = Rows(person[order], visit, ts[order], seq[order], flags[order], closes=closes)
    is_wanted = np.ones(len(rows), dtype=bool) if is_strict else rows.flags > 0
    if "held" in found.column_names:
        held = coded(found.column("held"))[0][order]
        rows = replace(rows, unit=rows.unit * (int(held.max(initial=0)) + 1) + held)
        is_wanted &= held >= 0
    if "key" in found.column_names:
        key, keys = coded(found.column("key"))
        rows = replace(rows, key=key[order], keys=keys)
    return _taken(rows, np.flatnonzero(is_wanted))


def _visits(owner: Ints, ts: Ints, sdk: Ints) -> tuple[Ints, Ints]:
    """The number of each event's visit, ascending by owner, and when that is over: 30 minutes after its last event."""
    keys = session_keys(ts, np.cumsum(np.append(0, owner[1:] != owner[:-1])), sdk)
    _, first, of_row = np.unique(keys, return_index=True, return_inverse=True)
    end = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(end, of_row, ts)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[of_row], end[of_row] + GAP


def _taken(rows: Rows, chosen: Ints) -> Rows:
    """Some of the rows, by unit, time and receipt."""
    chosen = chosen[ordered(rows.unit[chosen], rows.ts[chosen], rows.seq[chosen])]
    return Rows(
        person=rows.person[chosen],
        unit=rows.unit[chosen],
        ts=rows.ts[chosen],
        seq=rows.seq[chosen],
        flags=rows.flags[chosen],
        key=None if rows.key is None else rows.key[chosen],
        keys=rows.keys,
        closes=None if rows.closes is None else rows.closes[chosen],
    )
