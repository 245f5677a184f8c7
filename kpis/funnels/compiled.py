"""Matching of plain funnels, compiled: one pass over each person's events from the last to the first.

Going backwards, what follows an event is known when it is reached. For each step but the first the chain that begins
with the nearest event of it is kept: that event, the next step's nearest event after it, and so on while they lie
within the steps' own windows. An entry's attempt is then the second step's chain as far as it lies in the window.

Numba compiles it at the first use and keeps the result below NUMBA_CACHE_DIR; no lock of the interpreter is held.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
from numba import boolean, int8, int32, int64

from analytics.compiling import compiled
from kpis.funnels.attempts import NEVER

READ_PEOPLE: Final = numba.types.Array(int32, 1, "C", readonly=True)
READ_TIMES: Final = numba.types.Array(int64, 1, "C", readonly=True)
NOTHING: Final = -(2**63)


@compiled(
    boolean(READ_PEOPLE, READ_TIMES, int64[::1], int8[::1], int64, int64, int32[::1], int64[::1]),
    nogil=True,
    cache=True,
)
def spread(person: Any, ts: Any, edges: Any, steps: Any, count: Any, low: Any, until: Any, times: Any) -> bool:
    """Sorts times by step (`count` of them) and person (`low` is the first), in ascending order within each.

    Row i belongs to the run r with `edges[r] <= i < edges[r + 1]`, whose step is `steps[r]`. `until`, zeros, becomes
    where each (step, person) ends in `times`, preceded by a 0. False when somebody has no place in it.
    """
    people = (len(until) - 1) // count
    is_good = True
    for run in range(len(steps)):
        base = 1 + steps[run] * people
        for row in range(edges[run], edges[run + 1]):
            one = person[row] - low
            if one < 0 or one >= people:
                is_good = False
            else:
                until[base + one] += 1
    if not is_good:
        return False
    total = int32(0)
    for place in range(1, len(until)):  # first where each begins; placing makes it where each ends
        total, until[place] = total + until[place], total
    for run in range(len(steps)):
        base = 1 + steps[run] * people - low
        for row in range(edges[run], edges[run + 1]):
            place = until[base + person[row]]
            times[place] = ts[row]
            until[base + person[row]] = place + 1
    for place in range(1, len(until)):
        for row in range(until[place - 1] + 1, until[place]):
            if times[row] < times[row - 1]:  # pieces of one day may overlap
                times[until[place - 1] : until[place]].sort()
                break
    return True


@compiled(
    int64(
        int32[::1], int64[::1], int64, int64[::1], int64, int64, boolean,
        int64, int64[:, :], int64[:, :], boolean[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def matched(
    until: Any, times: Any, window: Any, within: Any, through: Any, end: Any, is_first: Any,
    low: Any, at: Any, rest: Any, tied: Any,
) -> int:  # fmt: skip
    """Writes the attempt that counts of each person into `at`, and person and deadline into `rest`; how many there are.

    `until` and `times` as `spread` leaves them; entries lie before `end`. Of attempts the one that gets furthest
    counts, of equals one that is open at `through`, then the earliest; or always the earliest (`is_first`). People
    with two steps at one time are marked in `tied` instead. `low` is the first person.
    """
    count = len(within)
    people = (len(until) - 1) // count
    row = np.empty(count, np.int64)
    begin = np.empty(count, np.int64)
    chain = np.empty((count, count), np.int64)
    length = np.empty(count, np.int64)
    found = 0
    for one in range(people):
        if until[one] == until[one + 1]:
            continue
        for step in range(count):
            begin[step] = until[step * people + one]
            row[step] = until[step * people + one + 1] - 1
            length[step] = 0
        best, best_level, entry, first = 0, 0, row[0], begin[0]
        while entry >= first:
            here, latest = 0, NOTHING  # the latest event that is no entry
            for step in range(1, count):
                if row[step] >= begin[step]:
                    time = times[row[step]]
                    if time > latest:
                        here, latest = step, time
                    elif time == latest:
                        tied[one] = True
            # The entries since then share one chain. An earlier one gets no further: the first worse one ends it.
            is_over, best_entry = False, int64(-1)
            while entry >= first and times[entry] > latest:
                time = times[entry]
                entry -= 1
                if is_over or time >= end:
                    continue
                level, last, reaches = 1, time, time + window
                if length[1] and chain[1, 0] - time <= within[1]:
                    while level <= length[1] and chain[1, level - 1] <= reaches:
                        level += 1
                        if level < count:
                            last = chain[1, level - 2]
                closes = min(reaches, last + within[min(level, count - 1)])
                rank = 2 * level + (level < count and closes >= through)
                if is_first or rank >= best:
                    best, best_entry, best_level = rank, time, level
                    rest[1, found] = closes
                else:
                    is_over = True
            if best_entry >= 0:
                at[0, found] = best_entry
                for step in range(1, count):
                    at[step, found] = chain[1, step - 1] if step < best_level else NEVER
            if entry < first:
                break
            if times[entry] == latest:
                tied[one] = True
            if tied[one]:
                break
            row[here] -= 1
            chain[here, 0] = latest
            length[here] = 1
            if here + 1 < count and length[here + 1] and chain[here + 1, 0] - latest <= within[here + 1]:
                for place in range(length[here + 1]):
                    chain[here, 1 + place] = chain[here + 1, place]
                length[here] += length[here + 1]
        if best and not tied[one]:
            rest[0, found] = one + low
            found += 1
    return found
