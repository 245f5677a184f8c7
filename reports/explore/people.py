"""Who is behind a bar or a cell: shown to who may see people, page by page, and written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET
from pyroaring import BitMap
from rest_framework.exceptions import APIException, ValidationError

from analytics.access.roles import Scope
from analytics.lake.errors import LakeError
from analytics.models import Subject
from analytics.registry import UnknownName
from kpis.attribution.answer import UNTOUCHED
from kpis.contracts import OTHER
from kpis.explore.grammar import Asking, question_of
from kpis.explore.selectors import PAGE, explore_people, page_of
from kpis.explore.services import people_read_record
from kpis.parameters import refusals
from kpis.paths import END
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.dashboard.problems import problem_page
from reports.explore.asking import actor_of, worded
from reports.explore.attribution_shown import MODEL_NAMES
from reports.explore.frame import Head, count, credit_shown, head_of
from reports.explore.retention_shown import value_shown

PLACES: Final[Mapping[str, Mapping[str, type]]] = {
    "funnel": {"step": int, "outcome": str},
    "retention": {"cohort": int, "period": int},
    "lifecycle": {"period": int, "state": str},
    "paths": {"place": int, "name": str},
    "attribution": {"model": str, "key": str},
}
MAY_NAME: Final[Mapping[str, tuple[str, ...]]] = {"retention": ("key",)}
"""What a place has only sometimes: a value of a breakdown."""
OUTCOMES: Final = {"reached": "reached", "dropped": "dropped out after", "still_open": "still have time after"}


@dataclass(frozen=True, slots=True)
class Person:
    """A line of the list."""

    number: int
    first_seen_at: datetime | None
    is_identified: bool


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """A page of people; `next` is the address of the one after."""

    head: Head
    count: int
    number: str
    rows: tuple[Person, ...]
    next: str
    back: str
    back_name: str


@require_GET
@tenant_page(Scope.EVENTS_READ)
def people(request: HttpRequest) -> HttpResponse:
    """The people of a place in an answer."""
    kind = request.GET.get("kind", "")
    try:
        question, place = question_of(request.GET.get("q", "")), place_of(kind, request.GET)
        asking = Asking(tenant_of(request), timezone.now())
        with refusals():
            found = explore_people(kind=kind, wanted=question, place=place, asking=asking)
    except (ValidationError, APIException, LakeError, UnknownName) as error:
        return problem_page(request, status=400, title="Nobody to show", message=worded(error))
    page = shown_page(
        request,
        found,
        title=title_of(kind, question, place),
        back=f"/explore/{'retention' if kind == 'lifecycle' else kind}/?{urlencode({'q': request.GET['q']})}",
        back_name=kind.capitalize(),
        what=f"explore.{kind}",
        question={"kind": kind, "question": question, "place": place},
    )
    context = {
        "page": page,
        "head": page.head,
        "kind": kind,
        "q": request.GET["q"],
        "place": json.dumps(place),
        "may_save": Scope.KPIS_WRITE in scopes_of(request),
    }
    return render(request, "reports/explore/people.html", context)


def place_of(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The place as the kind takes it. Raises ValidationError."""
    if kind not in PLACES:
        raise ValidationError({"kind": [f"`kind` is one of {', '.join(PLACES)}."]})
    found: dict[str, Any] = {}
    for name, wanted in PLACES[kind].items():
        text = str(given.get(name, ""))
        if wanted is int and not (text.isascii() and text.isdigit() and len(text) < 6):
            raise ValidationError({name: [f"`{name}` is the index of a place in the answer."]})
        found[name] = int(text) if wanted is int else text
    return found | {name: str(given[name]) for name in MAY_NAME.get(kind, ()) if name in given}


def title_of(kind: str, question: Mapping[str, Any], place: Mapping[str, Any]) -> str:
    """In words."""
    if kind == "funnel":
        return f"People who {OUTCOMES.get(place['outcome'], place['outcome'])} {_step_name(question, place['step'])}"
    if kind == "retention":
        valued = f", {str(question.get('by'))[:60]} {value_shown(place['key'])}" if "key" in place else ""
        return f"People of cohort {place['cohort'] + 1} who came in period {place['period']}{valued}"
    if kind == "paths":
        name = {OTHER: "any other", END: "the end"}.get(place["name"], place["name"])
        return f"People whose paths come to {name[:100]} at place {place['place']}"
    if kind == "attribution":
        return _credited(place)
    return f"People who were {place['state']} in period {place['period'] + 1}"


def _credited(place: Mapping[str, Any]) -> str:
    if place["key"] == UNTOUCHED:
        return "People who converted without a touch before"
    model = MODEL_NAMES.get(place["model"], place["model"][:40])
    return f"People with a conversion that {credit_shown(place['key'])[:100]} gets credit for ({model})"


def _step_name(question: Mapping[str, Any], step: int) -> str:
    steps = question.get("steps")
    row = steps[step] if isinstance(steps, list) and step < len(steps) else {}
    names = row.get("events") if isinstance(row, Mapping) else None
    named = row.get("label") or (" or ".join(map(str, names)) if isinstance(names, list) else "")
    return f"step {step + 1}" + (f", {str(named)[:100]}" if named else "")


def shown_page(
    request: HttpRequest,
    found: BitMap,
    *,
    title: str,
    back: str,
    back_name: str,
    what: str,
    question: Mapping[str, Any],
) -> PeoplePage:
    """The next hundred. That they were shown is written down first."""
    tenant = tenant_of(request)
    text = request.GET.get("after", "")
    after = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    numbers = page_of(found, after=after, limit=PAGE)
    people_read_record(
        tenant_id=tenant.id,
        actor=actor_of(request),
        what=what,
        question=question,
        people=len(numbers),
        at=timezone.now(),
    )
    known = Subject.objects.filter(tenant_id=tenant.id, pk__in=numbers).in_bulk()
    rows = tuple(
        Person(number, row.first_seen_at if row else None, bool(row and row.is_identified))
        for number in numbers
        for row in [known.get(number)]
    )
    has_more = bool(numbers) and found.rank(numbers[-1]) < len(found)
    parameters = {**request.GET.dict(), "after": str(numbers[-1])} if has_more else {}
    return PeoplePage(
        head_of(
            tenant, title, "A person is a number here; their page tells what they did. That you looked is written down."
        ),
        len(found),
        count(len(found)),
        rows,
        f"{request.path}?{urlencode(parameters)}" if has_more else "",
        back,
        back_name,
    )
