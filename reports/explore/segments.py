"""`/segments/`: kept sets of people, their sizes, refreshing, the overlap of two, and who is in one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from rest_framework.exceptions import APIException, ValidationError

from analytics.access.roles import Scope
from analytics.lake.errors import LakeError
from analytics.registry import UnknownName
from kpis.explore.grammar import question_of
from kpis.models import PeopleSegment
from kpis.parameters import refusals
from kpis.segments.selectors import NoSegment, Overlap, overlap, people_of, segment_read, segments_list
from kpis.segments.services import SegmentError, segment_create, segment_refresh
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.dashboard.lists import list_page
from reports.explore.asking import actor_of, worded
from reports.explore.frame import count, head_of, share
from reports.explore.jobs import safe
from reports.explore.people import PLACES, place_of, shown_page
from reports.exports.tables import downloads

ROWS = 50
TITLE = "Segments"
INTRO = "Sets of people, kept from an answer, a measure or the customers. Their questions are asked again every night."
SOURCES = {
    "answer": "an answer",
    "measure": "a measure",
    "movements": "movements of recurring revenue",
    "customers": "the customers",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A segment as it is listed; `href` is the answer that it comes from."""

    segment: PeopleSegment
    size: str
    origin: str
    href: str


@dataclass(frozen=True, slots=True)
class OverlapShown:
    """Two segments against each other; widths are of 100."""

    one: PeopleSegment
    two: PeopleSegment
    found: Overlap
    share: str
    first_width: str
    both_at: str
    both_width: str
    second_at: str
    second_width: str


@tenant_page()
def segments(request: HttpRequest) -> HttpResponse:
    """The list, with two of them compared; a post keeps one more."""
    if request.method == "POST":
        return _kept(request)
    tenant = tenant_of(request)
    rows = segments_list(tenant_id=tenant.id)
    context = {
        "head": head_of(tenant, TITLE, INTRO),
        "segments": rows,
        "page": (page := list_page(request, rows, size=ROWS)),
        "rows": [_row(segment) for segment in page],
        "overlap": _overlap(request),
        "actions": downloads("segments", "/api/v1/segments/"),
        "one": request.GET.get("one", ""),
        "two": request.GET.get("two", ""),
        "may_edit": Scope.KPIS_WRITE in scopes_of(request),
        "may_see_people": Scope.EVENTS_READ in scopes_of(request),
    }
    return render(request, "reports/explore/segments.html", context)


def _kept(request: HttpRequest) -> HttpResponse:
    if Scope.KPIS_WRITE not in scopes_of(request):
        return redirect("dashboard:segments")
    name = request.POST.get("name", "").strip()[:200]
    try:
        if not name:
            raise SegmentError("give the segment a name", "name")
        source, definition = _definition(request.POST)
        with refusals():
            made = segment_create(
                tenant=tenant_of(request),
                name=name,
                source=source,
                definition=definition,
                is_fixed=bool(request.POST.get("is_fixed")),
                now=timezone.now(),
                created_by=actor_of(request),
            )
    except SegmentError as error:
        messages.error(request, f"Not kept: {error}.")
    except (APIException, LakeError, UnknownName) as error:
        messages.error(request, f"Not kept. {worded(error)}")
    else:
        messages.success(request, f"Kept: {made.name}, {made.size:,} people.")
    return redirect("dashboard:segments")


def _definition(form: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Of a segment of customers, of another source (its definition as JSON), or of a place in an answer. Raises
    ValidationError."""
    if form.get("customers"):
        return "customers", {"segment": str(form["customers"])[:100]}
    if form.get("source"):
        return str(form["source"])[:40], question_of(str(form.get("definition", "")))
    kind = str(form.get("kind", ""))
    return "answer", {"kind": kind, "question": question_of(str(form.get("q", ""))), "place": _place(kind, form)}


def _place(kind: str, form: Mapping[str, Any]) -> dict[str, Any]:
    """`at` is the place as JSON; `place` its two parts, such as `step:outcome` of a funnel."""
    if form.get("at"):
        try:
            found = json.loads(str(form["at"])[:500])
        except (ValueError, RecursionError):
            found = None
        return place_of(kind, found if isinstance(found, dict) else {})
    first, _, second = str(form.get("place", "")).partition(":")
    if kind not in PLACES:
        raise ValidationError({"kind": ["Say of which answer."]})
    return place_of(kind, dict(zip(PLACES[kind], (first, second), strict=True)))


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def refresh(request: HttpRequest, segment_id: UUID) -> HttpResponse:
    """Ask its question again."""
    found = segment_refresh(tenant=tenant_of(request), segment=_segment(request, segment_id), now=timezone.now())
    if found.error:
        messages.error(request, f"{found.name} stays as it was: {found.error}")
    else:
        messages.success(request, f"{found.name} has {found.size:,} people now.")
    return redirect(safe(request.POST.get("next", "/segments/")))


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def delete(request: HttpRequest, segment_id: UUID) -> HttpResponse:
    """Forget it; the people's events stay."""
    found = _segment(request, segment_id)
    found.delete()
    messages.success(request, f"Deleted: {found.name}. The people and their events stay.")
    return redirect("dashboard:segments")


@require_GET
@tenant_page(Scope.EVENTS_READ)
def members(request: HttpRequest, segment_id: UUID) -> HttpResponse:
    """Who is in it."""
    found = _segment(request, segment_id)
    page = shown_page(
        request,
        people_of(found),
        title=f"People of {found.name}",
        back="/segments/",
        back_name="Segments",
        what="segment",
        question={"segment": str(found.pk), "after": request.GET.get("after", "")[:20]},
    )
    return render(request, "reports/explore/people.html", {"page": page, "head": page.head})


def _segment(request: HttpRequest, segment_id: UUID) -> PeopleSegment:
    try:
        return segment_read(tenant_id=tenant_of(request).id, segment_id=segment_id)
    except NoSegment:
        raise Http404("There is no such segment.") from None


def _row(segment: PeopleSegment) -> Row:
    from reports.explore.asking import address

    definition = segment.definition if isinstance(segment.definition, dict) else {}
    size = count(segment.size)
    origin = SOURCES.get(segment.source, segment.source)
    if segment.source == "answer" and isinstance(definition.get("question"), dict):
        kind = str(definition.get("kind"))
        page = "retention" if kind == "lifecycle" else kind
        return Row(segment, size, f"a {kind}", address(f"/explore/{page}/", definition["question"]))
    if segment.source == "customers":
        return Row(segment, size, f"customers: {definition.get('segment')}", "/customers/")
    return Row(segment, size, f"{origin}: {definition.get('measure')}" if segment.source == "measure" else origin, "")


def _overlap(request: HttpRequest) -> OverlapShown | None:
    one, two = (_chosen(request, name) for name in ("one", "two"))
    if one is None or two is None:
        return None
    found = overlap(people_of(one), people_of(two))
    whole = max(found.first + found.second - found.both, 1)
    only, both = found.only_first / whole * 100, found.both / whole * 100
    return OverlapShown(
        one, two, found, share(found.share), f"{only:.2f}", f"{only:.2f}", f"{both:.2f}",
        f"{only + both:.2f}", f"{max(100 - only - both, 0):.2f}",
    )  # fmt: skip


def _chosen(request: HttpRequest, name: str) -> PeopleSegment | None:
    text = request.GET.get(name, "")
    try:
        return segment_read(tenant_id=tenant_of(request).id, segment_id=UUID(text)) if text else None
    except (ValueError, NoSegment):
        messages.warning(request, "One of the segments is not there any more; choose again.")
        return None
