"""Free text that a view offers for sentiment.

    @sentiment_text("comment")
    def review(request): ...

The text is kept encrypted with the person's key (an event never holds it in plain); `properties.text_fields` names the
fields, so that the analyser finds them. Only what the view has read itself is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from analytics.capture.limits import tidy

MAX_TEXT = 4_000
MAX_BODY = 256 * 1024
ATTRIBUTE = "bellwether_text_fields"

View = TypeVar("View", bound=Callable[..., Any])


def sentiment_text(*fields: str) -> Callable[[View], View]:
    """Names the fields of a view's form or JSON body that hold free text. Works on functions and on view classes."""

    def mark(view: View) -> View:
        setattr(view, ATTRIBUTE, fields)
        return view

    return mark


def texts_of(request: HttpRequest, response: HttpResponseBase) -> dict[str, str]:
    """The named texts of this request, each cut at 4,000 characters; empty ones left out."""
    fields = _named(request)
    if not fields:
        return {}
    body = _read_by_view(request, response)
    texts = {field: body.get(field) for field in fields}
    return {field: tidy(text[:MAX_TEXT]) for field, text in texts.items() if isinstance(text, str) and text.strip()}


def _named(request: HttpRequest) -> tuple[str, ...]:
    func = request.resolver_match.func if request.resolver_match else None
    for place in (func, getattr(func, "view_class", None), getattr(func, "cls", None)):
        fields: tuple[str, ...] | None = getattr(place, ATTRIBUTE, None)
        if fields:
            return fields
    return ()


def _read_by_view(request: HttpRequest, response: HttpResponseBase) -> Mapping[str, Any]:
    """The body as the view has parsed it; reading it now could block or fail."""
    rest_request = (getattr(response, "renderer_context", None) or {}).get("request")
    parsed = getattr(rest_request, "_full_data", None)
    if isinstance(parsed, Mapping):
        return parsed
    if request.__dict__.get("_post"):
        return request.POST
    return _json(request.__dict__.get("_body", b"")) if request.content_type == "application/json" else {}


def _json(body: bytes) -> Mapping[str, Any]:
    if len(body) > MAX_BODY:
        return {}
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, Mapping) else {}
