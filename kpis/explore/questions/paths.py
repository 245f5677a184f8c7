"""Paths as a kind of question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyroaring import BitMap

from kpis.daily_visitors import beside, marked
from kpis.explore.bodies import PathsBody
from kpis.explore.grammar import Asking, against_of, pick_of, range_of
from kpis.explore.kinds import Desk, Opening, QuestionKind, kinds
from kpis.explore.plain import plain
from kpis.paths import Paths, PathsAnswer, paths_people, paths_read
from kpis.paths import columns_of as paths_columns
from kpis.series.question import QuestionError


def paths_of(wanted: Mapping[str, Any], asking: Asking) -> Paths:
    """Checked JSON as a question of paths. Raises QuestionError."""
    period = range_of(wanted, asking)
    return Paths(
        start=period.start,
        end=period.end,
        anchor=pick_of(wanted["anchor"]),
        direction=wanted["direction"],
        depth=wanted["depth"],
        top=wanted["top"],
        within=wanted["within"],
        entry=wanted["entry"],
        by=wanted["by"],
        filters=tuple(wanted["filters"]),
        include=tuple(wanted["include"]),
        against=against_of(wanted, period, asking),
    )


def _opening(question: Paths) -> Opening:
    columns, properties = paths_columns(question)
    spans = [each.span for each in (question, question.other) if each is not None]
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    return Opening(start=start, end=end, columns=columns, properties=properties)


def paths_answer(question: Paths, desk: Desk) -> dict[str, Any]:
    with desk.open(_opening(question)) as source:
        found = paths_read(
            source, question, timezone=desk.asking.calendar.zone, now=desk.asking.now, daily=desk.known.daily
        )
    counts = ("paths", "people", "nodes", "links", "rows")
    told = {name: plain(getattr(found, name)) for name in counts}
    return {
        **told,
        **beside(found.reading, found.daily_visitors, whom="those who took them"),
        "comparison": _comparison(found),
        **found.stamp.plain(),
    }


def _comparison(found: PathsAnswer) -> dict[str, Any] | None:
    other = found.comparison
    if other is None:
        return None
    told = {name: plain(getattr(other, name)) for name in ("paths", "people", "changes")}
    return {"from": other.start.isoformat(), "to": other.end.isoformat(), **told, **marked(other.daily_visitors)}


def paths_who(question: Paths, place: Mapping[str, Any], desk: Desk) -> BitMap:
    """`place`: {"place": 1, "name": "cart_updated"}, as a node of the answer has them."""
    at, name = place.get("place"), place.get("name")
    if not isinstance(at, int) or isinstance(at, bool) or not 1 <= at <= question.depth or not isinstance(name, str):
        raise QuestionError(f"say `place`, from 1 to {question.depth}, and the `name` of a node there", "place")
    with desk.open(_opening(replace(question, against=None))) as source:
        return paths_people(source, question, place=at, name=name)


kinds.register(
    QuestionKind(
        id="paths",
        body=PathsBody,
        build=paths_of,
        picks=lambda question: (question.anchor,),
        answer=paths_answer,
        people=paths_who,
    )
)
