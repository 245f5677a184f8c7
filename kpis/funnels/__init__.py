"""Funnels: who passes a series of steps, who does not, and who still may (S13).

`funnel_read(source, question)` answers over an open event store; `question.py` says what can be asked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from pyroaring import BitMap, FrozenBitMap

from analytics.periods import to_micros
from kpis.daily_visitors import NOBODY
from kpis.explore.stamp import EventSource, Stamp, fingerprint
from kpis.funnels.answer import FunnelAnswer, FunnelComparison, FunnelStep
from kpis.funnels.curve import curve_of
from kpis.funnels.engines import attempts_read
from kpis.funnels.question import Exclusion, Funnel, Step
from kpis.funnels.reading import reading_of
from kpis.funnels.rows import columns_of
from kpis.funnels.split import split_of
from kpis.funnels.summary import changes_of, daily_of, parts_of, steps_of, who
from kpis.funnels.times import times_of

__all__ = ["Exclusion", "Funnel", "FunnelAnswer", "Step", "columns_of", "funnel_people", "funnel_read"]

VERSION: Final = 1
"""Of the rules above; a change of what a funnel means raises it."""


def funnel_read(
    source: EventSource,
    funnel: Funnel,
    *,
    timezone: str,
    now: datetime,
    executor: str = "",
    daily: FrozenBitMap = NOBODY,
) -> FunnelAnswer:
    """The answer, with the same funnel over `against` beside it. `executor` "kernel" or "plan" instead of the best;
    `daily`: the persons who are daily visitors."""
    through = to_micros(source.data_through)
    attempts, engine = attempts_read(source, funnel, through, executor)
    steps = steps_of(attempts, funnel, through)
    excluded = int(attempts.excluded.sum())
    other = _other(source, funnel, steps, timezone, now, executor, daily)
    curve = curve_of(attempts, funnel, through) if funnel.curve else None
    return FunnelAnswer(
        question=funnel,
        entered=steps[0].reached,
        converted=steps[funnel.required[-1]].reached,
        excluded=excluded,
        steps=steps,
        breakdown=tuple(parts_of(attempts, funnel, through, daily)),
        comparison=other,
        curve=curve,
        times=times_of(attempts, funnel) if funnel.curve else (),
        reading=reading_of(funnel, steps, excluded, other, curve),
        stamp=_stamp(source, funnel, timezone, now, engine),
        daily_visitors=daily_of(attempts, funnel, daily),
    )


def funnel_people(source: EventSource, funnel: Funnel, *, step: int, outcome: str = "reached") -> BitMap:
    """The people behind a bar: "reached", or of those "dropped" or "still_open" at that step."""
    through = to_micros(source.data_through)
    attempts, _ = attempts_read(source, funnel, through, "")
    return BitMap(who(attempts, funnel, step, outcome, through).tolist())


def _other(
    source: EventSource,
    funnel: Funnel,
    steps: tuple[FunnelStep, ...],
    timezone: str,
    now: datetime,
    executor: str,
    daily: FrozenBitMap,
) -> FunnelComparison | None:
    if funnel.against is None:
        return None
    start, end = funnel.against
    asked = replace(funnel, start=start, end=end, against=None)
    before = funnel_read(source, asked, timezone=timezone, now=now, executor=executor, daily=daily)
    return FunnelComparison(before, changes_of(steps, before.steps), split_of(funnel, steps, before.steps))


def _stamp(source: EventSource, funnel: Funnel, timezone: str, now: datetime, engine: str) -> Stamp:
    return Stamp(
        timezone=timezone,
        start=funnel.start,
        end=funnel.end,
        filters=funnel.filters,
        include=funnel.include,
        definition_version=fingerprint(VERSION, ""),
        data_through=source.data_through,
        is_complete=source.data_through > funnel.end + funnel.window,
        computed_at=now,
        executor=engine,
    )
