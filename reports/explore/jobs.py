"""Stopping a question that works in the background."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from analytics import jobs
from reports.dashboard.doors import tenant_page
from reports.explore.asking import job_named, running_of

KINDS = ("explore.answer", "customers.snapshot")


@require_POST
@tenant_page()
def cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """A running one stops at its next sign of progress."""
    job = next((found for kind in KINDS if (found := job_named(request, str(job_id), kind))), None)
    if job is None:
        raise Http404("There is no such question.")
    if not running_of(job, request).may_cancel:
        raise PermissionDenied("Only who asked may stop it, and who may stop jobs.")
    jobs.cancel(job, now=timezone.now())
    return redirect(safe(request.POST.get("next", "/")))


def safe(path: str) -> str:
    """The path when it is one of ours."""
    return path if path.startswith("/") and url_has_allowed_host_and_scheme(path, None) else "/"
