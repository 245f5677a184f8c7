"""`/quality/`: what was found about the tenant's data, worst first, each with its remedy."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from kpis.quality import quality_read
from kpis.series import NoCalendar
from reports.dashboard.doors import tenant_of, tenant_page

ORDER: Final = ("critical", "warning", "unknown", "ok")


@require_GET
@tenant_page()
def quality(request: HttpRequest) -> HttpResponse:
    """The findings of the last days."""
    try:
        found = quality_read(tenant_id=tenant_of(request).id, now=timezone.now())
    except NoCalendar:
        return render(request, "reports/quality/quality.html", {"quality": None})
    findings = sorted(found.findings, key=lambda finding: ORDER.index(finding.status))
    return render(request, "reports/quality/quality.html", {"quality": found, "findings": findings})
