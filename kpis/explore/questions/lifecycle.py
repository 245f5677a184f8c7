"""Lifecycle as a kind of question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyroaring import BitMap

from kpis.daily_visitors import beside
from kpis.explore.bodies import LifecycleBody
from kpis.explore.grammar import Asking, range_of
from kpis.explore.kinds import Desk, QuestionKind, kinds
from kpis.explore.plain import plain
from kpis.lifecycle import lifecycle_people, lifecycle_read
from kpis.series.question import QuestionError


@dataclass(frozen=True, slots=True)
class LifecycleQuestion:
    """Over which range, in which units."""

    start: datetime
    end: datetime
    unit: str


def lifecycle_of(wanted: Mapping[str, Any], asking: Asking) -> LifecycleQuestion:
    period = range_of(wanted, asking, "last_3m")
    return LifecycleQuestion(period.start, period.end, wanted["unit"])


def lifecycle_answer(question: LifecycleQuestion, desk: Desk) -> dict[str, Any]:
    asking = desk.asking
    found = lifecycle_read(
        tenant_id=asking.tenant.id, start=question.start, end=question.end, unit=question.unit, now=asking.now
    )
    shown = {**plain(found), **beside(found.reading, found.daily_visitors)}
    if found.daily_visitors is None:
        del shown["daily_visitors"]
    return {**shown, "from": shown.pop("start"), "to": shown.pop("end"), "filters": [], "include": []}


def lifecycle_who(question: LifecycleQuestion, place: Mapping[str, Any], desk: Desk) -> BitMap:
    """`place`: {"period": index, "state": "new" | "returning" | "resurrected" | "dormant"}."""
    index, state = place.get("period"), place.get("state")
    if not isinstance(index, int) or not isinstance(state, str):
        raise QuestionError("say `period`, an index of the answer, and `state`", "place")
    return lifecycle_people(
        tenant_id=desk.asking.tenant.id,
        start=question.start,
        end=question.end,
        unit=question.unit,
        index=index,
        state=state,
        now=desk.asking.now,
    )


kinds.register(
    QuestionKind(
        id="lifecycle",
        has_segments=False,
        body=LifecycleBody,
        build=lifecycle_of,
        picks=lambda question: (),
        answer=lifecycle_answer,
        people=lifecycle_who,
    )
)
