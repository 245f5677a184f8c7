"""Objectives on screen: what their goals come to, their form."""

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
from kpis.goals.contracts import GoalView, ObjectiveView
from kpis.goals.errors import GoalError
from kpis.goals.objective_services import ObjectiveDraft, objective_archive, objective_change, objective_create
from kpis.goals.objectives import UnknownObjective, objective_read
from kpis.series import NoCalendar
from reports.dashboard.doors import tenant_of, tenant_page
from reports.goals.forms import ObjectiveForm, initial_of_objective
from reports.goals.pages import may_edit, name_of

NOTHING_YET = "Nothing is counted yet: send the first event, then set objectives."


@require_GET
@tenant_page()
def objective(request: HttpRequest, objective_id: UUID) -> HttpResponse:
    """One objective with its goals."""
    view, goals = _objective(request, objective_id)
    context = {"objective": view, "goals": goals, "may_edit": may_edit(request)}
    return render(request, "reports/goals/objective.html", context)


@tenant_page(Scope.KPIS_WRITE)
def new(request: HttpRequest) -> HttpResponse:
    """Make one."""
    form = ObjectiveForm(request.POST or None, initial={"first": timezone.localdate().replace(day=1)})
    if request.method == "POST" and form.is_valid():
        draft = ObjectiveDraft(**_said(form.cleaned_data))
        try:
            made = objective_create(
                tenant_id=tenant_of(request).id, draft=draft, actor=name_of(request), now=timezone.now()
            )
        except GoalError as error:
            _refused(form, error)
        except NoCalendar:
            form.add_error(None, NOTHING_YET)
        else:
            return redirect("dashboard:objective", made.pk)
    return _form(request, form, None)


@tenant_page(Scope.KPIS_WRITE)
def edit(request: HttpRequest, objective_id: UUID) -> HttpResponse:
    """Change one; what did not change is not sent on, so that a closed one can still be renamed."""
    view, _ = _objective(request, objective_id)
    initial = initial_of_objective(view)
    form = ObjectiveForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        before = _said(initial)
        changes = {name: value for name, value in _said(form.cleaned_data).items() if before[name] != value}
        try:
            objective_change(
                tenant_id=tenant_of(request).id, objective_id=objective_id, changes=changes, now=timezone.now()
            )
        except GoalError as error:
            _refused(form, error)
        else:
            return redirect("dashboard:objective", objective_id)
    return _form(request, form, view)


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def archive(request: HttpRequest, objective_id: UUID) -> HttpResponse:
    """Put it away; its goals stand alone then."""
    view, _ = _objective(request, objective_id)
    objective_archive(tenant_id=tenant_of(request).id, objective_id=objective_id, now=timezone.now())
    messages.success(request, f"Put away: {view.name}. Its goals stay.")
    return redirect("dashboard:goals")


def _objective(request: HttpRequest, objective_id: UUID) -> tuple[ObjectiveView, tuple[GoalView, ...]]:
    try:
        return objective_read(tenant_id=tenant_of(request).id, objective_id=objective_id, now=timezone.now())
    except (UnknownObjective, NoCalendar):
        raise Http404("There is no such objective.") from None


def _form(request: HttpRequest, form: ObjectiveForm, view: ObjectiveView | None) -> HttpResponse:
    context = {"form": form, "objective": view}
    return render(request, "reports/goals/objective_form.html", context, status=400 if form.is_bound else 200)


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    """As a draft has it: the last day of the form is the day before a draft's end."""
    said = {name: value for name, value in fields.items() if name != "last"}
    is_own = fields.get("period") == "custom"
    return {**said, "end": fields["last"] + timedelta(days=1) if is_own and fields.get("last") else None}


def _refused(form: ObjectiveForm, error: GoalError) -> None:
    field = {"end": "last"}.get(error.field, error.field)
    form.add_error(field if field in form.fields else None, str(error))
