"""What changes in objectives: making, changing, putting away, and closing them when their period is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from analytics.cache import GOALS, drop_after_commit
from analytics.tenancy import tenant_context
from kpis.goals.errors import GoalError
from kpis.goals.models import Objective
from kpis.goals.objectives import PLACES, elapsed_of, objective_row, rolled_up
from kpis.goals.selectors import goals_list
from kpis.goals.spans import spanned
from kpis.selectors import calendar_read

MAX_OBJECTIVES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveDraft:
    """What somebody says of an objective. `first` may be any day of the month, quarter or year that is meant; `end`
    (the day after the last) is only for `custom` periods.
    """

    name: str
    first: date
    period: str = "quarter"
    end: date | None = None
    owner: str = ""
    note: str = ""


def objective_create(*, tenant_id: int, draft: ObjectiveDraft, actor: str, now: datetime) -> Objective:
    """Make an objective. Raises GoalError, NoCalendar."""
    with tenant_context(tenant_id):
        if Objective.objects.filter(tenant_id=tenant_id, is_archived=False).count() >= MAX_OBJECTIVES:
            raise GoalError(f"There are at most {MAX_OBJECTIVES} objectives; put old ones away first.", "name")
        checked = objective_checked(tenant_id=tenant_id, draft=draft)
        row = Objective(tenant_id=tenant_id, created_by=actor, created_at=now, updated_at=now, **asdict(checked))
        _saved(row, is_new=True)
        drop_after_commit(GOALS, tenant_id=tenant_id)
        return row


def objective_change(*, tenant_id: int, objective_id: UUID, changes: Mapping[str, Any], now: datetime) -> Objective:
    """Change some of what a draft says; of one whose period is closed only words.

    Raises UnknownObjective, GoalError, NoCalendar.
    """
    with tenant_context(tenant_id):
        row = objective_row(tenant_id=tenant_id, objective_id=objective_id)
        fixed = set(changes) & {"first", "end", "period"}
        if row.frozen_at is not None and fixed:
            raise GoalError("The period is closed and its result written down: make a new objective.", min(fixed))
        draft = ObjectiveDraft(**{item.name: getattr(row, item.name) for item in fields(ObjectiveDraft)})
        draft = replace(draft, **changes)
        if fixed:
            draft = replace(draft, end=changes.get("end", draft.end if draft.period == "custom" else None))
        checked = objective_checked(tenant_id=tenant_id, draft=draft, but=row)
        for name, value in asdict(checked).items():
            setattr(row, name, value)
        row.updated_at = now
        _saved(row, is_new=False)
        drop_after_commit(GOALS, tenant_id=tenant_id)
        return row


def _saved(row: Objective, *, is_new: bool) -> None:
    """Two people may have had the same name at once."""
    try:
        with transaction.atomic():
            row.save(force_insert=is_new)
    except IntegrityError:
        raise GoalError(f"There is an objective “{row.name}” already.", "name") from None


def objective_archive(*, tenant_id: int, objective_id: UUID, now: datetime) -> None:
    """Put an objective away; its goals stay and stand alone. Raises UnknownObjective."""
    with tenant_context(tenant_id):
        row = objective_row(tenant_id=tenant_id, objective_id=objective_id)
        Objective.objects.filter(pk=row.pk).update(is_archived=True, updated_at=now)
        drop_after_commit(GOALS, tenant_id=tenant_id)


def objective_open(*, tenant_id: int, name: str) -> Objective | None:
    """The one of that name, in whatever case, that goals can still join, within the tenant that is set."""
    rows = Objective.objects.filter(tenant_id=tenant_id, name__iexact=name, is_archived=False, frozen_at__isnull=True)
    return rows.first()


def objectives_freeze(*, tenant_id: int, now: datetime) -> int:
    """Write down what the objectives came to whose period is over, after their goals were closed. Never twice.

    Returns how many.
    """
    with tenant_context(tenant_id):
        calendar = calendar_read(tenant_id=tenant_id)
        rows = Objective.objects.select_for_update().filter(
            tenant_id=tenant_id, frozen_at__isnull=True, end__lte=calendar.local_date(now), is_archived=False
        )
        found = list(rows.order_by("id"))
        for row in found:
            goals = goals_list(tenant_id=tenant_id, objective_id=row.pk, now=now)
            view = rolled_up(row, goals, elapsed=elapsed_of(row, calendar, now))
            row.frozen_at, row.frozen_status = now, view.status.value
            row.frozen_progress = None if view.progress is None else view.progress.quantize(PLACES)
            row.save(update_fields=["frozen_at", "frozen_progress", "frozen_status"])
        if found:
            drop_after_commit(GOALS, tenant_id=tenant_id)
        return len(found)


def objective_checked(*, tenant_id: int, draft: ObjectiveDraft, but: Objective | None = None) -> ObjectiveDraft:
    """The draft with its period worked out, within the tenant that is set; `but` is the one that is changed.

    Raises GoalError.
    """
    name = draft.name.strip()
    if not name:
        raise GoalError("An objective needs a name that people read.", "name")
    other = objective_open(tenant_id=tenant_id, name=name)
    is_closed = but is not None and but.frozen_at is not None
    if other is not None and (but is None or other.pk != but.pk) and not is_closed:
        raise GoalError(f"There is an objective “{other.name}” already.", "name")
    first, end = spanned(draft.period, draft.first, draft.end, calendar_read(tenant_id=tenant_id))
    return replace(draft, name=name, first=first, end=end)
