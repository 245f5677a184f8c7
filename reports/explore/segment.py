"""`/segments/<id>/`: one kept set of people: what it is made of, how large it was, what it can narrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from analytics.access.roles import Scope
from analytics.filters import calendar_of
from kpis.explore.grammar import Asking
from kpis.explore.services import people_read_record
from kpis.models import PeopleSegment
from kpis.segments.selectors import NoSegment, daily_visitors_of, people_of, segment_read, segments_list
from reports.dashboard import shown
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.explore.asking import actor_of, address
from reports.explore.drawing import Lines, lines_of
from reports.explore.frame import count, head_of
from reports.explore.segment_words import facts_of
from reports.exports.sheet import Column, ColumnKind, Sheet
from reports.exports.tables import NoTable, TableFile, downloads, files

USES: Final = (("Funnel", "/explore/funnel/"), ("Retention", "/explore/retention/"), ("Paths", "/explore/paths/"),
               ("Attribution", "/explore/attribution/"))  # fmt: skip
QUESTIONS: Final[dict[str, dict[str, object]]] = {
    "/explore/retention/": {"unit": "week", "periods": 9},
    "/explore/attribution/": {"lookback": "30d"},
}


@dataclass(frozen=True, slots=True)
class History:
    """The size by day, as a drawing and as a table (newest first)."""

    drawing: Lines
    rows: tuple[tuple[str, str, str], ...]


@require_GET
@tenant_page()
def segment(request: HttpRequest, segment_id: UUID) -> HttpResponse:
    """One of the tenant's."""
    found = read(request, segment_id)
    tenant = tenant_of(request)
    definition = found.definition if isinstance(found.definition, dict) else {}
    others = [each for each in segments_list(tenant_id=tenant.id) if each.pk != found.pk]
    context = {
        "head": head_of(tenant, found.name, found.description or "A kept set of people."),
        "segment": found,
        "size": count(found.size),
        "daily": daily_visitors_of(found, Asking(tenant, timezone.now())),
        "as_of": shown.moment_shown(found.as_of, calendar_of(tenant)) if found.as_of else "",
        "facts": facts_of(found.source, definition),
        "origin": _origin(found.source, definition),
        "history": history_of(found),
        "uses": [(label, _use(path, found)) for label, path in USES],
        "others": others,
        "may_edit": Scope.KPIS_WRITE in scopes_of(request),
        "may_see_people": Scope.EVENTS_READ in scopes_of(request),
        "actions": downloads("segment-people", f"/api/v1/segments/{found.pk}/people/", segment=str(found.pk)),
    }
    return render(request, "reports/customers/segment.html", context)


def read(request: HttpRequest, segment_id: UUID) -> PeopleSegment:
    """404 for another tenant's as for one that is not there."""
    try:
        return segment_read(tenant_id=tenant_of(request).id, segment_id=segment_id)
    except NoSegment:
        raise Http404("There is no such segment.") from None


def _origin(source: str, definition: dict[str, object]) -> str:
    """The answer that it was kept from."""
    question, kind = definition.get("question"), str(definition.get("kind"))
    if source == "answer" and isinstance(question, dict):
        return address(f"/explore/{'retention' if kind == 'lifecycle' else kind}/", question)
    return "/customers/" if source == "customers" else ""


def _use(path: str, found: PeopleSegment) -> str:
    """A question to begin with, narrowed; one that has to be completed first is a draft."""
    question = {**QUESTIONS.get(path, {}), "segment": str(found.pk)}
    return address(path, question, draft="" if path in QUESTIONS else "1")


def history_of(found: PeopleSegment) -> History | None:
    """From the second day on; days on which it was not asked are no days of the drawing."""
    sizes = [(str(day), int(size)) for day, size in found.sizes]
    if len(sizes) < 2:
        return None
    most = max(size for _, size in sizes)
    drawing = lines_of([("People", [float(size) for _, size in sizes])], [day for day, _ in sizes], top=count(most))
    before = [None, *(size for _, size in sizes[:-1])]
    rows = tuple(
        (day, count(size), "" if was is None else f"{size - was:+,}".replace("-", "−"))
        for (day, size), was in zip(sizes, before, strict=True)
    )
    return History(drawing, rows[::-1])


# --- As a file --------------------------------------------------------------------------------------------------------


def people_sheet(request: HttpRequest) -> Sheet:
    """Who is in it, by number. That they were written out is written down first."""
    try:
        found = read(request, UUID(request.GET.get("segment", "")))
    except (ValueError, Http404):
        raise NoTable("There is no such segment: name one of yours by `?segment=<id>`.") from None
    people = people_of(found)
    people_read_record(
        tenant_id=tenant_of(request).id,
        actor=actor_of(request),
        what="segment",
        question={"segment": str(found.pk), "file": True},
        people=len(people),
        at=timezone.now(),
    )
    footer = (
        ("Segment", found.name),
        *((fact.label, fact.value) for fact in facts_of(found.source, found.definition)),
        ("As of", found.as_of.isoformat() if found.as_of else "never asked"),
    )
    return Sheet("segment-people", (Column("person", ColumnKind.COUNT),), [(person,) for person in people], footer)


files.register(TableFile("segment-people", people_sheet, Scope.EVENTS_READ))
