"""Objectives: what goals add up to. The roll-up is pure; reading and writing lie below it.

Progress is Σ weight × progress / Σ weight over the goals that have one, each clipped to 0..1 so that one goal cannot
make up for another. An objective stands as the worst of its goals that weigh anything. Confidence (what people say) and
chance (what the arithmetic says) are weighted means beside each other; goals are not independent, so the chances are
not multiplied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from analytics.periods import Calendar
from analytics.tenancy import tenant_context
from kpis.contracts import Number
from kpis.goals.contracts import FrozenObjective, GoalView, ObjectiveView, Status
from kpis.goals.models import Goal, Objective
from kpis.goals.selectors import goals_list
from kpis.goals.status import SEVERITY
from kpis.selectors import calendar_read

PLACES = Decimal("1e-10")
ZERO, ONE = Decimal(0), Decimal(1)


class UnknownObjective(LookupError):
    """The tenant has no objective of that id."""


def rolled_up(objective: Objective, goals: Sequence[GoalView], *, elapsed: float) -> ObjectiveView:
    """What the goals come to. `elapsed` is the share of the objective's days that lie behind."""
    weighing = [goal for goal in goals if goal.weight] or list(goals)
    worst = min(weighing, key=lambda goal: SEVERITY.index(goal.standing.status), default=None)
    rule = "No goal belongs to it yet."
    if worst is not None:
        rule = f"As the worst of its goals: {worst.name}."
    found = ObjectiveView(
        id=objective.pk,
        name=objective.name,
        owner=objective.owner,
        note=objective.note,
        period=objective.period,
        first=objective.first,
        end=objective.end,
        elapsed=elapsed,
        progress=_mean(goals, lambda goal: _clipped(goal.standing.progress)),
        status=worst.standing.status if worst else Status.UNKNOWN,
        rule=rule,
        chance=_mean(goals, lambda goal: _decimal(goal.standing.chance.probability)),
        confidence=_mean(goals, lambda goal: _decimal(goal.check_ins[0].confidence) if goal.check_ins else None),
        goals=tuple(goal.id for goal in goals),
        frozen=None,
    )
    return found if objective.frozen_at is None else _as_frozen(found, objective)


def _as_frozen(found: ObjectiveView, objective: Objective) -> ObjectiveView:
    """An objective whose period was closed stands as it stood then."""
    assert objective.frozen_at is not None
    status = Status(objective.frozen_status)
    known = None if found.progress is None else found.progress.quantize(PLACES)
    changed = known if known != objective.frozen_progress else None
    return replace(
        found,
        progress=objective.frozen_progress,
        status=status,
        rule=f"Closed on {objective.frozen_at:%Y-%m-%d}. {found.rule}",
        frozen=FrozenObjective(objective.frozen_progress, status, objective.frozen_at, changed),
    )


def _mean(goals: Iterable[GoalView], value_of: Callable[[GoalView], Number]) -> Number:
    known = [(goal.weight or ZERO, value) for goal in goals if (value := value_of(goal)) is not None]
    weights = sum((weight for weight, _ in known), ZERO)
    return sum((weight * value for weight, value in known), ZERO) / weights if weights else None


def _clipped(progress: Number) -> Number:
    return None if progress is None else min(max(progress, ZERO), ONE)


def _decimal(value: float | None) -> Number:
    return None if value is None else Decimal(repr(value))


# --- Reading ----------------------------------------------------------------------------------------------------------


def objective_row(*, tenant_id: int, objective_id: UUID) -> Objective:
    """The row, within the tenant that is set. Raises UnknownObjective."""
    row = Objective.objects.filter(tenant_id=tenant_id, pk=objective_id).first()
    if row is None:
        raise UnknownObjective("There is no such objective.")
    return row


def objectives_of(
    *,
    tenant_id: int,
    goals: Sequence[GoalView],
    now: datetime,
    include_archived: bool = False,
    ids: Collection[UUID] | None = None,
) -> tuple[ObjectiveView, ...]:
    """All objectives (or these) with what these goals come to, those that end last first; one without goals is there
    too.
    """
    with tenant_context(tenant_id):
        rows = Objective.objects.filter(tenant_id=tenant_id)
        rows = rows if include_archived else rows.filter(is_archived=False)
        rows = rows if ids is None else rows.filter(id__in=ids)
        found = list(rows.order_by("-end", "name", "id"))
        if not found:
            return ()
        calendar = calendar_read(tenant_id=tenant_id)
    by_objective: dict[UUID | None, list[GoalView]] = {}
    for goal in goals:
        by_objective.setdefault(goal.objective_id, []).append(goal)
    return tuple(rolled_up(row, by_objective.get(row.pk, []), elapsed=elapsed_of(row, calendar, now)) for row in found)


def goals_grouped(*, tenant_id: int) -> list[tuple[UUID | None, list[UUID]]]:
    """The keys of a long list of goals, so that only a page of it is worked out: every objective with its goals, then
    each goal that has none, those that end last first."""
    with tenant_context(tenant_id):
        objectives = Objective.objects.filter(tenant_id=tenant_id, is_archived=False).order_by("-end", "name", "id")
        groups: dict[UUID, list[UUID]] = {key: [] for key in objectives.values_list("pk", flat=True)}
        goals = Goal.objects.filter(tenant_id=tenant_id, is_archived=False).order_by("-end", "name", "id")
        alone: list[UUID] = []
        for key, objective in goals.values_list("pk", "objective_id"):
            groups.get(objective, alone).append(key)
    return [*groups.items(), *((None, [key]) for key in alone)]


def objective_names(*, tenant_id: int) -> list[str]:
    """The names of those that goals can still join."""
    with tenant_context(tenant_id):
        rows = Objective.objects.filter(tenant_id=tenant_id, is_archived=False, frozen_at__isnull=True)
        return list(rows.order_by("name").values_list("name", flat=True))


def objective_read(*, tenant_id: int, objective_id: UUID, now: datetime) -> tuple[ObjectiveView, tuple[GoalView, ...]]:
    """One objective and its goals as they stand. Raises UnknownObjective, NoCalendar."""
    with tenant_context(tenant_id):
        row = objective_row(tenant_id=tenant_id, objective_id=objective_id)
        goals = goals_list(tenant_id=tenant_id, objective_id=row.pk, now=now)
        calendar = calendar_read(tenant_id=tenant_id)
    return rolled_up(row, goals, elapsed=elapsed_of(row, calendar, now)), goals


def elapsed_of(row: Objective, calendar: Calendar, now: datetime) -> float:
    """The share of the time from the first to the last day that lies behind."""
    start, end = calendar.day_start(row.first), calendar.day_start(row.end)
    return min(max((now - start) / (end - start), 0.0), 1.0)
