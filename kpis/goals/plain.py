"""Goals as JSON-ready values: money as decimal strings, the way every number of the API is written."""

from __future__ import annotations

from typing import Any

from kpis.base import Unit
from kpis.contracts import Number, written
from kpis.daily_visitors import marked
from kpis.goals.contracts import CheckInView, Frozen, GoalView, ObjectiveView, PacePoint, Standing


def goal_plain(view: GoalView) -> dict[str, Any]:
    """A goal in the shape of `GET /api/v1/goals/{id}/`; without points where it was read without."""
    return {
        **view.stamp.plain(),
        "id": str(view.id),
        "name": view.name,
        "metric": view.metric,
        "metric_name": view.metric_name,
        "unit": view.unit.value,
        "currency": view.currency if view.unit is Unit.MONEY else None,
        "better": view.better,
        "owner": view.owner,
        "objective": view.objective,
        "objective_id": str(view.objective_id) if view.objective_id else None,
        "weight": _float(view.weight),
        "baseline": _shown(view.baseline, view),
        "target": _shown(view.target, view),
        "stretch": _shown(view.stretch, view),
        "period": view.period,
        "first": view.first.isoformat(),
        "end": view.end.isoformat(),
        "shape": view.shape.value,
        "note": view.note,
        "standing": _standing(view.standing, view),
        "frozen": _frozen(view.frozen, view) if view.frozen else None,
        "check_ins": [check_in_plain(said, view) for said in view.check_ins],
        "points": [_point(point, view) for point in view.points],
    }


def objective_plain(objective: ObjectiveView) -> dict[str, Any]:
    """An objective with the ids of its goals."""
    frozen = objective.frozen
    return {
        "id": str(objective.id),
        "name": objective.name,
        "owner": objective.owner,
        "note": objective.note,
        "period": objective.period,
        "first": objective.first.isoformat(),
        "end": objective.end.isoformat(),
        "elapsed": objective.elapsed,
        "progress": _float(objective.progress),
        "status": objective.status.value,
        "rule": objective.rule,
        "chance": _float(objective.chance),
        "confidence": _float(objective.confidence),
        "goals": [str(goal) for goal in objective.goals],
        "frozen": {
            "progress": _float(frozen.progress),
            "status": frozen.status.value,
            "frozen_at": frozen.frozen_at.isoformat(),
            "known_now": _float(frozen.known_now),
        }
        if frozen
        else None,
    }


def check_in_plain(said: CheckInView, view: GoalView) -> dict[str, Any]:
    return {
        "id": str(said.id),
        "at": said.at.isoformat(),
        "author": said.author,
        "confidence": said.confidence,
        "note": said.note,
        "probability": said.probability,
        "value": _shown(said.value, view),
    }


def _standing(standing: Standing, view: GoalView) -> dict[str, Any]:
    chance = standing.chance
    return {
        "status": standing.status.value,
        "rule": standing.rule,
        "value": _shown(standing.value, view),
        "expected": _shown(standing.expected, view),
        "pace": _float(standing.pace),
        "progress": _float(standing.progress),
        "elapsed": standing.elapsed,
        "shape": standing.shape.value,
        "shape_note": standing.shape_note,
        "chance": {
            "probability": chance.probability,
            "error": chance.error,
            "paths": chance.paths,
            "history_days": chance.history_days,
            "method": chance.method,
            "words": chance.words,
            "low": _shown(chance.low, view),
            "median": _shown(chance.median, view),
            "high": _shown(chance.high, view),
        },
        "is_complete": standing.is_complete,
        "as_of": standing.as_of.isoformat(),
        "data_through": standing.data_through.isoformat(),
        **marked(standing.daily_visitors),
    }


def _frozen(frozen: Frozen, view: GoalView) -> dict[str, Any]:
    return {
        "value": _shown(frozen.value, view),
        "status": frozen.status.value,
        "frozen_at": frozen.frozen_at.isoformat(),
        "known_now": _shown(frozen.known_now, view),
    }


def _point(point: PacePoint, view: GoalView) -> dict[str, Any]:
    numbers = {name: getattr(point, name) for name in ("actual", "expected", "low", "high")}
    return {
        "day": point.day.isoformat(),
        "start": point.start.isoformat(),
        **{name: _shown(value, view) for name, value in numbers.items()},
    }


def _shown(value: Number, view: GoalView) -> str | int | float | None:
    return written(value, view.unit, view.exponent)


def _float(value: Number) -> float | None:
    return None if value is None else float(value)
