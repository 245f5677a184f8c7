"""Jobs as they run: bars that move, without a script."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from analytics import jobs
from analytics.admin.base import JOB_READERS, WRITERS, role_of, tenant_id_of
from analytics.models import Job

REFRESH_SECONDS: Final = 3
SHOWN: Final = 50


@staff_member_required
@require_http_methods(["GET", "HEAD", "POST"])
def jobs_page(request: HttpRequest) -> HttpResponse:
    """What runs and waits, then what ended last. While something runs the page comes anew every three seconds."""
    if request.method == "POST":
        _act(request)
        return redirect("operation-jobs")
    rows = _rows(request)
    is_moving = any(job.state in jobs.ACTIVE for job in rows)
    context = {
        **admin.site.each_context(request),
        "title": "Jobs",
        "jobs": rows,
        "is_moving": is_moving,
        "is_still": "still" in request.GET,
        "may_change": role_of(request) in WRITERS,
        "seconds": REFRESH_SECONDS,
    }
    response = TemplateResponse(request, "analytics/admin_jobs.html", context)
    if is_moving and "still" not in request.GET:
        response["Refresh"] = str(REFRESH_SECONDS)
    return response


def _rows(request: HttpRequest) -> list[Job]:
    if role_of(request) not in JOB_READERS:
        return []
    rows = Job.objects.filter(tenant_id=tenant_id_of(request)).order_by("-created_at", "-id")
    active = list(rows.filter(state__in=jobs.ACTIVE)[:SHOWN])
    return active + list(rows.exclude(state__in=jobs.ACTIVE)[:SHOWN])


def _act(request: HttpRequest) -> None:
    if role_of(request) not in WRITERS:
        messages.error(request, "Your role may look at jobs, not change them.")
        return
    job = _found(request)
    action = {"cancel": jobs.cancel, "run": jobs.run_now}.get(request.POST.get("action", ""))
    if job is None or action is None:
        messages.error(request, "There is no such job.")
    elif action(job, now=timezone.now()):
        messages.success(request, "Done.")
    else:
        messages.warning(request, "It is too late for that: the job has moved on.")


def _found(request: HttpRequest) -> Job | None:
    try:
        job_id = UUID(request.POST.get("job", ""))
    except ValueError:
        return None
    return Job.objects.filter(tenant_id=tenant_id_of(request), pk=job_id).first()
