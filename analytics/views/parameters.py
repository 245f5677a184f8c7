"""Query parameters as the schema shows them; `analytics/filters.py` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drf_spectacular.utils import OpenApiParameter

from analytics.filters import EVENT_FILTERS


def listed(name: str, description: str, *, enum: Sequence[str] = ()) -> OpenApiParameter:
    """A parameter of one value, or of several separated by commas."""
    choices = list(enum) or None
    return OpenApiParameter(name, str, many=True, explode=False, description=description, enum=choices)


SPAN: Final = [
    OpenApiParameter("from", description="A date (the tenant's midnight) or an ISO 8601 instant; included."),
    OpenApiParameter("to", description="As `from`, not included."),
]
CURSOR: Final = (
    OpenApiParameter("cursor", description="From `next` of the page before."),
    OpenApiParameter("limit", int, description="Rows of a page: 1 to 1000, 100 when left out."),
)
EVENTS: Final = (
    *(listed(name, f"Events whose `{column}` is one of these.") for name, column in EVENT_FILTERS.items()),
    OpenApiParameter("user", description="A distinct id: events of that person, under any of their ids."),
    OpenApiParameter("is_bot", bool, description="Only bots, or only others."),
    OpenApiParameter("is_internal", bool, description="Only internal users, or only others."),
    OpenApiParameter("is_historical", bool, description="Only migrated history, or only the rest."),
    OpenApiParameter("ordering", enum=["-timestamp", "timestamp"], description="-timestamp when left out."),
)
