"""Events of a funnel by group: a company passes a step when anybody of it does.

Whom an event belongs to beside its person is its property `$groups`, {type: key}, as SDKs send it. Keys are read here
and not by the engine, so every engine gives the same; there are few distinct texts among many events.
"""

from __future__ import annotations

import json
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np
import pyarrow as pa

from analytics.periods import to_micros
from kpis.explore.picks import EventPick, all_hold, bit, column_of, left_out, picked
from kpis.explore.stamp import EventSource
from kpis.funnels.attempts import Ints
from kpis.funnels.question import GROUPS, Funnel
from kpis.funnels.rows import Rows, coded, picks_of

NOBODY: Final = -1


def group_rows(source: EventSource, funnel: Funnel) -> Rows:
    """The events of steps and exclusions, by group; those of no group are no steps."""
    found = source.run(group_selection(source, funnel))
    group = groups_of(found.column("groups"), str(funnel.group))
    columns = [found.column(name).to_numpy().astype(np.int64) for name in ("ts", "seq", "person", "flags")]
    unit, is_wanted = group, group >= 0
    if funnel.hold:
        held = coded(found.column("held"))[0]
        unit = group * (int(held.max(initial=0)) + 1) + held
        is_wanted &= held >= 0
    ts, seq, person, flags = columns
    # Receipt orders the events of a person; those of two people at one microsecond lie by the number of the person.
    order = np.lexsort((seq, person, ts, unit))
    order = order[is_wanted[order]]
    key, keys = coded(found.column("key")) if funnel.by else (None, ())
    return Rows(
        person=group[order],
        unit=unit[order],
        ts=ts[order],
        seq=np.arange(len(order)),
        flags=flags[order],
        key=None if key is None else key[order],
        keys=keys,
    )


def group_selection(source: EventSource, funnel: Funnel) -> Any:
    """The Ibis table of events of groups that fit a step; in strict order every event of groups that shows activity."""
    start, end = (to_micros(instant) for instant in funnel.span)
    table = source.events.filter((source.events.ts >= start) & (source.events.ts < end))
    for flag in left_out(funnel.include):
        table = table.filter(~table[flag])
    picks, passes = picks_of(funnel), all_hold(source, table, funnel.filters)
    if funnel.order == "strict":
        table = table.filter(picked(source, table, EventPick()))
    wanted: dict[str, Any] = {
        "ts": table.ts,
        "seq": table.seq.cast("int64"),
        "person": table.person_id.fill_null(NOBODY).cast("int64"),
        "groups": column_of(source, table, GROUPS),
        "flags": reduce(add, (bit(picked(source, table, pick) & passes, index) for index, pick in enumerate(picks))),
    }
    if funnel.hold:
        wanted["held"] = column_of(source, table, funnel.hold)
    if funnel.by:
        wanted["key"] = column_of(source, table, funnel.by)
    found = table.select(**wanted)
    found = found.filter(found.groups.notnull())
    return found if funnel.order == "strict" else found.filter(found.flags > 0)


def groups_of(column: pa.ChunkedArray, kind: str) -> Ints:
    """The number of each event's group of this type, by the key; -1 without one."""
    codes, texts = coded(column)
    keys = [_key(text, kind) for text in texts]
    numbers = {key: number for number, key in enumerate(sorted({key for key in keys if key is not None}))}
    of_text = np.array([*(NOBODY if key is None else numbers[key] for key in keys), NOBODY], dtype=np.int64)
    return of_text[codes]


def _key(text: str, kind: str) -> str | None:
    """The key of a group in the text of `$groups`; None for whatever is none."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    key = told.get(kind) if isinstance(told, dict) else None
    if isinstance(key, bool) or not isinstance(key, str | int | float) or key == "":
        return None
    return str(key)
