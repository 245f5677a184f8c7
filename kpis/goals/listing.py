"""Goals and objectives page by page: only what a page shows is worked out, roll-ups of all goals of an objective."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from analytics.tenancy import tenant_context
from kpis.goals.contracts import GoalView, ObjectiveView
from kpis.goals.models import Goal, Objective
from kpis.goals.objectives import objectives_of
from kpis.goals.selectors import GoalFilter, goals_matching, goals_seen


@dataclass(frozen=True, slots=True)
class GoalsPage:
    """Some of `count` goals, and the objectives that they add up to, with all goals of those."""

    count: int
    goals: tuple[GoalView, ...]
    objectives: tuple[ObjectiveView, ...]


@dataclass(frozen=True, slots=True)
class ObjectivesPage:
    """Some of `count` objectives."""

    count: int
    objectives: tuple[ObjectiveView, ...]


def goals_page(*, tenant_id: int, wanted: GoalFilter, limit: int, offset: int, now: datetime) -> GoalsPage:
    """Goals as they stand, those that end last first, each with its newest check-in and without its points.

    Raises NoCalendar for a tenant that never counted anything.
    """
    with tenant_context(tenant_id):
        chosen = goals_matching(tenant_id=tenant_id, wanted=wanted)
        count, page = chosen.count(), list(chosen.values_list("id", "objective_id")[offset : offset + limit])
        ids, concerned = [goal for goal, _ in page], {objective for _, objective in page if objective}
        family = Q(id__in=ids) | Q(objective_id__in=concerned, is_archived=False)
        rows = Goal.objects.filter(family, tenant_id=tenant_id).select_related("objective")
        views = {view.id: view for view in goals_seen(tenant_id=tenant_id, rows=list(rows), now=now)}
        alive = [views[row.pk] for row in rows if not row.is_archived]
        shown = objectives_of(tenant_id=tenant_id, goals=alive, now=now, ids=concerned) if concerned else ()
    return GoalsPage(count, tuple(views[goal] for goal in ids), shown)


def objectives_page(
    *, tenant_id: int, limit: int, offset: int, now: datetime, include_archived: bool = False
) -> ObjectivesPage:
    """Objectives with what their goals come to, those that end last first; one without goals is there too."""
    with tenant_context(tenant_id):
        chosen = Objective.objects.filter(tenant_id=tenant_id)
        chosen = chosen if include_archived else chosen.filter(is_archived=False)
        count = chosen.count()
        ids = set(chosen.order_by("-end", "name", "id").values_list("id", flat=True)[offset : offset + limit])
        rows = Goal.objects.filter(tenant_id=tenant_id, objective_id__in=ids, is_archived=False)
        goals = goals_seen(tenant_id=tenant_id, rows=list(rows.select_related("objective")), now=now)
        found = objectives_of(tenant_id=tenant_id, goals=goals, now=now, include_archived=include_archived, ids=ids)
    return ObjectivesPage(count, found)
