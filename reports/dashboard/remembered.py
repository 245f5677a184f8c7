"""Pages that are remembered: what lies inside the frame, written once for everybody of a tenant with the same role."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Protocol

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from analytics.cache import ANNOTATIONS, DASHBOARD, DEFINITIONS, GOALS, LIVE, MAPPING, METRICS, Audience, cache
from reports.dashboard.context import kiosk_of
from reports.dashboard.doors import is_fragment, role_of
from reports.dashboard.question import PageQuestion
from reports.dashboard.reading import TOO_SLOW

TAGS: Final = (METRICS, DEFINITIONS, MAPPING, GOALS, ANNOTATIONS)
FRAME: Final = "reports/frame.html"


class Card(Protocol):
    """What every card has."""

    @property
    def problem(self) -> str: ...


class Page(Protocol):
    """What every page of numbers has."""

    @property
    def title(self) -> str: ...

    @property
    def live_query(self) -> str: ...

    @property
    def is_empty(self) -> bool: ...


class _Passing(Exception):
    """Not to be remembered: what is shown before the first event is for this visitor alone, and what took too long once
    may be there the next time."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self.page = page


def page_response(
    request: HttpRequest, question: PageQuestion, *, template: str, build: Callable[[], Page], **context: Any
) -> HttpResponse:
    """The page: its body out of `template`, remembered until its numbers change (a range that is open: 30 s).

    Asked for as a fragment it is the body alone, for pages that follow the live numbers (`fresh.js`).
    """
    context |= {"wall": kiosk_of(request)}

    def compute() -> dict[str, str]:
        page = build()
        if page.is_empty or is_slow(page):
            raise _Passing(page)
        body = render_to_string(template, {"page": page, **context}) + "\n"  # a plain string: caches keep no other
        return {"title": page.title, "live_query": page.live_query, "body": body}

    try:
        found = _remembered(request, question, "reports.page", compute)
    except _Passing as passing:
        if passing.page.is_empty and is_fragment(request):
            return HttpResponse(status=204)
        if passing.page.is_empty:
            return render(request, "reports/nothing.html", {"page": passing.page})
        page = passing.page
        body = render_to_string(template, {"page": page, **context, **_troubles(request)})
        found = {"title": page.title, "live_query": page.live_query, "body": body}
    if is_awaited(request):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    if is_fragment(request):
        return HttpResponse(found["body"])
    # The body is our own template's work, in which every value was escaped.
    return render(request, FRAME, {"page": {**found, "body": mark_safe(found["body"])}})  # noqa: S308


def card_response(request: HttpRequest, question: PageQuestion, kind: str, build: Callable[[], Card]) -> HttpResponse:
    """One card, remembered as pages are: many screens that show the same ask for it at the same moment."""
    template = f"reports/cards/{kind}.html"

    def compute() -> dict[str, str]:
        card = build()
        if card.problem == TOO_SLOW:
            raise _Passing(card)
        return {"body": render_to_string(template, {kind: card}) + "\n"}

    try:
        return HttpResponse(_remembered(request, question, "reports.card", compute)["body"])
    except _Passing as passing:
        return render(request, template, {kind: passing.page, **_troubles(request)})


def is_awaited(request: HttpRequest) -> bool:
    """Whether a page that is still empty asks if there are numbers by now (`templates/reports/empty.html`)."""
    return request.headers.get("HX-Trigger") == "awaiting"


def part_response(
    request: HttpRequest, question: PageQuestion, *, template: str, version: int, build: Callable[[], dict[str, Any]]
) -> HttpResponse:
    """A part of a page that somebody wrote, like a board, at a version; `build` makes what its template needs."""

    def compute() -> dict[str, str]:
        return {"body": render_to_string(template, build()) + "\n"}

    return HttpResponse(_remembered(request, question, "reports.part", compute, version=version)["body"])


def _remembered(
    request: HttpRequest, question: PageQuestion, name: str, compute: Callable[[], dict[str, str]], *, version: int = 0
) -> dict[str, str]:
    ask = question.ask
    return cache().answer(
        audience=Audience.member(question.tenant.id, role_of(request)),
        name=name,
        question={
            "release": _release(),
            "version": version,
            "path": request.path,
            "parameters": request.GET.dict(),
            "start": ask.period.start,
            "end": ask.period.end,
        },
        compute=compute,
        ttl=LIVE if ask.period.end >= ask.now else DASHBOARD,
        now=ask.now,
        tags=TAGS,
        into=dict[str, str],
    )


def is_slow(page: object) -> bool:
    """Whether a card of the page took too long to count."""
    cards = [card for name in ("tiles", "charts", "tables") for card in getattr(page, name, ())]
    cards += [card for name in ("tile", "chart", "table") if (card := getattr(page, name, None))]
    return any(card.problem == TOO_SLOW for card in cards)


def _troubles(request: HttpRequest) -> dict[str, Any]:
    """What a card in trouble says: whom to ask about what, and where to try again."""
    return {
        "too_slow": TOO_SLOW,
        "request_id": getattr(request, "request_id", ""),
        "again": request.get_full_path() if request.path[:7] != "/cards/" else "",
    }


@lru_cache(maxsize=1)
def _release() -> str:
    """Changes with the templates, so that a page of the release before does not meet the style of this one."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted((settings.BASE_DIR / "templates" / "reports").rglob("*.html")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
