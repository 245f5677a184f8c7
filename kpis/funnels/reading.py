"""A funnel's result in a few sentences, made of its own numbers only."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from kpis.explore.intervals import Interval
from kpis.funnels.answer import FunnelComparison, FunnelStep, Split
from kpis.funnels.curve import Curve
from kpis.funnels.question import Funnel


def reading_of(
    funnel: Funnel,
    steps: tuple[FunnelStep, ...],
    excluded: int,
    other: FunnelComparison | None,
    curve: Curve | None = None,
) -> str:
    """What a person would say who looks at the bars."""
    first, last = steps[0], steps[funnel.required[-1]]
    if not first.reached:
        return f"Nobody did “{first.label}” in this range{_excluded(excluded, funnel)}."
    began = "began with" if funnel.counts == "attempts" else "did"
    visit = "in one visit and " if funnel.session else ""
    told = [
        f"{counted(first.reached, funnel)} {began} “{first.label}”; {last.reached:,} of them"
        f" ({percent(last.rate_total)}{_interval(last.rate_total_interval)}) reached “{last.label}” {visit}within"
        f" {span_shown(funnel.window)}{_excluded(excluded, funnel)}."
    ]
    if worst := _worst(steps):
        told.append(
            f"Most were lost after “{worst.label}”: {worst.dropped:,} went no further"
            f"{f', and {worst.still_open:,} still can' if worst.still_open else ''}."
        )
    waiting = sum(step.still_open for step in steps)
    if waiting and last.settled_entered:
        told.append(
            f"The window of {counted(waiting, funnel)} is still open; of the {last.settled_entered:,} whose window is"
            f" over, {percent(last.settled_rate_total)} converted."
        )
    elif waiting:
        told.append(f"The window of {counted(waiting, funnel)} is still open, so the rate can only rise.")
    if waiting and curve is not None and curve.interval is not None:
        told.append(_grown(curve, funnel))
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
    return f"Against the other period that is {points} ({span}), {verdict}.{_made_by(other.split)}"


def _made_by(split: Split | None) -> str:
    """The step that most of the change comes from, where there is a change to speak of."""
    if split is None or abs(split.change) < 0.0005:
        return ""
    most = max(split.steps, key=lambda step: step.points * (1 if split.change > 0 else -1))
    return f" The step to “{most.label}” makes {most.points * 100:+.1f} of it."


def _grown(curve: Curve, funnel: Funnel) -> str:
    until = span_shown(min(timedelta(seconds=curve.until_seconds), funnel.window))
    return (
        f"Counting each only for as long as it has been watched, {percent(curve.share)} convert within {until}"
        f"{_interval(curve.interval)}."
    )


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


NOUNS: Final = {"people": ("person", "people"), "attempts": ("attempt", "attempts"), "groups": ("group", "groups")}


def counted(count: int, funnel: Funnel) -> str:
    """With what the funnel counts: 1 person, 1,200 attempts."""
    one, many = NOUNS[funnel.counts]
    return f"{count:,} {one if count == 1 else many}"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f", 95 % interval {interval.low * 100:.1f} to {interval.high * 100:.1f} %"


def _excluded(count: int, funnel: Funnel) -> str:
    did = "had" if funnel.counts == "attempts" else "did"
    return f"; {counted(count, funnel)} {did} what is excluded and are left out" if count else ""
