"""What changes in goals: making, changing, putting away, checking in, and closing them when their period is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from analytics.cache import GOALS, drop_after_commit
from analytics.periods import Calendar
from analytics.registry import UnknownName
from analytics.tenancy import tenant_context
from kpis.base import Condition
from kpis.catalogue import Catalogue, definition_version
from kpis.goals.contracts import Shape, Standing
from kpis.goals.errors import GoalError
from kpis.goals.models import CheckIn, Goal, Objective
from kpis.goals.objective_services import ObjectiveDraft, objective_create, objective_open
from kpis.goals.reading import conditions_of, seen
from kpis.goals.selectors import goal_row
from kpis.goals.spans import spanned
from kpis.models import MetricValue
from kpis.selectors import calendar_read
from kpis.series import QuestionError
from kpis.series.context import context_read
from kpis.series.question import Question, check

MAX_GOALS: Final = 500
LARGEST: Final = Decimal("1e20")
PLACES: Final = Decimal("1e-10")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalDraft:
    """What somebody says of a goal. `first` may be any day of the month, quarter or year that is meant; `end` (the day
    after the last) is only for `custom` periods.
    """

    name: str
    metric: str
    target: Decimal
    first: date
    period: str = "month"
    end: date | None = None
    shape: str = "linear"
    baseline: Decimal | None = None
    stretch: Decimal | None = None
    filters: tuple[Condition, ...] = ()
    owner: str = ""
    objective: str = ""
    weight: Decimal = Decimal(1)
    note: str = ""


def goal_create(*, tenant_id: int, draft: GoalDraft, actor: str, now: datetime) -> Goal:
    """Make a goal. Raises GoalError."""
    with tenant_context(tenant_id):
        if Goal.objects.filter(tenant_id=tenant_id, is_archived=False).count() >= MAX_GOALS:
            raise GoalError(f"There are at most {MAX_GOALS} goals; put old ones away first.", "name")
        checked = draft_checked(tenant_id=tenant_id, draft=draft)
        row = Goal(tenant_id=tenant_id, created_by=actor, created_at=now, updated_at=now, **_columns(checked))
        row.objective = objective_for(tenant_id=tenant_id, goal=checked, actor=actor, now=now)
        row.save(force_insert=True)
        drop_after_commit(GOALS, tenant_id=tenant_id)
        return row


def goal_change(*, tenant_id: int, goal_id: UUID, changes: Mapping[str, Any], now: datetime) -> Goal:
    """Change some of what a draft says. A goal that was closed keeps its numbers: only words can change.

    Raises UnknownGoal, GoalError.
    """
    with tenant_context(tenant_id):
        row = goal_row(tenant_id=tenant_id, goal_id=goal_id)
        fixed = set(changes) & {"metric", "target", "first", "end", "period", "shape", "baseline", "filters"}
        if row.frozen_at is not None and fixed:
            raise GoalError("The period is closed and its result written down: make a new goal.", min(fixed))
        draft = replace(draft_of(row), **changes)
        if "period" in changes or "first" in changes:
            draft = replace(draft, end=changes.get("end", draft.end if draft.period == "custom" else None))
        checked = draft_checked(tenant_id=tenant_id, draft=draft)
        for name, value in _columns(checked).items():
            setattr(row, name, value)
        if draft_objective(row) != checked.objective:
            row.objective = objective_for(tenant_id=tenant_id, goal=checked, actor=row.created_by, now=now)
        row.updated_at = now
        row.save()
        drop_after_commit(GOALS, tenant_id=tenant_id)
        return row


def goal_archive(*, tenant_id: int, goal_id: UUID, now: datetime) -> None:
    """Put a goal away; what was written down of it stays. Raises UnknownGoal."""
    with tenant_context(tenant_id):
        row = goal_row(tenant_id=tenant_id, goal_id=goal_id)
        Goal.objects.filter(pk=row.pk).update(is_archived=True, updated_at=now)
        drop_after_commit(GOALS, tenant_id=tenant_id)


def check_in_add(*, tenant_id: int, goal_id: UUID, author: str, confidence: float, note: str, now: datetime) -> CheckIn:
    """Write down how sure somebody is (0 to 1), beside the probability and value of this moment. Raises UnknownGoal."""
    if not 0 <= confidence <= 1:
        raise GoalError("Confidence lies between 0 and 1.", "confidence")
    with tenant_context(tenant_id):
        row = goal_row(tenant_id=tenant_id, goal_id=goal_id)
        standing = _standing(tenant_id, row, now)
        made = CheckIn(
            tenant_id=tenant_id,
            goal=row,
            at=now,
            author=author,
            confidence=confidence,
            note=note,
            probability=standing.chance.probability,
            value=_stored(standing.value),
        )
        made.save(force_insert=True)
        drop_after_commit(GOALS, tenant_id=tenant_id)
        return made


def goals_freeze(*, tenant_id: int, now: datetime) -> int:
    """Write down how each goal ended whose period is over: in the goal, and in the ledger. Never written twice.

    Returns how many.
    """
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        today = context.calendar.local_date(now)
        rows = Goal.objects.select_for_update().filter(
            tenant_id=tenant_id, frozen_at__isnull=True, end__lte=today, is_archived=False
        )
        found = list(rows.order_by("id"))
        for row in found:
            _freeze(row, now)
        if found:
            drop_after_commit(GOALS, tenant_id=tenant_id)
        return len(found)


def _freeze(row: Goal, now: datetime) -> None:
    standing = _standing(row.tenant_id, row, now)
    row.frozen_at, row.frozen_value, row.frozen_status = now, _stored(standing.value), standing.status.value
    row.save(update_fields=["frozen_at", "frozen_value", "frozen_status"])
    catalogue = Catalogue(row.tenant_id)
    calendar = calendar_read(tenant_id=row.tenant_id)
    metric = catalogue.get(row.metric)
    MetricValue.objects.create(
        tenant_id=row.tenant_id,
        metric=row.metric,
        grain="goal",
        start=calendar.day_start(row.first),
        end=calendar.day_start(row.end),
        dimension="goal",
        key=str(row.pk),
        value=row.frozen_value,
        definition_version=definition_version(metric, catalogue) if metric else "",
        data_through=standing.data_through,
        is_complete=standing.is_complete,
        computed_at=now,
        reason=standing.status.value,
    )


def _standing(tenant_id: int, row: Goal, now: datetime) -> Standing:
    context = context_read(tenant_id=tenant_id, now=now)
    return seen(row, context, Catalogue(tenant_id), with_points=False).standing


def draft_of(row: Goal) -> GoalDraft:
    """The draft that would make the row."""
    names = [item.name for item in fields(GoalDraft) if item.name not in ("filters", "objective")]
    said = {name: getattr(row, name) for name in names}
    return GoalDraft(filters=conditions_of(row), objective=draft_objective(row), **said)


def draft_objective(row: Goal) -> str:
    """The name of the goal's objective, '' without one."""
    return row.objective.name if row.objective is not None and not row.objective.is_archived else ""


def objective_for(*, tenant_id: int, goal: GoalDraft, actor: str, now: datetime) -> Objective | None:
    """The open objective of the name that the goal gives, within the tenant that is set; one that is not there is made
    with the goal's own period.
    """
    if not goal.objective:
        return None
    found = objective_open(tenant_id=tenant_id, name=goal.objective)
    if found is not None:
        return found
    draft = ObjectiveDraft(name=goal.objective, owner=goal.owner, period=goal.period, first=goal.first, end=goal.end)
    try:
        return objective_create(tenant_id=tenant_id, draft=draft, actor=actor, now=now)
    except GoalError:
        made = objective_open(tenant_id=tenant_id, name=goal.objective)
        if made is None:
            raise
        return made  # by somebody else, at this moment


def draft_checked(*, tenant_id: int, draft: GoalDraft) -> GoalDraft:
    """The draft with its period worked out, within the tenant that is set. Raises GoalError."""
    if not draft.name.strip():
        raise GoalError("A goal needs a name that people read.", "name")
    if draft.shape not in set(Shape):
        raise GoalError(f"`shape` is one of {', '.join(Shape)}.", "shape")
    for name in ("target", "baseline", "stretch", "weight"):
        value = getattr(draft, name)
        if value is not None and (not value.is_finite() or abs(value) > LARGEST):
            raise GoalError("A finite number of a sensible size is needed.", name)
    if not 0 <= draft.weight <= 1000:
        raise GoalError("A weight lies between 0 and 1000.", "weight")
    calendar = calendar_read(tenant_id=tenant_id)
    first, end = spanned(draft.period, draft.first, draft.end, calendar)
    checked = replace(draft, first=first, end=end, objective=draft.objective.strip())
    _check_metric(tenant_id, checked, calendar)
    return checked


def _check_metric(tenant_id: int, draft: GoalDraft, calendar: Calendar) -> None:
    catalogue = Catalogue(tenant_id)
    try:
        metric = catalogue[draft.metric]
    except UnknownName as error:
        said = str(error.args[0])
        raise GoalError(f"{said[:1].upper()}{said[1:]}", "metric") from None
    if draft.end is None:
        raise AssertionError("a period that was worked out has an end")
    period = calendar.days(draft.first, draft.end)
    question = Question((metric,), period, None, None, draft.filters, frozenset(), None, False, None)
    try:
        check(question, catalogue)
    except QuestionError as error:
        raise GoalError(str(error), "filters") from None


def _columns(draft: GoalDraft) -> dict[str, Any]:
    columns = asdict(draft)
    del columns["objective"]
    columns["filters"] = [
        {"field": test.field, "op": test.op, "value": list(test.value) if isinstance(test.value, tuple) else test.value}
        for test in draft.filters
    ]
    return columns


def _stored(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(PLACES)
