"""The pages: read the question, ask for the view model, render."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from analytics.access.middleware import tenant_choose
from reports.dashboard.areas import AREAS, OVERVIEW
from reports.dashboard.context import THEME_COOKIE, THEMES
from reports.dashboard.doors import tenant_of, tenant_page
from reports.dashboard.pages import card_page
from reports.dashboard.question import page_question
from reports.dashboard.ranges import chosen_range

YEAR_SECONDS = 31_536_000


@require_GET
@tenant_page()
def overview(request: HttpRequest) -> HttpResponse:
    """The first page."""
    return render(
        request, "reports/overview.html", {"page": card_page(OVERVIEW, page_question(request, tenant_of(request)))}
    )


@require_GET
@tenant_page()
def area(request: HttpRequest, slug: str) -> HttpResponse:
    """The page of an area."""
    if slug not in AREAS:
        raise Http404(slug)
    page = card_page(AREAS[slug], page_question(request, tenant_of(request)))
    return render(request, "reports/area.html", {"page": page, "slug": slug})


@require_GET
@login_required
def range_choose(request: HttpRequest) -> HttpResponse:
    """Turns the days of a form, both included, into the address of a page (`to` is exclusive there)."""
    path, parameters = chosen_range(request.GET)
    return redirect(f"{_safe(request, path)}?{urlencode(parameters)}" if parameters else _safe(request, path))


@require_POST
@login_required
def tenant_switch(request: HttpRequest) -> HttpResponse:
    """Looks at another tenant. One that is not one's own is as unknown as one that is not there."""
    if not tenant_choose(request, request.POST.get("slug", "")):
        raise Http404("There is no such tenant among yours.")
    return redirect("dashboard:overview")


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remembers light, dark or the device's own."""
    chosen = request.POST.get("theme", "auto")
    response = redirect(_safe(request, request.POST.get("next", "/")))
    response.set_cookie(
        THEME_COOKIE,
        chosen if chosen in THEMES else "auto",
        max_age=YEAR_SECONDS,
        samesite="Lax",
        secure=request.is_secure(),
    )
    return response


def _safe(request: HttpRequest, path: str) -> str:
    """The path when it is one of ours."""
    is_ours = path.startswith("/") and url_has_allowed_host_and_scheme(path, None)
    return path if is_ours else "/"
