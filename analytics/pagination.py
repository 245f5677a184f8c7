"""Paging of lists that grow without bound: by key, so that page 10,000 costs what page 1 does; nothing is counted."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Model, Q, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from analytics.filters import Parameters, number_parameter, refuse
from analytics.periods import from_micros, to_micros

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
MOST_ROWS: Final = 10_000_000

COUNTED: Final = [
    OpenApiParameter("limit", int, description="Rows of a page: 1 to 1000, 100 when left out."),
    OpenApiParameter("offset", int, description="Rows to skip."),
]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page and the address of the next one, None at the end."""

    rows: Sequence[Any]
    next: str | None

    def body(self, results: Any) -> dict[str, Any]:
        """The answer around serialised rows."""
        return {"next": self.next, "results": results}


def keyset_page(queryset: QuerySet[Any], request: Request, *, time_column: str, ascending: bool = False) -> Page:
    """The page after `cursor`, ordered by (time, id), newest first unless `ascending`."""
    limit = number_parameter(request.query_params, "limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
    sign = "" if ascending else "-"
    after = _after(request.query_params, time_column, ascending)
    rows = list(queryset.filter(after).order_by(f"{sign}{time_column}", f"{sign}id")[: limit + 1])
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], _next_address(request, rows[limit - 1], time_column))


def _after(parameters: Parameters, column: str, ascending: bool) -> Q:
    text = parameters.get("cursor", "")
    if not text:
        return Q()
    instant, key = _decode(text)
    side = "gt" if ascending else "lt"
    # The first condition alone bounds the index scan; the second one settles rows of the same microsecond.
    bound = Q(**{f"{column}__{side}e": instant})
    return bound & (Q(**{f"{column}__{side}": instant}) | Q(**{f"id__{side}": key}))


def _next_address(request: Request, last: Model, column: str) -> str:
    cursor = _encode(getattr(last, column), last.pk)
    pairs = [(name, value) for name, value in request.query_params.items() if name != "cursor"]
    return request.build_absolute_uri(f"{request.path}?{urlencode([*pairs, ('cursor', cursor)])}")


def _encode(instant: datetime, key: uuid.UUID) -> str:
    return base64.urlsafe_b64encode(to_micros(instant).to_bytes(8, signed=True) + key.bytes).decode().rstrip("=")


def _decode(text: str) -> tuple[datetime, uuid.UUID]:
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if len(raw) != 24:
            raise ValueError(text)
        return from_micros(int.from_bytes(raw[:8], signed=True)), uuid.UUID(bytes=raw[8:])
    except (ValueError, OverflowError, binascii.Error):
        refuse("cursor", "invalid_cursor", "Take the cursor from `next` of the page before, or leave it out.")


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of a list with a count that are asked for, and where the list lies."""

    address: str
    limit: int
    offset: int

    def of(self, rows: Sequence[Any] | QuerySet[Any]) -> Any:
        """Those of all rows."""
        return rows[self.offset : self.offset + self.limit]

    def holds(self, count: int) -> bool:
        """Whether a list of so many rows is on this page as a whole."""
        return not self.offset and count <= self.limit

    def body(self, count: int, results: Any) -> dict[str, Any]:
        """The answer around serialised rows."""
        after, before = self.offset + self.limit, max(self.offset - self.limit, 0)
        return {
            "count": count,
            "next": self._at(after) if after < count else None,
            "previous": self._at(before) if self.offset else None,
            "results": results,
        }

    def _at(self, offset: int) -> str:
        address = replace_query_param(self.address, "limit", self.limit)
        return replace_query_param(address, "offset", offset) if offset else remove_query_param(address, "offset")


def window_of(request: Request, *, default: int = DEFAULT_LIMIT) -> Window:
    """`limit` and `offset` of a list with a count."""
    limit = number_parameter(request.query_params, "limit", default=default, most=MAX_LIMIT)
    offset = number_parameter(request.query_params, "offset", default=0, least=0, most=MOST_ROWS)
    return Window(request.build_absolute_uri(), limit, offset)


def paged(request: Request, queryset: QuerySet[Any], serializer: Any) -> Response:
    """A page of a short list, with its count."""
    window, count = window_of(request), queryset.count()
    rows = window.of(queryset) if count > window.offset else ()
    return Response(window.body(count, serializer(rows, many=True).data))
