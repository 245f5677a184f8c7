"""The answer of a funnel as it is written on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analytics.periods import Calendar
from reports.explore.frame import (
    between,
    count,
    dates_shown,
    key_shown,
    people_href,
    points,
    share,
    span,
    spread,
    tone,
    verdict,
)
from reports.explore.funnel_more import (
    CurveShown,
    SplitShown,
    TimeBar,
    curve_shown,
    split_shown,
    times_shown,
)

WIDE = 100.0
NOTES = {
    "attempts": "Attempts are counted, and somebody may have made several; lists show the people who made them.",
    "groups": "Groups are counted: one passes a step when anybody of it does.",
}
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """Lengths of 100: those who went on, whose window is still open, who dropped out; each from its own start."""

    on: str
    still_open: str
    open_at: str
    dropped: str
    dropped_at: str


@dataclass(frozen=True, slots=True)
class StepShown:
    """One row of the funnel."""

    number: int
    label: str
    is_optional: bool
    reached: str
    rate: str
    rate_interval: str
    total: str
    total_interval: str
    settled: str
    settled_interval: str
    dropped: str
    still_open: str
    has_dropped: bool
    has_open: bool
    median: str
    bar: Bar
    reached_href: str
    dropped_href: str
    open_href: str


@dataclass(frozen=True, slots=True)
class TimeShown:
    """How long a step took, from the one before and from the start."""

    label: str
    n: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartShown:
    """A value of the breakdown."""

    label: str
    counts: tuple[str, ...]
    rate: str
    interval: str
    width: str


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """A step now and before."""

    label: str
    now: str
    before: str
    difference: str
    interval: str
    tone: str
    verdict: str


@dataclass(frozen=True, slots=True)
class FunnelShown:
    """All of it."""

    reading: str
    entered: str
    converted: str
    excluded: str
    rate: str
    rate_interval: str
    window: str
    is_empty: bool
    has_open: bool
    has_settled: bool
    steps: tuple[StepShown, ...]
    times: tuple[TimeShown, ...]
    parts: tuple[PartShown, ...]
    changes: tuple[ChangeShown, ...]
    before: str
    split: SplitShown | None
    curve: CurveShown | None
    took: tuple[TimeBar, ...]
    noun: str
    note: str
    has_people: bool
    places: tuple[tuple[str, str], ...]


def funnel_shown(answer: Answer, q: str, calendar: Calendar) -> FunnelShown:
    """Every number written out; links lead to the people behind it."""
    steps, other = answer["steps"], answer.get("comparison")
    last = steps[-1] if steps else {}
    counts = answer.get("counts", "people")
    return FunnelShown(
        reading=answer["reading"],
        entered=count(answer["entered"]),
        converted=count(answer["converted"]),
        excluded=count(answer["excluded"]) if answer["excluded"] else "",
        rate=share(last.get("rate_total")),
        rate_interval=between(last.get("rate_total_interval")),
        window=span(answer["window_seconds"]),
        is_empty=not answer["entered"],
        has_open=any(step["still_open"] for step in steps),
        has_settled=bool(steps and steps[0]["settled_entered"]),
        steps=tuple(_step(step, answer["entered"], q) for step in steps),
        times=tuple(_time(step) for step in steps if step["from_previous"]),
        parts=tuple(_part(part) for part in answer["breakdown"]),
        changes=tuple(_change(change, step) for change, step in _changed(other, steps)),
        before=dates_shown(other["from"], other["to"], calendar) if other else "",
        split=split_shown(other.get("split")) if other else None,
        curve=curve_shown(answer.get("curve"), other.get("curve") if other else None),
        took=times_shown(answer.get("times", ())),
        noun=counts,
        note=NOTES.get(counts, ""),
        has_people=counts != "groups",
        places=tuple(_places(steps)) if counts != "groups" else (),
    )


def _step(step: Answer, entered: int, q: str) -> StepShown:
    place = step["index"]
    return StepShown(
        number=place + 1,
        label=step["label"],
        is_optional=step["is_optional"],
        reached=count(step["reached"]),
        rate=share(step["rate"]) if place else "",
        rate_interval=between(step["rate_interval"]),
        total=share(step["rate_total"]),
        total_interval=between(step["rate_total_interval"]),
        settled=share(step["settled_rate_total"]) if place and step["settled_entered"] else "",
        settled_interval=between(step["settled_interval"]),
        dropped=count(step["dropped"]),
        still_open=count(step["still_open"]),
        has_dropped=bool(step["dropped"]),
        has_open=bool(step["still_open"]),
        median=span(step["from_previous"]["p50"]) if step["from_previous"] else "",
        bar=_bar(step, entered),
        reached_href=people_href("funnel", q, step=place, outcome="reached"),
        dropped_href=people_href("funnel", q, step=place, outcome="dropped"),
        open_href=people_href("funnel", q, step=place, outcome="still_open"),
    )


def _bar(step: Answer, entered: int) -> Bar:
    scale = WIDE / entered if entered else 0.0
    on = max(step["reached"] - step["dropped"] - step["still_open"], 0) * scale
    still, gone = step["still_open"] * scale, step["dropped"] * scale
    return Bar(f"{on:.2f}", f"{still:.2f}", f"{on:.2f}", f"{gone:.2f}", f"{on + still:.2f}")


def _time(step: Answer) -> TimeShown:
    previous, start = step["from_previous"], step["from_start"] or {}
    cells = [span(previous[name]) for name in ("p25", "p50", "p75", "p90", "p95")]
    return TimeShown(step["label"], count(previous["n"]), (*cells, span(start.get("p50"))))


def _part(part: Answer) -> PartShown:
    steps = part["steps"]
    last = steps[-1]
    return PartShown(
        key_shown(part["key"]),
        tuple(count(step["reached"]) for step in steps),
        share(last["rate_total"]),
        between(last["rate_total_interval"]),
        f"{(last['rate_total'] or 0) * WIDE:.1f}",
    )


def _changed(other: Answer | None, steps: Any) -> list[tuple[Answer, Answer]]:
    return [pair for pair in zip(other["changes"], steps, strict=False) if pair[0]["index"]] if other else []


def _change(change: Answer, step: Answer) -> ChangeShown:
    return ChangeShown(
        label=step["label"],
        now=share(change["rate_total"]),
        before=share(change["rate_total_before"]),
        difference=points(change["difference"]),
        interval=spread(change["interval"]),
        tone=tone(change["difference"], change["is_clear"]),
        verdict=verdict(change["difference"], change["is_clear"]),
    )


def _places(steps: Any) -> list[tuple[str, str]]:
    """Who can be kept as a segment: a value of the form, and its words."""
    found = [(f"{step['index']}:reached", f"Reached {step['index'] + 1}. {step['label']}") for step in steps[::-1]]
    return [*found, *((f"{s['index']}:dropped", f"Dropped after {s['index'] + 1}. {s['label']}") for s in steps[:-1])]
