"""Choosing the tenant that the admin shows."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from analytics.access.middleware import tenant_choose


@require_POST
@staff_member_required
def tenant_switch(request: HttpRequest) -> HttpResponse:
    """Remember the tenant for this session. A tenant that is not one's own is as unknown as one that is not there."""
    if not tenant_choose(request, request.POST.get("slug", "")):
        messages.error(request, "There is no such tenant among yours.")
    return redirect("admin:index")
