"""The admin page of a tenant's own event names: what was sent, what it means, what a change would do, and doing it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from analytics.admin.base import tenant_id_of
from kpis import mapping
from kpis.taxonomy import GROUPS


class NamesForm(forms.Form):
    """One name a line: `Purchase Done = order_completed`. Names may hold a `=`; the last one of the line counts."""

    names = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea({"rows": 12, "cols": 80, "spellcheck": "false"}),
        label="Own name = standard event, one a line",
    )

    def clean_names(self) -> dict[str, str]:
        lines = [line for line in self.cleaned_data["names"].splitlines() if line.strip()]
        if wrong := [line for line in lines if "=" not in line]:
            raise forms.ValidationError(f"{wrong[0]!r} is not of the form: own name = standard event")
        return {own.strip(): standard.strip() for own, _, standard in (line.rpartition("=") for line in lines)}


def names_page(admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Shows the names; a POST previews them, and with `save` has them counted."""
    if not admin.has_view_permission(request):
        return HttpResponse(status=403)
    tenant_id = tenant_id_of(request)
    known = mapping.event_names_read(tenant_id=tenant_id)
    shown = known.live if known.building is None else known.building
    form = NamesForm(request.POST or None, initial={"names": "\n".join(f"{a} = {b}" for a, b in shown.items())})
    preview = None
    if request.method == "POST" and form.is_valid():
        if not admin.has_change_permission(request):
            return HttpResponse(status=403)
        try:
            preview = mapping.event_names_preview(tenant_id=tenant_id, names=form.cleaned_data["names"])
            if "save" in request.POST:
                return _saved(request, tenant_id, form.cleaned_data["names"])
        except mapping.MappingError as error:
            form.add_error("names", str(error))
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": "Event names",
        "form": form,
        "known": known,
        "preview": preview,
        "seen": mapping.event_names_seen(tenant_id=tenant_id, now=timezone.now()),
        "groups": GROUPS,
    }
    return TemplateResponse(request, "kpis/admin_names.html", context)


def _saved(request: HttpRequest, tenant_id: int, names: dict[str, str]) -> HttpResponse:
    actor = f"admin:{request.user.get_username()}"
    job = mapping.event_names_set(tenant_id=tenant_id, names=names, created_by=actor)
    told = "History is being counted; the names hold when that is done." if job else "These names hold already."
    messages.success(request, told)
    return HttpResponseRedirect(request.path)
