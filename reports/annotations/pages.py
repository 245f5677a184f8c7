"""The list of annotations with the form that adds one, and the page of one, where it is changed or taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from analytics.access.roles import Scope
from kpis.annotations import (
    AnnotationError,
    AnnotationView,
    UnknownAnnotation,
    annotation_add,
    annotation_change,
    annotation_delete,
    annotation_row,
    annotation_view,
    annotations_matching,
)
from kpis.catalogue import Catalogue
from kpis.models import Annotation
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.dashboard.lists import list_page

ROWS = 50
NONE = "There is no such annotation."
READ_ONLY = "Your role may read annotations, not write them."
MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]


class AnnotationForm(forms.Form):
    """One annotation; times are the tenant's."""

    FIELDS: ClassVar = ("title", "kind", "at", "until", "metric", "url", "text")

    title = forms.CharField(
        max_length=200, label="What happened?", widget=forms.TextInput(attrs={"placeholder": "New prices"})
    )
    kind = forms.ChoiceField(choices=Annotation.Kind.choices, label="Kind")
    at = forms.DateTimeField(label="When", widget=MOMENT, input_formats=FORMATS)
    until = forms.DateTimeField(label="Until (optional)", required=False, widget=MOMENT, input_formats=FORMATS)
    metric = forms.CharField(
        max_length=100,
        label="Only on charts of (optional)",
        required=False,
        widget=forms.TextInput(attrs={"list": "metric-list", "autocomplete": "off"}),
    )
    url = forms.URLField(max_length=500, label="Link (optional)", required=False, assume_scheme="https")
    text = forms.CharField(
        max_length=4000, label="More (optional)", required=False, widget=forms.Textarea(attrs={"rows": 2})
    )


@tenant_page()
def listed(request: HttpRequest) -> HttpResponse:
    """All of them, newest first, or those of one kind; and adding one.

    A chart leads here with `metric`, `at` (the point that was looked at) and `next`, its page, to go back to.
    """
    may_edit, now, tenant_id = _may_edit(request), timezone.now(), tenant_of(request).id
    if request.method == "POST" and not may_edit:
        raise PermissionDenied(READ_ONLY)
    form = AnnotationForm(request.POST or None, initial=_asked(request, now))
    if request.GET.get("metric"):  # from a chart, to write: the form lies below the list
        form.fields["title"].widget.attrs["autofocus"] = True
    if (
        may_edit
        and form.is_bound
        and _is_kept(form, partial(annotation_add, tenant_id=tenant_id, author=_name(request), now=now))
    ):
        messages.success(request, "Written down. Charts show it from now on.")
        return redirect(_next(request))
    kind = request.GET.get("kind", "")
    kinds = [kind] if kind in Annotation.Kind.values else []
    found = annotations_matching(tenant_id=tenant_id, kinds=kinds).order_by("-at", "-id")
    context = {
        "annotations": list_page(request, found, size=ROWS),
        "kinds": [("", "All"), *Annotation.Kind.choices],
        "kind": next(iter(kinds), ""),
        "form": form,
        "may_edit": may_edit,
        "next": _next(request, ""),
    }
    status = 400 if form.is_bound else 200
    return render(request, "reports/annotations/list.html", context | _metrics(tenant_id), status=status)


@tenant_page()
def one(request: HttpRequest, annotation_id: UUID) -> HttpResponse:
    """One annotation: changed by those who may, read by all."""
    may_edit, tenant_id = _may_edit(request), tenant_of(request).id
    try:
        note = annotation_view(annotation_row(tenant_id=tenant_id, annotation_id=annotation_id))
    except UnknownAnnotation:
        raise Http404(NONE) from None
    form = AnnotationForm(request.POST or None, initial={name: getattr(note, name) for name in AnnotationForm.FIELDS})
    if request.method == "POST" and not may_edit:
        raise PermissionDenied(READ_ONLY)
    if form.is_bound and _is_kept(form, partial(_changed, tenant_id=tenant_id, note=note)):
        messages.success(request, "Saved. Charts show it from now on.")
        return redirect(_next(request))
    context = {"note": note, "form": form, "may_edit": may_edit, "next": _next(request, "")}
    status = 400 if form.is_bound else 200
    return render(request, "reports/annotations/one.html", context | _metrics(tenant_id), status=status)


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def delete(request: HttpRequest, annotation_id: UUID) -> HttpResponse:
    """Take one away."""
    try:
        annotation_delete(tenant_id=tenant_of(request).id, annotation_id=annotation_id)
    except UnknownAnnotation:
        raise Http404(NONE) from None
    messages.success(request, "Taken away.")
    return redirect("dashboard:annotations")


# --- Parts ------------------------------------------------------------------------------------------------------------


def _may_edit(request: HttpRequest) -> bool:
    return Scope.KPIS_WRITE in scopes_of(request)


def _name(request: HttpRequest) -> str:
    user: Any = request.user
    return str(user.get_username())


def _metrics(tenant_id: int) -> dict[str, Any]:
    metrics = [(metric.id, metric.name) for metric in Catalogue(tenant_id).values()]
    return {"metrics": metrics, "names": dict(metrics)}


def _changed(*, said: Mapping[str, Any], tenant_id: int, note: AnnotationView) -> None:
    """The form has no seconds: a moment that it only repeats stays as it was."""
    kept = {
        name: instant
        for name in ("at", "until")
        if (instant := getattr(note, name)) and said[name] == instant.replace(second=0, microsecond=0)
    }
    annotation_change(tenant_id=tenant_id, annotation_id=note.id, changes={**said, **kept})


def _is_kept(form: AnnotationForm, keep: Callable[..., object]) -> bool:
    """Whether what the form says is saved now; what stands against it is told in the form."""
    if not form.is_valid():
        return False
    try:
        keep(said=form.cleaned_data)
    except AnnotationError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return False
    return True


def _asked(request: HttpRequest, now: datetime) -> dict[str, Any]:
    """What the address says of the annotation to be added; what cannot be read is as if it were not there."""
    try:
        at = datetime.fromisoformat(request.GET.get("at", ""))
        at = timezone.localtime(at if timezone.is_aware(at) else timezone.make_aware(at))
    except (ValueError, OverflowError):
        at = timezone.localtime(now)
    return {"at": at, "kind": "note", "metric": request.GET.get("metric", "")[:100]}


def _next(request: HttpRequest, default: str = "/annotations/") -> str:
    """The page that one came from, when it is one of ours."""
    asked = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = asked.startswith("/") and url_has_allowed_host_and_scheme(asked, None)
    return asked if is_ours else default
