"""Funnels as a kind of question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyroaring import BitMap

from kpis import funnels
from kpis.daily_visitors import beside, marked
from kpis.explore.bodies import FunnelBody
from kpis.explore.grammar import Asking, against_of, pick_of, range_of
from kpis.explore.kinds import Desk, Opening, QuestionKind, kinds
from kpis.explore.plain import plain
from kpis.funnels import Exclusion, Funnel, FunnelAnswer, Step
from kpis.funnels.rows import names_wanted, picks_of
from kpis.series.question import QuestionError


def funnel_of(wanted: Mapping[str, Any], asking: Asking) -> Funnel:
    """Checked JSON as a funnel. Raises QuestionError."""
    period = range_of(wanted, asking)
    return Funnel(
        steps=tuple(Step(pick_of(step), step["label"], step["optional"], step["within"]) for step in wanted["steps"]),
        start=period.start,
        end=period.end,
        window=wanted["window"],
        order=wanted["order"],
        entry=wanted["entry"],
        session=wanted["session"],
        group=wanted["group"] or None,
        exclusions=tuple(Exclusion(pick_of(one), one["after"], one["before"]) for one in wanted["exclusions"]),
        hold=wanted["hold"] or None,
        filters=tuple(wanted["filters"]),
        include=tuple(wanted["include"]),
        by=wanted["by"] or None,
        at=wanted["at"],
        limit=wanted["limit"],
        curve=wanted["curve"],
        against=against_of(wanted, period, asking),
    )


def _funnel_opening(funnel: Funnel) -> Opening:
    columns, properties = funnels.columns_of(funnel)
    names = () if funnel.order == "strict" or funnel.session else names_wanted(picks_of(funnel))
    start, end = funnel.span
    if funnel.against is not None:
        other = replace(funnel, start=funnel.against[0], end=funnel.against[1], against=None).span
        start, end = min(start, other[0]), max(end, other[1])
    return Opening(start=start, end=end, columns=columns, properties=properties, names=names)


def funnel_answer(funnel: Funnel, desk: Desk) -> dict[str, Any]:
    with desk.open(_funnel_opening(funnel)) as source:
        found = funnels.funnel_read(
            source, funnel, timezone=desk.asking.calendar.zone, now=desk.asking.now, daily=desk.known.daily
        )
    return funnel_plain(found)


def funnel_plain(found: FunnelAnswer) -> dict[str, Any]:
    other = found.comparison
    return {
        "entered": found.entered,
        "converted": found.converted,
        "excluded": found.excluded,
        "window_seconds": int(found.question.window.total_seconds()),
        "steps": plain(found.steps),
        "breakdown": [
            {"key": part.key, "steps": plain(part.steps), **marked(part.daily_visitors)} for part in found.breakdown
        ],
        "comparison": None
        if other is None
        else {
            "from": other.answer.stamp.start.isoformat(),
            "to": other.answer.stamp.end.isoformat(),
            "steps": plain(other.answer.steps),
            "changes": plain(other.changes),
            "split": plain(other.split),
            "curve": plain(other.answer.curve),
            **marked(other.answer.daily_visitors),
        },
        "counts": found.question.counts,
        "curve": plain(found.curve),
        "times": plain(found.times),
        **beside(found.reading, found.daily_visitors, whom="those who entered"),
        **found.stamp.plain(),
    }


def funnel_people(funnel: Funnel, place: Mapping[str, Any], desk: Desk) -> BitMap:
    """`place`: {"step": index, "outcome": "reached" | "dropped" | "still_open"}."""
    if funnel.group:
        raise QuestionError("a funnel of groups has no lists of people", "group")
    step, outcome = place.get("step"), place.get("outcome", "reached")
    if not isinstance(step, int) or not 0 <= step < len(funnel.steps):
        raise QuestionError("`step` is the index of a step, from 0", "place")
    if outcome not in ("reached", "dropped", "still_open"):
        raise QuestionError("`outcome` is reached, dropped or still_open", "place")
    with desk.open(_funnel_opening(funnel)) as source:
        return funnels.funnel_people(source, funnel, step=step, outcome=outcome)


kinds.register(
    QuestionKind(
        id="funnel",
        body=FunnelBody,
        build=funnel_of,
        picks=lambda funnel: tuple(picks_of(funnel)),
        answer=funnel_answer,
        people=funnel_people,
    )
)
