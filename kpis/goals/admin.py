"""Goals in the admin: how each stands, and the same checks as the API."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from analytics.admin.base import ReadOnlyAdmin, TenantAdmin, tenant_id_of
from kpis.contracts import Number, written
from kpis.goals.contracts import GoalView
from kpis.goals.errors import GoalError
from kpis.goals.models import CheckIn, Goal, Objective
from kpis.goals.objective_services import ObjectiveDraft, objective_change, objective_checked, objective_create
from kpis.goals.selectors import goals_list
from kpis.goals.services import GoalDraft, draft_checked, draft_objective, goal_change, goal_create
from kpis.parameters import condition_of
from kpis.series import NoCalendar

FIELDS = (
    "name", "metric", "filters", "owner", "objective_name", "weight", "baseline", "target", "stretch", "period",
    "first", "end", "shape", "note",
)  # fmt: skip
OBJECTIVE_FIELDS = ("name", "owner", "period", "first", "end", "note")


_DRAFTED = {"objective_name": "objective"}
"""What a draft calls a field of the form."""


class GoalForm(forms.ModelForm):  # type: ignore[type-arg]
    """A goal, checked as the API checks it. `end` is worked out for months, quarters and years."""

    tenant_id: int = 0
    objective_name = forms.CharField(
        max_length=200, required=False, label="Objective", help_text="One of a new name is made."
    )

    class Meta:
        model = Goal
        fields = tuple(name for name in FIELDS if name != "objective_name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "end" in self.fields:  # whoever may only look has no fields
            self.fields["end"].required = False
        if "objective_name" in self.fields and not self.instance._state.adding:
            self.fields["objective_name"].initial = draft_objective(self.instance)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            checked = draft_checked(tenant_id=self.tenant_id, draft=self._draft(cleaned))
        except GoalError as error:
            field = {"objective": "objective_name"}.get(error.field, error.field)
            self.add_error(field if field in self.fields else None, str(error))
            return cleaned
        except ValidationError as error:
            self.add_error("filters", str(error.detail))
            return cleaned
        self.instance.first, self.instance.end = checked.first, checked.end
        return {**cleaned, "first": checked.first, "end": checked.end, "filters": cleaned["filters"] or []}

    def draft(self) -> GoalDraft:
        """What was filled in, checked."""
        return self._draft(self.cleaned_data)

    @staticmethod
    def _draft(cleaned: dict[str, Any]) -> GoalDraft:
        found = cleaned["filters"] or []
        if not isinstance(found, list):
            raise GoalError("`filters` is a list of {field, op, value}.", "filters")
        said = {_DRAFTED.get(name, name): cleaned[name] for name in FIELDS}
        return GoalDraft(**{**said, "filters": tuple(condition_of(item) for item in found)})


class GoalChangeList(ChangeList):
    """The rows with their standing, read once for the page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        try:
            views = goals_list(tenant_id=tenant_id_of(request), include_archived=True, now=timezone.now())
        except NoCalendar:
            views = ()
        by_id = {view.id: view for view in views}
        for row in self.result_list:
            row.view = by_id.get(row.pk)


class ClosingAdmin(TenantAdmin):
    """Of rows that are frozen when their period ends: those stay as they are, and none is deleted."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_closed = obj is not None and obj.frozen_at is not None
        return super().has_change_permission(request, obj) and not is_closed

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def archive(row: Goal | Objective, form: Any) -> None:
    """Keep whether the form archived the row, or brought it back."""
    if "is_archived" in form.changed_data:
        row.is_archived = form.cleaned_data["is_archived"]
        row.save(update_fields=["is_archived"])


@admin.register(Goal)
class GoalAdmin(ClosingAdmin):
    """Goals with value, pace and chance."""

    form = GoalForm
    list_display = ("name", "metric", "first", "end", "target", "value", "pace", "chance", "standing", "owner")
    list_filter = ("period", "is_archived")
    search_fields = ("name", "metric", "owner", "objective__name")
    ordering = ("-end", "name")
    readonly_fields = ("frozen_at", "frozen_value", "frozen_status")
    fields = (*FIELDS, "is_archived", *readonly_fields)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return GoalChangeList

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change=change, **kwargs)
        return type(made.__name__, (made,), {"tenant_id": tenant_id_of(request)})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj is not None else FIELDS

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        tenant_id, now = tenant_id_of(request), timezone.now()
        if not change:
            row = goal_create(tenant_id=tenant_id, draft=form.draft(), actor=f"user:{request.user.pk}", now=now)
        else:
            draft = form.draft()
            names = [_DRAFTED.get(name, name) for name in form.changed_data if name in FIELDS]
            changed = {name: getattr(draft, name) for name in names}
            row = goal_change(tenant_id=tenant_id, goal_id=obj.pk, changes=changed, now=now)
            archive(row, form)
        obj.__dict__.update(row.__dict__)

    @admin.display(description="value")
    def value(self, row: Any) -> str:
        return _shown(row.view.standing.value, row.view) if row.view else "–"

    @admin.display(description="pace")
    def pace(self, row: Any) -> str:
        return f"{row.view.standing.pace * 100:.0f} %" if row.view and row.view.standing.pace is not None else "–"

    @admin.display(description="chance")
    def chance(self, row: Any) -> str:
        probability = row.view.standing.chance.probability if row.view else None
        return "–" if probability is None else f"{probability * 100:.0f} %"

    @admin.display(description="stands")
    def standing(self, row: Any) -> str:
        return row.view.standing.status.value.replace("_", " ") if row.view else "–"


class ObjectiveForm(forms.ModelForm):  # type: ignore[type-arg]
    """An objective, checked as the API checks it."""

    tenant_id: int = 0

    class Meta:
        model = Objective
        fields = OBJECTIVE_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "end" in self.fields:
            self.fields["end"].required = False

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        draft = ObjectiveDraft(**{name: cleaned[name] for name in OBJECTIVE_FIELDS})
        but = None if self.instance._state.adding else self.instance
        try:
            checked = objective_checked(tenant_id=self.tenant_id, draft=draft, but=but)
        except GoalError as error:
            self.add_error(error.field if error.field in self.fields else None, str(error))
            return cleaned
        self.instance.first, self.instance.end = checked.first, checked.end
        return {**cleaned, "first": checked.first, "end": checked.end}


@admin.register(Objective)
class ObjectiveAdmin(ClosingAdmin):
    """What goals add up to; how they stand is on the page of goals."""

    form = ObjectiveForm
    list_display = ("name", "first", "end", "owner", "frozen_progress", "frozen_status")
    list_filter = ("period", "is_archived")
    search_fields = ("name", "owner")
    ordering = ("-end", "name")
    readonly_fields = ("frozen_at", "frozen_progress", "frozen_status")
    fields = (*OBJECTIVE_FIELDS, "is_archived", *readonly_fields)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change=change, **kwargs)
        return type(made.__name__, (made,), {"tenant_id": tenant_id_of(request)})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj is not None else OBJECTIVE_FIELDS

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        tenant_id, now = tenant_id_of(request), timezone.now()
        said = {name: form.cleaned_data[name] for name in OBJECTIVE_FIELDS}
        if not change:
            draft = ObjectiveDraft(**said)
            row = objective_create(tenant_id=tenant_id, draft=draft, actor=f"user:{request.user.pk}", now=now)
        else:
            changed = {name: said[name] for name in form.changed_data if name in OBJECTIVE_FIELDS}
            row = objective_change(tenant_id=tenant_id, objective_id=obj.pk, changes=changed, now=now)
            archive(row, form)
        obj.__dict__.update(row.__dict__)


@admin.register(CheckIn)
class CheckInAdmin(ReadOnlyAdmin):
    """What people said, beside what the arithmetic said then."""

    list_display = ("goal", "at", "author", "confidence", "probability", "note")
    list_select_related = ("goal",)
    ordering = ("-at",)


def _shown(value: Number, view: GoalView) -> str:
    found = written(value, view.unit, view.exponent)
    return "–" if found is None else str(found)
