"""Paths as a drawing of columns with bands between them, and as tables that say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from analytics.periods import Calendar
from kpis.contracts import OTHER
from kpis.paths import END
from reports.explore.asking import address, written
from reports.explore.frame import MORE_OR_LESS, count, dates_shown, people_href, points, share, spread, verdict

COLUMN: Final = 190.0
NODE: Final = 12.0
TALL: Final = 340.0
GAP: Final = 16.0
LEAST: Final = 2.0
Answer = Mapping[str, Any]
Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class NodeShown:
    """A name at a place; `href` walks on from it, `people_href` leads to those who came there."""

    x: str
    y: str
    height: str
    label_x: str
    label_y: str
    label: str
    paths: str
    share: str
    href: str
    tone: str
    people_href: str


@dataclass(frozen=True, slots=True)
class BandShown:
    """How many went from a name to the next."""

    d: str
    spoken: str


@dataclass(frozen=True, slots=True)
class ColumnShown:
    """A place as a list, for those who do not see the drawing."""

    title: str
    nodes: tuple[NodeShown, ...]


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """A name at a place, against the other range; neither more nor less of it is good by itself."""

    label: str
    now: str
    before: str
    difference: str
    interval: str
    verdict: str


@dataclass(frozen=True, slots=True)
class PathsShown:
    """All of it. `changes` are by place; `before` is the range compared with, '' without one. `places`: who can be kept
    as a segment, as a value of the form and in words."""

    reading: str
    paths: str
    people: str
    is_empty: bool
    width: int
    height: int
    nodes: tuple[NodeShown, ...]
    bands: tuple[BandShown, ...]
    columns: tuple[ColumnShown, ...]
    rows: tuple[tuple[str, str, str], ...]
    before: str
    changes: tuple[tuple[str, tuple[ChangeShown, ...]], ...]
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    height: float


def paths_shown(answer: Answer, wanted: Answer, path: str, calendar: Calendar) -> PathsShown:
    """Places from left to right; before an event they run to the right edge, where the event is."""
    whole = answer["paths"]
    before = wanted.get("direction") == "before"
    anchor = _anchor_name(wanted)
    counts = _counts(answer, anchor)
    depth = max((place for place, _ in counts), default=0)
    boxes, height = _boxes(counts, whole, depth, before)
    nodes = {key: _node(key, counts[key], whole, boxes[key], wanted, path) for key in counts}
    titles = ["The event", *(f"{place} {'before' if before else 'after'}" for place in range(1, depth + 1))]
    columns = tuple(
        ColumnShown(title, tuple(nodes[key] for key in counts if key[0] == place)) for place, title in enumerate(titles)
    )
    arrow = " ← " if before else " → "
    other = answer.get("comparison")
    rows = tuple(
        (
            arrow.join(_label(name) for name in _to_end(row["steps"])),
            count(row["paths"]),
            share(row["paths"] / whole if whole else None),
        )
        for row in answer["rows"]
    )
    return PathsShown(
        reading=answer["reading"],
        paths=count(whole),
        people=count(answer["people"]),
        is_empty=not whole,
        width=int(COLUMN * (depth + 1)),
        height=int(height) + 8,
        nodes=tuple(nodes.values()),
        bands=tuple(_bands(answer, boxes, counts, anchor, before)),
        columns=columns[::-1] if before else columns,
        rows=rows,
        before=dates_shown(other["from"], other["to"], calendar) if other else "",
        changes=tuple(_compared(other["changes"], titles)) if other else (),
        places=tuple((f"{at}:{name}", f"{_label(name)}, {titles[at]}") for at, name in counts if at > 0),
    )


def _compared(changes: Sequence[Answer], titles: Sequence[str]) -> Iterator[tuple[str, tuple[ChangeShown, ...]]]:
    for place, title in enumerate(titles):
        rows = tuple(_change(change) for change in changes if change["place"] == place)
        if rows:
            yield title, rows


def _change(change: Answer) -> ChangeShown:
    difference = change["difference"]
    return ChangeShown(
        _label(change["name"]),
        share(change["share"]),
        share(change["share_before"]),
        points(difference),
        spread(change["interval"]),
        "nothing to compare" if difference is None else verdict(difference, change["is_clear"], MORE_OR_LESS),
    )


def _anchor_name(wanted: Answer) -> str:
    anchor = wanted.get("anchor")
    names = anchor.get("events") if isinstance(anchor, Mapping) else None
    return " or ".join(map(str, names)) if isinstance(names, list) and names else "the event"


def _counts(answer: Answer, anchor: str) -> dict[Key, int]:
    found: dict[Key, int] = {(0, anchor): answer["paths"]}
    ranked = sorted(answer["nodes"], key=lambda node: (node["place"], node["name"] in (OTHER, END), -node["paths"]))
    for node in ranked:
        found[(node["place"], node["name"])] = node["paths"]
    return found


def _boxes(counts: Mapping[Key, int], whole: int, depth: int, before: bool) -> tuple[dict[Key, _Box], float]:
    scale = TALL / whole if whole else 0.0
    boxes: dict[Key, _Box] = {}
    tallest = 0.0
    for place in range(depth + 1):
        x, y = (depth - place if before else place) * COLUMN, 8.0
        for key in (key for key in counts if key[0] == place):
            height = max(counts[key] * scale, LEAST)
            boxes[key] = _Box(x, y, height)
            y += max(height, 12.0) + GAP
        tallest = max(tallest, y)
    return boxes, tallest


def _node(key: Key, paths: int, whole: int, box: _Box, wanted: Answer, path: str) -> NodeShown:
    place, name = key
    tone = "end" if name == END else "other" if name == OTHER else ""
    is_walkable = place > 0 and not tone and wanted.get("by", "name") == "name"
    href = address(path, {**wanted, "anchor": {"events": [name]}}) if is_walkable else ""
    return NodeShown(
        x=f"{box.x:.1f}",
        y=f"{box.y:.1f}",
        height=f"{box.height:.1f}",
        label_x=f"{box.x + NODE + 5:.1f}",
        label_y=f"{box.y + min(box.height / 2 + 4, 14):.1f}",
        label=_label(name),
        paths=count(paths),
        share=share(paths / whole if whole else None, 0),
        href=href,
        tone=tone,
        people_href=people_href("paths", written(wanted), place=place, name=name) if place > 0 else "",
    )


def _to_end(steps: Sequence[str]) -> list[str]:
    """What comes after the end is the end too; once is enough."""
    last = next((place for place, name in enumerate(steps) if name == END), len(steps))
    return list(steps[: last + 1])


def _label(name: str) -> str:
    return {OTHER: "All others", END: "(end)", "": "(none)"}.get(name, name)


def _bands(answer: Answer, boxes: Mapping[Key, _Box], counts: Mapping[Key, int], anchor: str, before: bool) -> Any:
    """From the event to the first place, then along the links; what ended has no band on."""
    taken: dict[tuple[Key, str], float] = {}
    links = [((0, anchor), key, counts[key]) for key in counts if key[0] == 1]
    links += [
        ((link["place"], link["source"]), (link["place"] + 1, link["target"]), link["paths"])
        for link in answer["links"]
        if link["source"] != END
    ]
    for source, target, paths in sorted(links, key=lambda link: (link[0][0], *_rank(link, boxes))):
        if source not in boxes or target not in boxes or not paths:
            continue
        start, end = boxes[source], boxes[target]
        thick_start = start.height * paths / max(counts[source], 1)
        thick_end = end.height * paths / max(counts[target], 1)
        y1 = start.y + taken.get((source, "out"), 0.0)
        y2 = end.y + taken.get((target, "in"), 0.0)
        taken[(source, "out")] = taken.get((source, "out"), 0.0) + thick_start
        taken[(target, "in")] = taken.get((target, "in"), 0.0) + thick_end
        words = f"{_label(source[1])} {'←' if before else '→'} {_label(target[1])}: {count(paths)}"
        x1, x2 = (start.x, end.x + NODE) if before else (start.x + NODE, end.x)
        yield BandShown(_curve(x1, y1, thick_start, x2, y2, thick_end), words)


def _rank(link: tuple[Key, Key, int], boxes: Mapping[Key, _Box]) -> tuple[float, float]:
    source, target = boxes.get(link[0]), boxes.get(link[1])
    return (source.y if source else 0.0, target.y if target else 0.0)


def _curve(x1: float, y1: float, thick1: float, x2: float, y2: float, thick2: float) -> str:
    middle = (x1 + x2) / 2
    return (
        f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        f"L{x2:.1f} {y2 + thick2:.1f}C{middle:.1f} {y2 + thick2:.1f} {middle:.1f} {y1 + thick1:.1f}"
        f" {x1:.1f} {y1 + thick1:.1f}Z"
    )
