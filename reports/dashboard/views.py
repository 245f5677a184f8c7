"""The pages: read the question, ask for the view model, render."""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from analytics.access.middleware import tenant_choose
from analytics.access.roles import Scope
from kpis.catalogue import Catalogue
from kpis.parameters import EVERYTHING
from reports.dashboard.areas import AREAS, OVERVIEW, PLATFORMS, Area
from reports.dashboard.cards import metric_path
from reports.dashboard.catalogue_page import catalogue_page
from reports.dashboard.context import THEME_COOKIE, THEMES
from reports.dashboard.doors import is_fragment, scopes_of, tenant_of, tenant_page
from reports.dashboard.first_steps import first_steps, write_key_make
from reports.dashboard.menu import platform_tabs
from reports.dashboard.metric_page import metric_page, panel_context
from reports.dashboard.pages import card_alone, card_page
from reports.dashboard.problems import problem_page
from reports.dashboard.question import page_question
from reports.dashboard.ranges import chosen_range
from reports.dashboard.reading import metric_named
from reports.dashboard.realtime import people_now, realtime_page, realtime_tag
from reports.dashboard.remembered import card_response, is_awaited, page_response

YEAR_SECONDS = 31_536_000


@require_safe
@tenant_page()
def overview(request: HttpRequest) -> HttpResponse:
    """The first page."""
    return _cards(request, OVERVIEW)


@require_safe
@tenant_page()
def area(request: HttpRequest, slug: str) -> HttpResponse:
    """The page of an area."""
    return _cards(request, AREAS[slug], tabs=platform_tabs("") if slug == "platforms" else ())


@require_safe
@tenant_page()
def platform(request: HttpRequest, slug: str) -> HttpResponse:
    """The page of one platform."""
    return _cards(request, PLATFORMS[slug], tabs=platform_tabs(slug))


def _cards(request: HttpRequest, area: Area, **context: Any) -> HttpResponse:
    question = page_question(request, tenant_of(request))
    return page_response(
        request, question, template="reports/area.html", build=partial(card_page, area, question), **context
    )


@require_safe
@tenant_page()
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics."""
    page = catalogue_page(tenant_id=tenant_of(request).id, search=request.GET.get("search", "")[:100])
    return render(request, "reports/metrics.html", {"page": page})


@require_safe
@tenant_page()
def metric(request: HttpRequest, name: str) -> HttpResponse:
    """One metric, whole."""
    catalogue = Catalogue(tenant_of(request).id)
    declared = metric_named(name, catalogue)
    if declared is None:
        return unknown_metric(request, name, catalogue)
    question = page_question(request, tenant_of(request))
    build = partial(metric_page, declared, question, catalogue)
    return page_response(request, question, template="reports/metric.html", build=build)


@require_safe
@tenant_page()
def panel(request: HttpRequest, name: str, kind: str) -> HttpResponse:
    """One panel of a metric: a fragment for its page, a page of its own without script."""
    catalogue = Catalogue(tenant_of(request).id)
    declared = metric_named(name, catalogue)
    if declared is None:
        return unknown_metric(request, name, catalogue)
    question = page_question(request, tenant_of(request))
    context = {**panel_context(kind, declared, question, catalogue, scopes_of(request)), "metric": declared}
    template = "reports/panel_fragment.html" if is_fragment(request) else "reports/panel_page.html"
    return render(request, template, context)


@require_safe
@tenant_page()
def realtime(request: HttpRequest) -> HttpResponse:
    """The last half hour and today. Asked for as a fragment it answers 304 while nothing has changed."""
    tenant, now = tenant_of(request), timezone.now()
    template = "reports/realtime_panel.html" if is_fragment(request) else "reports/realtime.html"
    tag = realtime_tag(tenant, now)
    if is_fragment(request) and tag in request.headers.get("If-None-Match", ""):
        return HttpResponse(status=304, headers={"ETag": tag})
    page = realtime_page(tenant, now, scopes_of(request))
    if is_awaited(request):
        return HttpResponse(status=204, headers={} if page.is_empty else {"HX-Refresh": "true"})
    response = render(request, template, {"page": page})
    response["ETag"] = tag
    return response


@require_safe
@tenant_page()
def present(request: HttpRequest) -> HttpResponse:
    """How many people are there, for the head of the pages: as the realtime page has it, 304 while it is the same."""
    tenant, now = tenant_of(request), timezone.now()
    tag = realtime_tag(tenant, now)
    if tag in request.headers.get("If-None-Match", ""):
        return HttpResponse(status=304, headers={"ETag": tag})
    response = render(request, "reports/present.html", {"people": people_now(tenant, now)})
    response["ETag"] = tag
    return response


@require_safe
@tenant_page()
def card(request: HttpRequest, kind: str) -> HttpResponse:
    """One card alone, for pages that refresh it: its links lead from `page`."""
    asked = page_question(request, tenant_of(request), known=(*EVERYTHING, "metric", "page"))
    parameters = {name: value for name, value in asked.parameters.items() if name not in ("metric", "page")}
    page = _safe(request, request.GET.get("page", "/").partition("?")[0])
    question = replace(asked, path=page, parameters=parameters)
    build = partial(card_alone, kind, request.GET.get("metric", ""), question)
    return card_response(request, question, kind, build)


def unknown_metric(request: HttpRequest, name: str, catalogue: Catalogue) -> HttpResponse:
    """404 with the nearest names."""
    near = difflib.get_close_matches(name, list(catalogue), n=3, cutoff=0.4)
    return problem_page(
        request,
        status=404,
        title="No such metric",
        message=f"There is no metric {name[:100]!r}.",
        suggestions=[(catalogue[each].name, metric_path(each)) for each in near],
    )


@require_POST
@tenant_page(Scope.ACCESS_WRITE)
def first_key(request: HttpRequest) -> HttpResponse:
    """Makes a write key and shows it, this once."""
    steps = first_steps(request, token=write_key_make(request))
    response = render(request, "reports/first_key.html", {"steps": steps})
    response["Cache-Control"] = "no-store"
    return response


@require_safe
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
