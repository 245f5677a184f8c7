"""`/quality/`: what was found about the tenant's data, worst first, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from analytics.cache import Audience
from analytics.periods import Calendar
from kpis.quality import quality_of
from kpis.quality_look import Finding
from kpis.selectors import calendar_read
from kpis.series import NoCalendar
from reports.dashboard.doors import role_of, tenant_of, tenant_page
from reports.dashboard.shown import moment_shown

DOORS: Final[Mapping[str, tuple[str, str]]] = {
    "unknown_names": ("dashboard:mapping", "Map event names"),
    "outcomes": ("admin:bellwether_analytics_quarantine_changelist", "Open the quarantine"),
    "rateless": ("admin:bellwether_analytics_exchangerate_changelist", "Give exchange rates"),
}
"""Where a remedy is carried out, by finding."""


@dataclass(frozen=True, slots=True)
class RowTable:
    """Rows that have the same columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding with its rows as tables, and the way to where it is put right (empty while all is well)."""

    finding: Finding
    tables: tuple[RowTable, ...]
    door: str
    door_words: str


@require_GET
@tenant_page()
def quality(request: HttpRequest) -> HttpResponse:
    """The findings of the last days."""
    tenant = tenant_of(request)
    try:
        found = quality_of(audience=Audience.member(tenant.id, role_of(request)), now=timezone.now())
    except NoCalendar:
        return render(request, "reports/quality/quality.html", {"quality": None})
    calendar = calendar_read(tenant_id=tenant.id)
    context = {
        "quality": found,
        "findings": [_shown(finding, calendar, is_staff=request.user.is_staff) for finding in found.findings],
        "as_of": moment_shown(found.as_of, calendar),
        "unknown": sum(finding.status == "unknown" for finding in found.findings),
        "troubled": sum(finding.status in ("critical", "warning") for finding in found.findings),
    }
    return render(request, "reports/quality/quality.html", context)


def _shown(finding: Finding, calendar: Calendar, *, is_staff: bool) -> Shown:
    name, words = DOORS.get(finding.id, ("", ""))
    is_open = finding.status in ("critical", "warning") and (is_staff or not name.startswith("admin:"))
    door = reverse(name) if name and is_open else ""
    return Shown(finding, tuple(_tables(finding.rows, calendar)), door, words)


def _tables(rows: Iterable[Mapping[str, Any]], calendar: Calendar) -> Iterable[RowTable]:
    for columns, part in groupby(rows, key=tuple):
        yield RowTable(columns, tuple(tuple(_text(value, calendar) for value in row.values()) for row in part))


def _text(value: Any, calendar: Calendar) -> str:
    """Numbers with their thousands, instants on the tenant's clock, nothing as a dash."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, str) and "T" in value:
        try:
            return moment_shown(datetime.fromisoformat(value), calendar)
        except ValueError:
            return value
    return "–" if value in (None, "") else str(value)
