"""From attempts to numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from pyroaring import FrozenBitMap

from kpis.daily_visitors import DailyVisitors, among, is_of_days
from kpis.explore.intervals import Interval, newcombe, wilson
from kpis.explore.values import largest
from kpis.funnels.answer import FunnelPart, FunnelStep, Percentiles, StepChange
from kpis.funnels.attempts import Attempts, Flags, Ints
from kpis.funnels.question import Funnel

QUANTILES: Final = (0.25, 0.5, 0.75, 0.9, 0.95)
MICROS: Final = 1_000_000


def steps_of(attempts: Attempts, funnel: Funnel, data_through: int) -> tuple[FunnelStep, ...]:
    """Every step of those who are not excluded."""
    kept = _kept(attempts)
    reached = [column >= 0 for column in kept.at]
    settled = kept.settles < data_through
    is_open = kept.deadline >= data_through
    return tuple(_step(kept, funnel, index, reached, settled, is_open) for index in range(len(funnel.steps)))


def _kept(attempts: Attempts) -> Attempts:
    return attempts.taken(~attempts.excluded) if attempts.excluded.any() else attempts


def _step(
    kept: Attempts, funnel: Funnel, index: int, reached: list[Flags], settled: Flags, is_open: Flags
) -> FunnelStep:
    before, after = previous(funnel, index), following(funnel, index)
    here = _count(reached[index])
    base = here if before is None else _count(reached[before])
    entered, settled_entered = len(kept), _count(settled)
    settled_here = _count(reached[index] & settled)
    stuck = reached[index] & ~reached[after] if after is not None else np.zeros(len(kept), dtype=bool)
    rate, total = share(here, base), share(here, entered)
    from_start = None if index == 0 else seconds(kept.at[0], kept.at[index])
    return FunnelStep(
        index=index,
        label=funnel.steps[index].name,
        is_optional=funnel.steps[index].is_optional,
        reached=here,
        dropped=_count(stuck & ~is_open),
        still_open=_count(stuck & is_open),
        rate=rate,
        rate_interval=None if index == 0 else wilson(here, base),
        rate_total=total,
        rate_total_interval=None if index == 0 else wilson(here, entered),
        settled_entered=settled_entered,
        settled_reached=settled_here,
        settled_rate_total=share(settled_here, settled_entered),
        settled_interval=None if index == 0 else wilson(settled_here, settled_entered),
        from_previous=seconds(kept.at[before], kept.at[index]) if before else from_start,
        from_start=from_start,
    )


def _count(flags: Flags) -> int:
    return int(np.count_nonzero(flags))


def previous(funnel: Funnel, index: int) -> int | None:
    """The nearest earlier step that is not optional."""
    return next((step for step in reversed(funnel.required) if step < index), None)


def following(funnel: Funnel, index: int) -> int | None:
    """The next step that is not optional; None for the last one, and for optional steps, which stop nobody."""
    if funnel.steps[index].is_optional:
        return None
    return next((step for step in funnel.required if step > index), None)


def share(hits: int, of: int) -> float | None:
    """Null when there is nothing to divide by."""
    return hits / of if of else None


def seconds(start: Ints, end: Ints) -> Percentiles | None:
    """Percentiles of the time between, of those who have both."""
    both = np.flatnonzero((start >= 0) & (end >= 0))
    if len(both) == 0:
        return None
    took = end[both] - start[both]
    took.sort()  # faster than the partition by which NumPy's quantile finds the same places
    return Percentiles(len(took), *(_quantile(took, share) for share in QUANTILES))


def _quantile(ordered: Ints, share: float) -> float:
    """In seconds, of microseconds in order; between two of them linearly, as NumPy does (R's type 7)."""
    place = share * (len(ordered) - 1)
    at = int(place)
    low, high = int(ordered[at]), int(ordered[min(at + 1, len(ordered) - 1)])
    return (low + (high - low) * (place - at)) / MICROS


def parts_of(attempts: Attempts, funnel: Funnel, data_through: int, daily: FrozenBitMap) -> Iterator[FunnelPart]:
    """The values with most people who entered (ties by value), then OTHER for the rest."""
    if attempts.key is None:
        return
    for key, codes in largest(attempts.key, attempts.keys, funnel.limit, ~attempts.excluded):
        yield _part(key, attempts.taken(np.isin(attempts.key, codes)), funnel, data_through, daily)


def _part(key: str, attempts: Attempts, funnel: Funnel, data_through: int, daily: FrozenBitMap) -> FunnelPart:
    return FunnelPart(key, steps_of(attempts, funnel, data_through), daily_of(attempts, funnel, daily))


def daily_of(attempts: Attempts, funnel: Funnel, daily: FrozenBitMap) -> DailyVisitors | None:
    """Those of `daily` who entered. Groups are no people, and within one UTC day nobody is counted twice."""
    if not daily or funnel.group or not is_of_days(*funnel.span):
        return None
    entered = attempts.person[~attempts.excluded & (attempts.at[0] >= 0)]
    return among(FrozenBitMap(entered.astype(np.uint32)), daily)


def changes_of(now: tuple[FunnelStep, ...], before: tuple[FunnelStep, ...]) -> tuple[StepChange, ...]:
    """Step by step: the settled share of all who entered, against the one of the other range.

    Settled ones only: otherwise a range that reaches today would always look worse than one that is over.
    """
    return tuple(_change(left, right) for left, right in zip(now, before, strict=True))


def _change(now: FunnelStep, before: FunnelStep) -> StepChange:
    rate, rate_before = now.settled_rate_total, before.settled_rate_total
    interval: Interval | None = None
    if now.index:
        interval = newcombe(now.settled_reached, now.settled_entered, before.settled_reached, before.settled_entered)
    return StepChange(
        index=now.index,
        rate_total=rate,
        rate_total_before=rate_before,
        difference=None if rate is None or rate_before is None else rate - rate_before,
        interval=interval,
        is_clear=interval is not None and interval.is_clear,
    )


def who(attempts: Attempts, funnel: Funnel, index: int, outcome: str, data_through: int) -> Ints:
    """The people at a step: "reached", and of those "dropped" or "still_open" there; ascending."""
    kept = _kept(attempts)
    chosen = kept.at[index] >= 0
    after = following(funnel, index)
    if outcome != "reached":
        stuck = kept.at[after] < 0 if after is not None else np.zeros(len(kept), dtype=bool)
        is_open = kept.deadline >= data_through
        chosen &= stuck & (is_open if outcome == "still_open" else ~is_open)
    return np.sort(kept.person[chosen])
