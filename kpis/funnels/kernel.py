"""Matching by NumPy: all attempts of all people at once, step by step.

Rows lie by (unit, time, receipt), so "the earliest event of step k after this one" is a binary search in the positions
of step k's rows. An attempt is a row number for each step, -1 where the step was not reached. Pure.
"""

from __future__ import annotations

import numpy as np

from analytics.periods import to_micros
from kpis.explore.stamp import micros_of
from kpis.funnels.attempts import NEVER, Attempts, Chains, Flags, Ints
from kpis.funnels.question import Funnel
from kpis.funnels.rows import Rows
from kpis.funnels.successive import successive
from kpis.funnels.unordered import gathered

NONE = -1


def attempts_of(rows: Rows, funnel: Funnel, data_through: int) -> Attempts:
    """One attempt for each person, or every one, by the funnel's policy. `data_through` in microseconds."""
    entries = entries_of(rows, funnel)
    chains = gathered(rows, entries, funnel) if funnel.order == "any" else chained(rows, entries, funnel)
    window = rows.ts[entries] + micros_of(funnel.window)
    if rows.closes is not None:
        window = np.minimum(window, rows.closes[entries])
        chains.deadline = np.minimum(chains.deadline, window)
    if funnel.entry == "every":
        chosen = successive(rows, entries, chains, funnel)
    else:
        chosen = best_of(rows, entries, chains, len(funnel.required), data_through)
    entries = entries[chosen]
    position = [column[chosen] for column in chains.position]
    at = [column[chosen] for column in chains.at]
    deadline = chains.deadline[chosen]
    return Attempts(
        person=rows.person[entries],
        at=tuple(at),
        deadline=deadline,
        settles=window[chosen],
        excluded=excluded_in(rows, position, deadline, funnel),
        key=None if rows.key is None else key_at(rows, position, chains.level[chosen], funnel),
        keys=rows.keys,
    )


def entries_of(rows: Rows, funnel: Funnel) -> Ints:
    """Rows that begin an attempt: step 1 in the range, or any step where their order does not matter."""
    start, end = to_micros(funnel.start), to_micros(funnel.end)
    begins = (1 << len(funnel.steps)) - 1 if funnel.order == "any" else 1
    entries = np.flatnonzero((rows.flags & begins > 0) & (rows.ts >= start) & (rows.ts < end))
    return firsts(rows, entries) if funnel.entry == "first" else entries


def firsts(rows: Rows, entries: Ints) -> Ints:
    """Each person's earliest of them."""
    order = np.lexsort((rows.seq[entries], rows.ts[entries], rows.person[entries]))
    person = rows.person[entries][order]
    return np.sort(entries[order][first_of_run(person)])


def first_of_run(values: Ints) -> Flags:
    """Where a sorted column changes."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def chained(rows: Rows, entries: Ints, funnel: Funnel) -> Chains:
    """Follow every entry through the steps."""
    window = rows.ts[entries] + micros_of(funnel.window)
    position: list[Ints] = [entries, *(np.full(len(entries), NONE) for _ in funnel.steps[1:])]
    level = np.ones(len(entries), dtype=np.int64)
    deadline = window
    anchor = entries
    required = funnel.required
    for order, index in enumerate(required[1:], start=1):
        limit = limits(rows, anchor, funnel, index, window)
        found = next_row(rows, anchor, index, limit, is_strict=funnel.order == "strict")
        position[index] = np.where(level == order, found, NONE)
        deadline = np.where(level == order, limit, deadline)
        _optional(rows, position, funnel, (required[order - 1], index), window)
        is_here = position[index] >= 0
        level += is_here
        anchor = np.where(is_here, position[index], anchor)
    _optional(rows, position, funnel, (required[-1], len(funnel.steps)), window)
    at = [np.where(column >= 0, rows.ts[column], NEVER) for column in position]
    return Chains(position, at, level, deadline)


def limits(rows: Rows, anchor: Ints, funnel: Funnel, index: int, window: Ints) -> Ints:
    """Until when step `index` may happen: the whole window, or its own from the last required step."""
    within = funnel.steps[index].within
    return window if within is None else np.minimum(window, rows.ts[anchor] + micros_of(within))


def next_row(rows: Rows, after: Ints, index: int, limit: Ints, *, is_strict: bool = False) -> Ints:
    """The first row of step `index` after these rows, of the same unit and not beyond the limit; else -1."""
    if is_strict:
        found = np.minimum(after + 1, len(rows) - 1)
        fits = (found > after) & (rows.flags[found] >> index & 1 > 0)
    else:
        places = np.flatnonzero(rows.flags >> index & 1)
        if len(places) == 0:
            return np.full(len(after), NONE)
        slot = np.searchsorted(places, after, side="right")
        fits = slot < len(places)
        found = places[np.minimum(slot, len(places) - 1)]
    fits &= (after >= 0) & (rows.unit[found] == rows.unit[after]) & (rows.ts[found] <= limit)
    return np.where(fits, found, NONE)


def _optional(rows: Rows, position: list[Ints], funnel: Funnel, gap: tuple[int, int], window: Ints) -> None:
    """Fill in the optional steps between two required ones, each after the last that was found."""
    anchor, following = position[gap[0]], gap[1]
    last = anchor
    for index in range(gap[0] + 1, following):
        found = next_row(rows, last, index, limits(rows, anchor, funnel, index, window))
        if following < len(position):
            is_early = (position[following] < 0) | (found < position[following])
            found = np.where(is_early, found, NONE)
        position[index] = found
        last = np.where(found >= 0, found, last)


def best_of(rows: Rows, entries: Ints, chains: Chains, steps: int, data_through: int) -> Ints:
    """For each person which entry stands for it: furthest, then still open, then earliest."""
    if len(entries) == 0:
        return entries
    person = rows.person[entries]
    score = chains.level * 2 + ((chains.level < steps) & (chains.deadline >= data_through))
    starts = np.flatnonzero(first_of_run(person))
    top = np.maximum.reduceat(score, starts)
    run = np.cumsum(first_of_run(person)) - 1
    best = np.flatnonzero(score == top[run])
    if rows.unit is not rows.person and not np.array_equal(rows.unit, rows.person):
        best = best[np.lexsort((rows.seq[entries[best]], rows.ts[entries[best]], person[best]))]
    return best[first_of_run(person[best])]


def excluded_in(rows: Rows, position: list[Ints], deadline: Ints, funnel: Funnel) -> Flags:
    """Whose attempt has an exclusion between its two steps (or, short of the second, before its time is over)."""
    found = np.zeros(len(deadline), dtype=bool)
    if len(found) == 0:
        return found
    window = rows.ts[position[0]] + micros_of(funnel.window)
    for number, exclusion in enumerate(funnel.exclusions):
        before = funnel.required[-1] if exclusion.before is None else exclusion.before
        hit = next_row(rows, position[exclusion.after], len(funnel.steps) + number, window)
        reached = position[before]
        found |= (hit >= 0) & np.where(reached >= 0, hit < reached, rows.ts[hit] <= deadline)
    return found


def key_at(rows: Rows, position: list[Ints], level: Ints, funnel: Funnel) -> Ints:
    """The breakdown's value of each attempt."""
    assert rows.key is not None
    if funnel.at == "first":
        row = position[0]
    elif funnel.at == "last":
        row = np.maximum.reduce(position)
    else:
        row = position[funnel.at]
    return np.where(row >= 0, rows.key[row], NONE)
