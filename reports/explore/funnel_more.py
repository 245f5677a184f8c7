"""What a funnel tells beside its bars, as it is written on the page: the curve, how long it took, what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reports.explore.drawing import HEIGHT, WIDTH
from reports.explore.frame import between, count, points, share, span, spread, tone, verdict

Answer = Mapping[str, Any]
MOST_ROWS: Final = 12
ROOM: Final = 1.05
"""Above the highest place of the drawing."""
FULL: Final = 100.0
UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class CurveRow:
    """A moment of the curve."""

    after: str
    share: str
    interval: str
    at_risk: str
    converted: str


@dataclass(frozen=True, slots=True)
class CurveShown:
    """The drawing, as points of SVG, and its table. `before` is the curve of the range compared with."""

    line: str
    band: str
    before: str
    top: str
    until: str
    share: str
    interval: str
    censored: str
    rows: tuple[CurveRow, ...]
    width: int = int(WIDTH)
    height: int = int(HEIGHT)


@dataclass(frozen=True, slots=True)
class TimeBar:
    """One bar of how long it took; `width` of 100."""

    label: str
    n: str
    share: str
    width: str


@dataclass(frozen=True, slots=True)
class PartOfChange:
    """What one step makes of the change."""

    label: str
    now: str
    before: str
    interval: str
    verdict: str
    tone: str
    points: str
    conversions: str


@dataclass(frozen=True, slots=True)
class SplitShown:
    """The parts, and what they add up to."""

    steps: tuple[PartOfChange, ...]
    volume: str
    change: str
    conversions: str


def curve_shown(curve: Answer | None, before: Answer | None) -> CurveShown | None:
    """None when nobody has converted: a line along the bottom tells nothing."""
    if not curve or not curve["points"]:
        return None
    marks = curve["points"]
    until = max(curve["until_seconds"], before["until_seconds"] if before else 0, 1e-6)
    earlier = before["points"] if before else []
    top = min(1.0, ROOM * max(_height(mark) for mark in (*marks, *earlier)))

    def place(seconds: float, value: float) -> str:
        return f"{seconds / until * WIDTH:.1f},{(1 - min(value / top, 1.0)) * HEIGHT:.1f}"

    def drawn(steps: Sequence[tuple[float, float]]) -> str:
        return " ".join(place(*step) for step in steps)

    inside = [mark for mark in marks if mark["interval"]]
    upper = [*_steps([(m["seconds"], m["interval"]["high"]) for m in inside], curve["until_seconds"])]
    lower = [*_steps([(m["seconds"], m["interval"]["low"]) for m in inside], curve["until_seconds"])]
    line = [(0.0, 0.0), *_risen([(mark["seconds"], mark["share"]) for mark in marks], curve["until_seconds"])]
    return CurveShown(
        line=drawn(line),
        band=drawn([*upper, *reversed(lower)]),
        before=drawn([(0.0, 0.0), *_risen([(m["seconds"], m["share"]) for m in earlier], before["until_seconds"])])
        if before and earlier
        else "",
        top=share(top, 0),
        until=span(until),
        share=share(curve["share"]),
        interval=between(curve["interval"]),
        censored=count(curve["censored"]) if curve["censored"] else "",
        rows=tuple(_row(mark) for mark in _some(marks)),
    )


def _height(mark: Answer) -> float:
    return float(mark["interval"]["high"] if mark["interval"] else mark["share"])


def _steps(marks: Sequence[tuple[float, float]], until: float) -> Iterator[tuple[float, float]]:
    """A line that stays level until the next mark, where it rises at once."""
    for at, (seconds, value) in enumerate(marks):
        yield seconds, value
        yield (marks[at + 1][0] if at + 1 < len(marks) else until), value


def _risen(marks: Sequence[tuple[float, float]], until: float) -> Iterator[tuple[float, float]]:
    """The same, from nothing: level at zero until the first mark."""
    yield marks[0][0], 0.0
    yield from _steps(marks, until)


def _some(marks: Sequence[Answer]) -> list[Answer]:
    """At most twelve of them, evenly, with the last."""
    if len(marks) <= MOST_ROWS:
        return list(marks)
    return [marks[(place + 1) * len(marks) // MOST_ROWS - 1] for place in range(MOST_ROWS)]


def _row(mark: Answer) -> CurveRow:
    return CurveRow(
        span(mark["seconds"]),
        share(mark["share"]),
        between(mark["interval"]),
        count(mark["at_risk"]),
        count(mark["converted"]),
    )


def times_shown(bars: Sequence[Answer]) -> tuple[TimeBar, ...]:
    """The longest bar is as wide as there is room."""
    most = max((bar["n"] for bar in bars), default=0) or 1
    return tuple(
        TimeBar(_between_times(bar), count(bar["n"]), share(bar["share"]), f"{bar['n'] / most * FULL:.1f}")
        for bar in bars
    )


def _between_times(bar: Answer) -> str:
    return f"{_length(bar['low'])} – {_length(bar['high'])}" if bar["low"] else f"under {_length(bar['high'])}"


def _length(seconds: int) -> str:
    """A whole number of one unit."""
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    return f"{seconds // size} {unit}"


def split_shown(split: Answer | None) -> SplitShown | None:
    """Of the change of the conversion between two ranges."""
    if not split:
        return None
    return SplitShown(
        tuple(_part(step) for step in split["steps"]),
        signed(split["volume"]),
        points(split["change"]),
        signed(split["conversions"]),
    )


def _part(step: Answer) -> PartOfChange:
    return PartOfChange(
        label=step["label"],
        now=share(step["rate"]),
        before=share(step["rate_before"]),
        interval=spread(step["interval"]),
        verdict=verdict(step["points"], step["is_clear"]),
        tone=tone(step["points"], step["is_clear"]),
        points=points(step["points"]),
        conversions=signed(step["conversions"]),
    )


def signed(value: float) -> str:
    """ "+12", "−3.4"."""
    return f"{value:+,.1f}".removesuffix(".0").replace("-", "−")
