"""Goals: the list by objective, one goal, its form, check-ins."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from analytics.access.roles import Scope
from kpis.catalogue import Catalogue
from kpis.goals.contracts import GoalView
from kpis.goals.errors import GoalError
from kpis.goals.objectives import goals_grouped, objective_names, objectives_of
from kpis.goals.selectors import UnknownGoal, goal_read, goals_list
from kpis.goals.services import GoalDraft, check_in_add, goal_archive, goal_change, goal_create
from kpis.series import NoCalendar
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.dashboard.lists import list_page
from reports.goals.drawing import pace_drawing
from reports.goals.forms import CheckInForm, GoalForm, initial_of

GROUPS = 20


@require_GET
@tenant_page()
def goals(request: HttpRequest) -> HttpResponse:
    """All goals, those of one objective together."""
    tenant_id, now = tenant_of(request).id, timezone.now()
    rows = list_page(request, goals_grouped(tenant_id=tenant_id), size=GROUPS)
    here = {objective for objective, _ in rows if objective}
    keys = [key for _, goals in rows for key in goals]
    try:
        found = goals_list(tenant_id=tenant_id, now=now, only=keys)
        objectives = objectives_of(tenant_id=tenant_id, goals=found, now=now, ids=here)
    except NoCalendar:
        found, objectives = (), ()
    by_id = {goal.id: goal for goal in found}
    context = {
        "rows": rows,
        "groups": [(each, [by_id[key] for key in each.goals]) for each in objectives],
        "alone": [goal for goal in found if goal.objective_id is None],
        "may_edit": may_edit(request),
    }
    return render(request, "reports/goals/list.html", context)


@require_GET
@tenant_page()
def goal(request: HttpRequest, goal_id: UUID) -> HttpResponse:
    """One goal."""
    return _shown(request, _goal(request, goal_id), CheckInForm())


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def check_in(request: HttpRequest, goal_id: UUID) -> HttpResponse:
    """Write down how sure somebody is."""
    view, form = _goal(request, goal_id), CheckInForm(request.POST)
    if not form.is_valid():
        return _shown(request, view, form, status=400)
    check_in_add(
        tenant_id=tenant_of(request).id,
        goal_id=goal_id,
        author=name_of(request),
        confidence=form.cleaned_data["confidence"] / 100,
        note=form.cleaned_data["note"],
        now=timezone.now(),
    )
    return redirect("dashboard:goal", goal_id)


@tenant_page(Scope.KPIS_WRITE)
def new(request: HttpRequest) -> HttpResponse:
    """Make one."""
    today = timezone.localdate()
    form = GoalForm(
        request.POST or None,
        initial={
            "first": today.replace(day=1),
            "metric": request.GET.get("metric", ""),
            "objective": request.GET.get("objective", ""),
            "weight": 1,
        },
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = goal_create(
                tenant_id=tenant_of(request).id,
                draft=GoalDraft(**_said(form)),
                actor=name_of(request),
                now=timezone.now(),
            )
        except GoalError as error:
            _refused(form, error)
        else:
            return redirect("dashboard:goal", made.pk)
    return _form(request, form, None)


@tenant_page(Scope.KPIS_WRITE)
def edit(request: HttpRequest, goal_id: UUID) -> HttpResponse:
    """Change one; what did not change is not sent on, so that a closed goal can still be renamed."""
    view = _goal(request, goal_id)
    initial = initial_of(view)
    form = GoalForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        before = _said_of(initial)
        changes = {name: value for name, value in _said(form).items() if before.get(name) != value}
        try:
            goal_change(tenant_id=tenant_of(request).id, goal_id=goal_id, changes=changes, now=timezone.now())
        except GoalError as error:
            _refused(form, error)
        else:
            return redirect("dashboard:goal", goal_id)
    return _form(request, form, view)


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def archive(request: HttpRequest, goal_id: UUID) -> HttpResponse:
    """Put it away; what was written down of it stays."""
    view = _goal(request, goal_id)
    goal_archive(tenant_id=tenant_of(request).id, goal_id=goal_id, now=timezone.now())
    messages.success(request, f"Put away: {view.name}.")
    return redirect("dashboard:goals")


def _goal(request: HttpRequest, goal_id: UUID) -> GoalView:
    try:
        return goal_read(tenant_id=tenant_of(request).id, goal_id=goal_id, now=timezone.now())
    except (UnknownGoal, NoCalendar):
        raise Http404("There is no such goal.") from None


def may_edit(request: HttpRequest) -> bool:
    """Whether whoever looks may also change."""
    return Scope.KPIS_WRITE in scopes_of(request)


def name_of(request: HttpRequest) -> str:
    """Whom what is made is written down by."""
    user: Any = request.user
    return str(user.get_username())


def _shown(request: HttpRequest, view: GoalView, form: CheckInForm, status: int = 200) -> HttpResponse:
    context = {"goal": view, "drawing": pace_drawing(view), "form": form, "may_edit": may_edit(request)}
    return render(request, "reports/goals/goal.html", context, status=status)


def _form(request: HttpRequest, form: GoalForm, view: GoalView | None) -> HttpResponse:
    tenant_id = tenant_of(request).id
    context = {
        "form": form,
        "goal": view,
        "metrics": [(metric.id, metric.name) for metric in Catalogue(tenant_id).values()],
        "objectives": objective_names(tenant_id=tenant_id),
    }
    return render(request, "reports/goals/form.html", context, status=400 if form.is_bound else 200)


def _said(form: GoalForm) -> dict[str, Any]:
    return _said_of(form.cleaned_data)


def _said_of(fields: dict[str, Any]) -> dict[str, Any]:
    """As a draft has it: the last day of the form is the day before a draft's end."""
    said = {name: value for name, value in fields.items() if name != "last"}
    is_own = fields.get("period") == "custom"
    return {**said, "end": fields["last"] + timedelta(days=1) if is_own and fields.get("last") else None}


def _refused(form: GoalForm, error: GoalError) -> None:
    field = {"end": "last"}.get(error.field, error.field)
    form.add_error(field if field in form.fields else None, str(error))
