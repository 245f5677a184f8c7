"""How long those who converted took, as a histogram. Pure.

Times of conversion reach from seconds to weeks, so bars of one width would show one bar. The bars are lengths of time
that people have words for instead; each is labelled with its own edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kpis.funnels.attempts import Attempts
from kpis.funnels.question import Funnel

MICROS: Final = 1_000_000
MINUTE, HOUR, DAY = 60, 3600, 86_400
EDGES: Final = (
    0, 1, 10, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY,
    5 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 60 * DAY, 90 * DAY, 180 * DAY, 367 * DAY,
)  # fmt: skip
"""In seconds; a bar holds its lower edge and not its upper one."""


@dataclass(frozen=True, slots=True)
class TimeBin:
    """`n` took at least `low` seconds and less than `high`; `share` is of all who converted."""

    low: int
    high: int
    n: int
    share: float


def times_of(attempts: Attempts, funnel: Funnel) -> tuple[TimeBin, ...]:
    """From the first step to the last, of those who are not excluded; from the quickest bar to the slowest."""
    start, end = attempts.at[0], attempts.at[funnel.required[-1]]
    done = np.flatnonzero((end >= 0) & ~attempts.excluded)
    if len(done) == 0:
        return ()
    counts = np.histogram(end[done] - start[done], np.array(EDGES, dtype=np.int64) * MICROS)[0]
    used = np.flatnonzero(counts)
    bars = range(int(used[0]), int(used[-1]) + 1)
    return tuple(TimeBin(EDGES[bar], EDGES[bar + 1], int(counts[bar]), float(counts[bar] / len(done))) for bar in bars)
