"""Pages of the admin about the installation itself."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from analytics.access.throttles import gcra, login_limits
from analytics.admin.base import READERS, WRITERS, role_of, tenant_id_of
from analytics.schedules import may_operate
from config.queries import slow_queries, slow_queries_forget
from kpis.quality import quality_read
from kpis.series import NoCalendar
from reports.dashboard.problems import problem_page


def admin_login(request: HttpRequest) -> HttpResponse:
    """The admin's own sign-in. Guesses are limited by address and by name, together with those at `/login/`."""
    if request.method == "POST":
        decision = gcra().take(login_limits(request, request.POST.get("username", "")))
        if not decision.is_allowed:
            seconds = math.ceil(decision.wait)
            told = f"Too many tries to sign in. Try again in {seconds} seconds."
            answer = problem_page(request, status=429, title="Wait a moment", message=told)
            answer["Retry-After"] = str(seconds)
            return answer
    return admin.site.login(request)


@staff_member_required
@require_http_methods(["GET", "HEAD", "POST"])
def slow_queries_page(request: HttpRequest) -> HttpResponse:
    """The slowest statements of the installation, for its operator (or its only tenant); by POST begin anew."""
    is_operator = role_of(request) in WRITERS and may_operate(request.user.pk)
    if request.method == "POST":
        if is_operator:
            slow_queries_forget()
            messages.success(request, "The list begins anew.")
        return redirect("operation-slow-queries")
    found = slow_queries() if is_operator else []
    context = {
        **admin.site.each_context(request),
        "title": "Slow statements",
        "is_operator": is_operator,
        "is_away": found is None,
        "rows": [(each, datetime.fromtimestamp(each.at, UTC)) for each in found or []],
        "limit": settings.SLOW_QUERY_MS,
    }
    return TemplateResponse(request, "config/admin_slow_queries.html", context)


@staff_member_required
@require_http_methods(["GET", "HEAD"])
def quality_page(request: HttpRequest) -> HttpResponse:
    """Whether the tenant's numbers can be trusted: what was looked at, worst first, each with its remedy."""
    found = None
    if role_of(request) in READERS:
        try:
            found = quality_read(tenant_id=tenant_id_of(request), now=timezone.now())
        except NoCalendar:
            pass  # nothing was counted yet, and the page says so
    context = {**admin.site.each_context(request), "title": "Data quality", "quality": found}
    return TemplateResponse(request, "config/admin_quality.html", context)
