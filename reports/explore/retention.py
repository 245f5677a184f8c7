"""`/explore/retention/`: cohorts as a table of heat, by calendar or by everybody's own clock; lifecycle below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET

from analytics.filters import calendar_of
from reports.dashboard.doors import tenant_of, tenant_page
from reports.explore import parts
from reports.explore.asking import Asked, Outcome, address, asked_of, outcome_of, written
from reports.explore.frame import Sample, known_of, page_of, sent_of
from reports.explore.parts import Known, Pick, Reader, Test
from reports.explore.retention_shown import LifecycleShown, lifecycle_shown, retention_shown

TITLE: Final = "Retention"
INTRO: Final = "Of those who came in one period, how many came again; and who is new, stayed, came back or fell asleep."
UNITS: Final = (("day", "Days"), ("week", "Weeks"), ("month", "Months"))
COHORTS: Final = (
    ("first_ever", "Came for the first time ever"),
    ("first_in_range", "Came for the first time in this range"),
    ("recurring", "Came at all in the period"),
)
MODES: Final = (("on", "Came again in that period"), ("on_or_after", "Came again then or later"))
CLOCKS: Final = (("calendar", "By the calendar"), ("24h", "By each person's own 24 hours"))
INCLUDABLE: Final = (("bots", "Bots"), ("internal", "Internal users"))
DEFAULT: Final = {"unit": "week", "periods": 9}
LEAST: Final = 30
VALUES: Final = 10
DEFAULTS: Final = {"unit": "week", "clock": "calendar", "cohort": "first_ever", "mode": "on"}


@dataclass(frozen=True, slots=True)
class RetentionFields:
    """The whole form."""

    unit: str
    periods: str
    first_day: str
    clock: str
    cohort: str
    mode: str
    first: Pick
    returning: Pick
    days: str
    brackets: str
    min_size: str
    versus: tuple[str, ...]
    revenue: bool
    by: str
    limit: str
    tests: tuple[Test, ...]
    include: tuple[str, ...]
    units: tuple[tuple[str, str], ...] = UNITS
    clocks: tuple[tuple[str, str], ...] = CLOCKS
    cohorts: tuple[tuple[str, str], ...] = COHORTS
    modes: tuple[tuple[str, str], ...] = MODES
    includable: tuple[tuple[str, str], ...] = INCLUDABLE


@require_GET
@tenant_page()
def retention(request: HttpRequest) -> HttpResponse:
    """The page. A form that was sent becomes the address of its question."""
    if request.GET.get("do") == "versus":
        return redirect(address(request.path, compared(request)))
    if "do" in request.GET:
        return redirect(address(request.path, read(Reader(request.GET))))
    tenant = tenant_of(request)
    known = known_of(tenant, timezone.now())
    asked = asked_of(request, DEFAULT)
    calendar = calendar_of(tenant)
    lifecycle, life = _lifecycle(request, asked)
    return page_of(
        request,
        "retention",
        asked,
        title=TITLE,
        intro=INTRO,
        template="reports/explore/retention.html",
        fields=fields_of(asked.wanted),
        known=known,
        view=lambda answer, q: retention_shown(answer, q, calendar, request.path, request.GET.dict()),
        samples=samples_of(known, request.path),
        lifecycle=lifecycle,
        lifecycle_problems=life.problems,
    )


def _lifecycle(request: HttpRequest, asked: Asked) -> tuple[LifecycleShown | None, Outcome]:
    """Over the same periods; it comes out of bitmaps, so it costs next to nothing."""
    unit = parts.text_of(asked.wanted, "unit", "week")
    if asked.problems or unit not in dict(UNITS) or request.GET.get("job"):
        return None, Outcome()
    question = {"unit": unit, "period": {"day": "last_30d", "week": "last_90d", "month": "last_12m"}[unit]}
    outcome = outcome_of(request, "lifecycle", Asked(question))
    tenant = tenant_of(request)
    if outcome.answer is None:
        return None, outcome
    return lifecycle_shown(outcome.answer, written(question), calendar_of(tenant)), outcome


def compared(request: HttpRequest) -> dict[str, Any]:
    """The question of the page with the two cohorts that were chosen below its table."""
    return asked_of(request, DEFAULT).wanted | {"versus": _numbers(" ".join(Reader(request.GET).texts("versus")[:2]))}


def read(reader: Reader) -> dict[str, Any]:
    """The form as the API's JSON; what is as it would be anyway is left out."""
    first, returning = reader.pick("first"), reader.pick("again")
    return parts.without_nothing(
        {
            **{name: _unless(reader.text(name), default) for name, default in DEFAULTS.items() if name != "unit"},
            "unit": reader.text("unit", "week"),
            "periods": reader.number("periods"),
            "from": reader.text("from"),
            "first": first if first["events"] or "where" in first else None,
            "returning": returning if returning["events"] or "where" in returning else None,
            "days": _numbers(reader.text("days")),
            "brackets": _numbers(reader.text("brackets")),
            "min_size": least if (least := reader.number("min_size")) != LEAST else None,
            "by": reader.text("by"),
            "limit": most if (most := reader.number("limit")) != VALUES else None,
            "versus": _numbers(" ".join(reader.texts("versus")[:2])),
            "revenue": True if reader.text("revenue") else None,
            "filters": reader.tests(),
            "include": reader.texts("include"),
            **reader.segment(),
        }
    )


def _numbers(text: str) -> list[int | str]:
    """Numbers between commas; what is none stays as it was written, so that it is refused in words."""
    parts = text.replace(",", " ").split()[:60]
    return [int(part) if part.isascii() and part.isdigit() and len(part) < 9 else part for part in parts]


def _unless(value: str, default: str) -> str | None:
    return None if value == default else value


def fields_of(wanted: Mapping[str, Any]) -> RetentionFields:
    """The question as fields, however odd it is."""
    text = parts.text_of
    return RetentionFields(
        unit=text(wanted, "unit", "week"),
        periods=text(wanted, "periods", "13"),
        first_day=text(wanted, "from")[:10],
        clock=text(wanted, "clock", "calendar"),
        cohort=text(wanted, "cohort", "first_ever"),
        mode=text(wanted, "mode", "on"),
        first=parts.pick_of("first", wanted.get("first")),
        returning=parts.pick_of("again", wanted.get("returning")),
        days=", ".join(parts.texts_of(wanted.get("days"))),
        brackets=", ".join(parts.texts_of(wanted.get("brackets"))),
        min_size=text(wanted, "min_size", str(LEAST)),
        versus=tuple(parts.texts_of(wanted.get("versus"))[:2]),
        revenue=bool(wanted.get("revenue")),
        by=text(wanted, "by"),
        limit=text(wanted, "limit", str(VALUES)),
        tests=parts.tests_of(wanted.get("filters")),
        include=tuple(parts.texts_of(wanted.get("include"))),
    )


def samples_of(known: Known, path: str) -> tuple[Sample, ...]:
    """Questions that make sense of the tenant's own events."""
    found = [Sample("Months", address(path, {"unit": "month", "periods": 6}))]
    if sent_of(known, "order_completed"):
        orders = {"events": ["order_completed"]}
        bought = {"clock": "24h", "unit": "week", "periods": 8, "first": orders, "revenue": True}
        found.append(Sample("Buyers who bought again, with revenue", address(path, bought)))
    days = {"clock": "24h", "unit": "week", "periods": 6, "days": [1, 3, 7, 14, 28]}
    found.append(Sample("Day 1, 3, 7, 14, 28", address(path, days)))
    found.append(Sample("Weeks, by country", address(path, {**DEFAULT, "by": "country"})))
    return tuple(found)
