"""`/settings/events/`: names that were sent and that nobody knows, what they might mean, and what saving would do."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from analytics.access.roles import Scope
from analytics.models import Job
from kpis.mapping import (
    EventNames,
    MappingError,
    event_names_preview,
    event_names_read,
    event_names_seen,
    event_names_set,
)
from kpis.taxonomy import GROUPS
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page

PREFIX = "means:"
MOST = 500


@tenant_page()
def mapping(request: HttpRequest) -> HttpResponse:
    """The names; a post previews, a confirmed one saves and counts history again."""
    tenant_id, may_edit = tenant_of(request).id, Scope.KPIS_WRITE in scopes_of(request)
    known = event_names_read(tenant_id=tenant_id)
    context: dict[str, Any] = {"may_edit": may_edit, "known": known, "groups": GROUPS.items(), "job": _job(known)}
    if request.method == "POST" and may_edit:
        wanted = _wanted(request, known)
        try:
            if request.POST.get("confirm"):
                return _saved(request, wanted)
            context |= {"preview": event_names_preview(tenant_id=tenant_id, names=wanted), "wanted": wanted}
        except MappingError as error:
            context |= {"problem": str(error), "wrong": error.name}
    seen = event_names_seen(tenant_id=tenant_id, now=timezone.now())
    chosen = context.get("wanted", known.building or known.live)
    context["unknown"] = [row for row in seen if not row.means]
    context["mapped"] = [(name, means) for name, means in sorted(chosen.items())]
    context["chosen"] = chosen
    context["counts"] = {row.name: row.count for row in seen}
    context["standard"] = [row for row in seen if row.means and row.name not in known.live]
    return render(request, "reports/names/mapping.html", context, status=400 if "problem" in context else 200)


def _saved(request: HttpRequest, wanted: dict[str, str]) -> HttpResponse:
    user: Any = request.user
    job = event_names_set(tenant_id=tenant_of(request).id, names=wanted, created_by=f"user:{user.pk}")
    if job is None:
        messages.info(request, "Nothing changes: these names mean that already.")
    else:
        messages.success(
            request, "Saved. History is being counted with these meanings; answers change when it is done."
        )
    return redirect("dashboard:mapping")


def _wanted(request: HttpRequest, known: EventNames) -> dict[str, str]:
    """What is known already, changed by the fields of the form; an empty field takes a meaning away."""
    wanted = dict(known.building or known.live)
    for field in list(request.POST)[: MOST * 2]:
        if field.startswith(PREFIX):
            name, means = field.removeprefix(PREFIX), request.POST[field].strip()
            if means:
                wanted[name] = means
            else:
                wanted.pop(name, None)
    return wanted


def _job(known: EventNames) -> Job | None:
    return Job.objects.filter(pk=known.job_id).first() if known.job_id else None
