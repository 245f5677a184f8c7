"""A funnel's result in a few sentences, made of its own numbers only."""

from __future__ import annotations

from datetime import timedelta

from kpis.explore.intervals import Interval
from kpis.funnels.answer import FunnelComparison, FunnelStep
from kpis.funnels.question import Funnel


def reading_of(funnel: Funnel, steps: tuple[FunnelStep, ...], excluded: int, other: FunnelComparison | None) -> str:
    """What a person would say who looks at the bars."""
    first, last = steps[0], steps[funnel.required[-1]]
    if not first.reached:
        return f"Nobody did “{first.label}” in this range{_excluded(excluded)}."
    told = [
        f"{_people(first.reached)} did “{first.label}”; {last.reached:,} of them ({percent(last.rate_total)}"
        f"{_interval(last.rate_total_interval)}) reached “{last.label}” within {span_shown(funnel.window)}"
        f"{_excluded(excluded)}."
    ]
    if worst := _worst(steps):
        told.append(
            f"Most were lost after “{worst.label}”: {worst.dropped:,} went no further"
            f"{f', and {worst.still_open:,} still can' if worst.still_open else ''}."
        )
    waiting = sum(step.still_open for step in steps)
    if waiting and last.settled_entered:
        told.append(
            f"The window of {_people(waiting)} is still open; of the {last.settled_entered:,} whose window is over, "
            f"{percent(last.settled_rate_total)} converted."
        )
    elif waiting:
        told.append(f"The window of {_people(waiting)} is still open, so the rate can only rise.")
    if last.from_start is not None:
        told.append(f"Half of those who converted took at most {span_shown(timedelta(seconds=last.from_start.p50))}.")
    if other is not None:
        told.append(_compared(other, last.index))
    return " ".join(told)


def _worst(steps: tuple[FunnelStep, ...]) -> FunnelStep | None:
    worst = max(steps, key=lambda step: step.dropped)
    return worst if worst.dropped else None


def _compared(other: FunnelComparison, index: int) -> str:
    change = other.changes[index]
    if change.difference is None or change.interval is None:
        return "There is nothing to compare it with."
    points = f"{change.difference * 100:+.1f} percentage points"
    span = f"{change.interval.low * 100:+.1f} to {change.interval.high * 100:+.1f}"
    verdict = "a clear difference" if change.is_clear else "which may be chance"
    return f"Against the other period that is {points} ({span}), {verdict}."


def percent(rate: float | None) -> str:
    """One digit, or a dash for what is not known."""
    return "–" if rate is None else f"{rate * 100:.1f} %"


def span_shown(span: timedelta) -> str:
    """The two largest units: 7 days, 1 day 6 h, 2 h 30 min, 45 s."""
    seconds = round(span.total_seconds())
    parts = (seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    names = ("day" if parts[0] == 1 else "days", "h", "min", "s")
    shown = [f"{value} {name}" for value, name in zip(parts, names, strict=True) if value]
    return " ".join(shown[:2]) or "0 s"


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f", 95 % interval {interval.low * 100:.1f} to {interval.high * 100:.1f} %"


def _excluded(count: int) -> str:
    return f"; {_people(count)} did what is excluded and are left out" if count else ""
