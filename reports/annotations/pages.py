"""The list of annotations, and the form that adds one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from analytics.access.roles import Scope
from kpis.annotations import AnnotationError, UnknownAnnotation, annotation_add, annotation_delete, annotations_between
from kpis.catalogue import Catalogue
from kpis.models import Annotation
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page

DAYS = 400
MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]


class AnnotationForm(forms.Form):
    """One annotation; times are the tenant's."""

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
    """All of the last year and of what is planned, newest first; and adding one."""
    may_edit = Scope.KPIS_WRITE in scopes_of(request)
    now, tenant_id = timezone.now(), tenant_of(request).id
    form = AnnotationForm(request.POST or None, initial={"at": timezone.localtime(now), "kind": "note"})
    if request.method == "POST" and may_edit and form.is_valid():
        user: Any = request.user
        try:
            annotation_add(tenant_id=tenant_id, said=form.cleaned_data, author=user.get_username(), now=now)
        except AnnotationError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, "Written down. Charts show it from now on.")
            return redirect("dashboard:annotations")
    found = annotations_between(tenant_id=tenant_id, start=now - timedelta(days=DAYS), end=now + timedelta(days=DAYS))
    metrics = [(metric.id, metric.name) for metric in Catalogue(tenant_id).values()]
    context = {"annotations": found[::-1], "form": form, "may_edit": may_edit, "metrics": metrics}
    return render(request, "reports/annotations/list.html", context, status=400 if form.is_bound else 200)


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def delete(request: HttpRequest, annotation_id: UUID) -> HttpResponse:
    """Take one away."""
    try:
        annotation_delete(tenant_id=tenant_of(request).id, annotation_id=annotation_id)
    except UnknownAnnotation:
        raise Http404("There is no such annotation.") from None
    messages.success(request, "Taken away.")
    return redirect("dashboard:annotations")
