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
from reports.dashboard.doors import role_of
from reports.dashboard.question import PageQuestion

TAGS: Final = (METRICS, DEFINITIONS, MAPPING, GOALS, ANNOTATIONS)
FRAME: Final = "reports/frame.html"


class Page(Protocol):
    """What every page of numbers has."""

    @property
    def title(self) -> str: ...

    @property
    def live_query(self) -> str: ...

    @property
    def is_empty(self) -> bool: ...


class _Empty(Exception):
    """Nothing was counted yet: what is shown then is for this visitor alone, so it is not remembered."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page


def page_response(
    request: HttpRequest, question: PageQuestion, *, template: str, build: Callable[[], Page], **context: Any
) -> HttpResponse:
    """The page: its body out of `template`, remembered until its numbers change (a range that is open: 30 s)."""

    def compute() -> dict[str, str]:
        page = build()
        if page.is_empty:
            raise _Empty(page)
        body = render_to_string(template, {"page": page, **context}) + "\n"  # a plain string: caches keep no other
        return {"title": page.title, "live_query": page.live_query, "body": body}

    ask = question.ask
    try:
        found = cache().answer(
            audience=Audience.member(question.tenant.id, role_of(request)),
            name="reports.page",
            question={
                "release": _release(),
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
    except _Empty as empty:
        return render(request, "reports/nothing.html", {"page": empty.page})
    # The body is our own template's work, in which every value was escaped.
    return render(request, FRAME, {"page": {**found, "body": mark_safe(found["body"])}})  # noqa: S308


@lru_cache(maxsize=1)
def _release() -> str:
    """Changes with the templates, so that a page of the release before does not meet the style of this one."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted((settings.BASE_DIR / "templates" / "reports").rglob("*.html")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
