"""`/explore/paths/`: what people do after an event, or before it; a click walks on."""

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
from reports.explore.asking import address, asked_of
from reports.explore.frame import Sample, known_of, page_of, sent_of
from reports.explore.parts import Known, Pick, Range, Reader, Test
from reports.explore.paths_shown import paths_shown

TITLE: Final = "Paths"
INTRO: Final = "What people do next after an event, or what led them to it. Click a name to walk on from there."
DIRECTIONS: Final = (("after", "After it"), ("before", "Before it"))
ENTRIES: Final = (("first", "Each person's first time"), ("each", "Every time"))
INCLUDABLE: Final = (("bots", "Bots"), ("internal", "Internal users"))
BEGINNINGS: Final = ("page_view", "signed_up", "cart_updated", "order_completed", "logged_in")


@dataclass(frozen=True, slots=True)
class PathsFields:
    """The whole form."""

    anchor: Pick
    direction: str
    depth: str
    top: str
    within: str
    entry: str
    by: str
    range: Range
    tests: tuple[Test, ...]
    include: tuple[str, ...]
    directions: tuple[tuple[str, str], ...] = DIRECTIONS
    entries: tuple[tuple[str, str], ...] = ENTRIES
    includable: tuple[tuple[str, str], ...] = INCLUDABLE


@require_GET
@tenant_page()
def paths(request: HttpRequest) -> HttpResponse:
    """The page. A form that was sent becomes the address of its question."""
    if "do" in request.GET:
        return redirect(address(request.path, read(Reader(request.GET))))
    known = known_of(tenant_of(request), timezone.now())
    asked = asked_of(request, default_of(known))
    return page_of(
        request,
        "paths",
        asked,
        title=TITLE,
        intro=INTRO,
        template="reports/explore/paths.html",
        fields=fields_of(asked.wanted),
        known=known,
        view=lambda answer, q: paths_shown(answer, asked.wanted, request.path, calendar_of(tenant_of(request))),
        samples=samples_of(known, request.path),
    )


def read(reader: Reader) -> dict[str, Any]:
    """The form as the API's JSON; what is as it would be anyway is left out."""
    return parts.without_nothing(
        {
            "direction": _unless(reader.text("direction"), "after"),
            "depth": reader.number("depth"),
            "top": reader.number("top"),
            "within": reader.text("within"),
            "entry": _unless(reader.text("entry"), "first"),
            "by": _unless(reader.text("by"), "name"),
            "filters": reader.tests(),
            "include": reader.texts("include"),
            **reader.range(),
        }
    ) | {"anchor": reader.pick("anchor")}


def _unless(value: str, default: str) -> str | None:
    return None if value == default else value


def fields_of(wanted: Mapping[str, Any]) -> PathsFields:
    """The question as fields, however odd it is."""
    text = parts.text_of
    return PathsFields(
        anchor=parts.pick_of("anchor", wanted.get("anchor")),
        direction=text(wanted, "direction", "after"),
        depth=text(wanted, "depth", "3"),
        top=text(wanted, "top", "5"),
        within=text(wanted, "within"),
        entry=text(wanted, "entry", "first"),
        by=text(wanted, "by", "name"),
        range=parts.range_of(wanted),
        tests=parts.tests_of(wanted.get("filters")),
        include=tuple(parts.texts_of(wanted.get("include"))),
    )


def default_of(known: Known) -> dict[str, Any] | None:
    """From the first of the usual beginnings that the tenant sends; None without any."""
    sent = sent_of(known, *BEGINNINGS)
    return {"anchor": {"events": [sent[0]]}} if sent else None


def samples_of(known: Known, path: str) -> tuple[Sample, ...]:
    """Questions that make sense of the tenant's own events."""
    after = [Sample(f"After {name}", address(path, {"anchor": {"events": [name]}})) for name in
             sent_of(known, "signed_up", "page_view")]  # fmt: skip
    before = [Sample(f"Before {name}", address(path, {"anchor": {"events": [name]}, "direction": "before"}))
              for name in sent_of(known, "order_completed", "subscription_cancelled")]  # fmt: skip
    return (*after, *before)
