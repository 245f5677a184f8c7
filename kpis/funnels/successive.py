"""Every attempt, one after the other: the next begins with the first entry after the one before is over. Pure."""

from __future__ import annotations

import numpy as np

from kpis.funnels.attempts import Chains, Ints
from kpis.funnels.question import Funnel
from kpis.funnels.rows import Rows


def successive(rows: Rows, entries: Ints, chains: Chains, funnel: Funnel) -> Ints:
    """Which of the entries begin an attempt, ascending.

    Each entry knows the one that would follow it; so all units take their first, then all of them their next, until
    nobody has one. That is as many rounds as the busiest unit has attempts.
    """
    if len(entries) == 0:
        return entries
    unit = rows.unit[entries]
    following = _following(rows, entries, chains, funnel)
    following = np.where(
        (following < len(entries)) & (unit[np.minimum(following, len(entries) - 1)] == unit), following, -1
    )
    current = np.unique(unit, return_index=True)[1]
    chosen = []
    while len(current):
        chosen.append(current)
        current = following[current]
        current = current[current >= 0]
    return np.sort(np.concatenate(chosen))


def _following(rows: Rows, entries: Ints, chains: Chains, funnel: Funnel) -> Ints:
    """The first entry after each attempt: after its last step, or after the time that it had for the next one.

    In strict order an attempt is also over with the first event that is not the next step, which may begin another.
    """
    reached = np.maximum.reduce([chains.position[index] for index in funnel.required])
    is_over = chains.level == len(funnel.required)
    if funnel.order == "strict":
        is_over = np.ones(len(entries), dtype=bool)
    late = _after(rows.unit[entries], rows.ts[entries], chains.deadline)
    return np.where(is_over, np.searchsorted(entries, reached, side="right"), late)


def _after(unit: Ints, ts: Ints, deadline: Ints) -> Ints:
    """For each row the first one of its unit later than its deadline, by place; rows lie by (unit, ts).

    Times become ranks among all of them, so that unit and time fit one number.
    """
    times = np.unique(np.concatenate([ts, deadline]))
    number = np.cumsum(np.append(0, unit[1:] != unit[:-1]))
    wide = len(times) + 1
    keys = number * wide + np.searchsorted(times, ts)
    return np.searchsorted(keys, number * wide + np.searchsorted(times, deadline), side="right")
