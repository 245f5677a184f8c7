"""The index, fetched once a page and only when the palette opens; 304 while it is the same."""

from __future__ import annotations

import hashlib

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from reports.boards.pages import visitor_of
from reports.dashboard.doors import tenant_page
from reports.palette.index import entries


@require_GET
@tenant_page()
def palette(request: HttpRequest) -> HttpResponse:
    """[[title, kind, address], …]"""
    body = msgspec.json.encode(entries(request, visitor_of(request)))
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    is_same = tag in request.headers.get("If-None-Match", "")
    answer = HttpResponse(status=304) if is_same else HttpResponse(body, content_type="application/json")
    answer["ETag"] = tag
    return answer
