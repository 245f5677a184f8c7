"""Query parameters as the schema shows them; `analytics/filters.py` reads them."""

from __future__ import annotations

from typing import Final

from drf_spectacular.utils import OpenApiParameter

from analytics.filters import EVENT_FILTERS

SPAN: Final = [
    OpenApiParameter("from", description="A date (the tenant's midnight) or an ISO 8601 instant; included."),
    OpenApiParameter("to", description="As `from`, not included."),
]
CURSOR: Final = (
    OpenApiParameter("cursor", description="From `next` of the page before."),
    OpenApiParameter("limit", int, description="Rows of a page: 1 to 1000, 100 when left out."),
)
EVENTS: Final = (
    *(OpenApiParameter(name, description="One value, or several separated by commas.") for name in EVENT_FILTERS),
    OpenApiParameter("user", description="A distinct id: events of that person, under any of their ids."),
    OpenApiParameter("is_bot", bool),
    OpenApiParameter("is_internal", bool),
    OpenApiParameter("is_historical", bool),
    OpenApiParameter("ordering", enum=["-timestamp", "timestamp"]),
)
