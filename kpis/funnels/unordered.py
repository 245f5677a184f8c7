"""Steps in any order: how many of them a person did within the window, and when each further one was done. Pure.

An event is used once. Where two steps share events (a repeated step, or one that is part of another), the most steps
that distinct events can fill are counted: events in order of time, each added if an augmenting path makes room for it.
"""

from __future__ import annotations

import numpy as np

from kpis.explore.stamp import micros_of
from kpis.funnels.attempts import NEVER, Chains, Ints
from kpis.funnels.question import Funnel
from kpis.funnels.rows import Rows


def gathered(rows: Rows, entries: Ints, funnel: Funnel) -> Chains:
    """For each entry the rows at which the first, second … further step was done."""
    steps = len(funnel.steps)
    window = rows.ts[entries] + micros_of(funnel.window)
    position = _apart(rows, entries, window, steps)
    shared = np.bitwise_count(rows.flags & ((1 << steps) - 1)) > 1
    if shared.any():
        # Entries whose person has an event that fits two steps are matched one by one.
        mixed = np.isin(rows.unit[entries], np.unique(rows.unit[shared]))
        for entry in np.flatnonzero(mixed).tolist():
            position[:, entry] = filled(rows, int(entries[entry]), int(window[entry]), steps)
    columns = list(position)
    at = [np.where(column >= 0, rows.ts[column], NEVER) for column in columns]
    level = (position >= 0).sum(axis=0)
    return Chains(columns, at, level, window)


def _apart(rows: Rows, entries: Ints, window: Ints, steps: int) -> Ints:
    """When no event fits two steps: the first row of each step from the entry on, in order of time."""
    end = len(rows)
    found = np.full((steps, len(entries)), end)
    for step in range(steps):
        places = np.flatnonzero(rows.flags >> step & 1)
        if len(places) == 0:
            continue
        slot = np.searchsorted(places, entries)
        row = places[np.minimum(slot, len(places) - 1)]
        fits = (slot < len(places)) & (rows.unit[row] == rows.unit[entries]) & (rows.ts[row] <= window)
        found[step] = np.where(fits, row, end)
    found.sort(axis=0)
    return np.where(found < end, found, -1)


def filled(rows: Rows, entry: int, window: int, steps: int) -> Ints:
    """The rows that fill a further step each, for one entry."""
    used: dict[int, int] = {}
    found: list[int] = []
    row = entry
    while row < len(rows) and rows.unit[row] == rows.unit[entry] and rows.ts[row] <= window and len(found) < steps:
        if _placed(rows, row, used, set(), steps):
            found.append(row)
        row += 1
    return np.array([*found, *[-1] * (steps - len(found))], dtype=np.int64)


def _placed(rows: Rows, row: int, used: dict[int, int], tried: set[int], steps: int) -> bool:
    """Give the row a step, moving other rows to further steps of theirs where that makes room (Kuhn)."""
    flags = int(rows.flags[row])
    for step in range(steps):
        if flags >> step & 1 and step not in tried:
            tried.add(step)
            if step not in used or _placed(rows, used[step], used, tried, steps):
                used[step] = row
                return True
    return False
