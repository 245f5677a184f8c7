"""How often the cache knew, and the buttons that clear it."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from analytics import schedules
from analytics.admin.base import WRITERS, role_of, tenant_id_of
from analytics.cache.status import cache_clear, cache_status


@staff_member_required
@require_http_methods(["GET", "HEAD", "POST"])
def cache_page(request: HttpRequest) -> HttpResponse:
    """The last day, by what was asked; by POST (`scope` tenant or all) everything remembered is dropped."""
    may_clear_all = role_of(request) in WRITERS and schedules.may_operate(request.user.pk)
    if request.method == "POST":
        _clear(request, may_clear_all=may_clear_all)
        return redirect("operation-cache")
    context = {
        **admin.site.each_context(request),
        "title": "Cache",
        "status": cache_status(now=timezone.now()),
        "may_clear": role_of(request) in WRITERS,
        "may_clear_all": may_clear_all,
    }
    return TemplateResponse(request, "analytics/admin_cache.html", context)


def _clear(request: HttpRequest, *, may_clear_all: bool) -> None:
    scope = request.POST.get("scope")
    if role_of(request) not in WRITERS or (scope == "all" and not may_clear_all):
        messages.error(request, "Your role may look at the cache, not clear it.")
        return
    is_done = cache_clear(tenant_id=None if scope == "all" else tenant_id_of(request))
    words = (
        "Cleared. Every process follows within a second."
        if is_done
        else "Redis is away: it is cleared when it is back."
    )
    messages.success(request, words)
