"""The limits of a metric: shown to all who see it, set by those who may change definitions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from analytics.access.roles import Scope
from analytics.audit import actor_of
from analytics.capture.money import exponents
from analytics.registry import UnknownName
from kpis.base import Thresholds, Unit
from kpis.catalogue import Catalogue
from kpis.contracts import Number
from kpis.thresholds import Limits, ThresholdError, thresholds_read, thresholds_set
from reports.dashboard import shown
from reports.dashboard.cards import metric_path
from reports.dashboard.doors import is_fragment, scopes_of, tenant_of, tenant_page
from reports.dashboard.panels import TITLES
from reports.dashboard.views import unknown_metric

NAME: Final = "thresholds"
READ_ONLY: Final = "Your role may see the limits, not set them."
UNITS: Final[Mapping[Unit, str]] = {
    Unit.RATIO: "a share: 0.05 for 5 %",
    Unit.DURATION: "in milliseconds",
}


class ThresholdsForm(forms.Form):
    """Both limits, as numbers in the unit of the metric."""

    NUMBER: ClassVar[dict[str, Any]] = {"max_digits": 30, "decimal_places": 10, "required": False}

    warning = forms.DecimalField(label="Warning", widget=forms.NumberInput(attrs={"step": "any"}), **NUMBER)
    critical = forms.DecimalField(label="Critical", widget=forms.NumberInput(attrs={"step": "any"}), **NUMBER)


@tenant_page()
def thresholds(request: HttpRequest, name: str) -> HttpResponse:
    """The limits of one metric: a fragment for its page, a page of its own without script; and setting them."""
    tenant, may_edit = tenant_of(request), Scope.KPIS_WRITE in scopes_of(request)
    try:
        limits = thresholds_read(tenant_id=tenant.id, metric=name)
    except UnknownName:
        return unknown_metric(request, name, Catalogue(tenant.id))
    if request.method == "POST" and not may_edit:
        raise PermissionDenied(READ_ONLY)
    held = limits.metric.thresholds if limits.is_own else Thresholds()
    form = ThresholdsForm(
        request.POST or None, initial={"warning": _typed(held.warning), "critical": _typed(held.critical)}
    )
    if form.is_bound and _is_set(form, request, tenant.id, name):
        messages.success(request, "Saved. Numbers are held against it from now on.")
        return redirect(f"{metric_path(name)}#{NAME}")
    context = {
        **_words(limits, tenant.base_currency),
        "form": form,
        "may_edit": may_edit,
        "limits": limits,
        "metric": limits.metric,
        "action": f"{metric_path(name)}{NAME}/",
        "panel_template": f"reports/panels/{NAME}.html",
        "title": TITLES[NAME],
        "back": metric_path(name),
    }
    template = "reports/panel_fragment.html" if is_fragment(request) else "reports/panel_page.html"
    return render(request, template, context, status=400 if form.is_bound else 200)


def _is_set(form: ThresholdsForm, request: HttpRequest, tenant_id: int, name: str) -> bool:
    """Whether the limits are kept now; what stands against them is told in the form."""
    if not form.is_valid():
        return False
    try:
        thresholds_set(
            tenant_id=tenant_id, metric=name, actor=actor_of(request.user.pk), now=timezone.now(), **form.cleaned_data
        )
    except ThresholdError as error:
        form.add_error(error.field, str(error))
        return False
    return True


def _words(limits: Limits, currency: str) -> dict[str, Any]:
    """What is shown beside the form: what holds, what was declared, and in what the limits are said."""
    unit = limits.metric.unit
    return {
        "holding": _pairs(limits.metric.thresholds, unit, currency),
        "declared": _pairs(limits.declared, unit, currency) if limits.is_own else (),
        "said_in": f"in {currency}" if unit is Unit.MONEY else UNITS.get(unit, ""),
        "side": "at or below" if limits.metric.better == "up" else "at or above",
    }


def _pairs(limits: Thresholds, unit: Unit, currency: str) -> tuple[tuple[str, str], ...]:
    by_day = " a day" if limits.is_per_day else ""
    named = (("Warning", limits.warning), ("Critical", limits.critical))
    exponent = exponents().get(currency, 2)
    return tuple(
        (name, f"{shown.number_shown(limit, unit, currency, exponent)}{by_day}") for name, limit in named
        if limit is not None
    )  # fmt: skip


def _typed(limit: Number) -> Decimal | str:
    return "" if limit is None else f"{limit:f}"
