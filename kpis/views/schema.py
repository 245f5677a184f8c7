"""Query parameters of metrics as the schema shows them; `kpis/parameters.py` reads them."""

from __future__ import annotations

from typing import Final

from drf_spectacular.utils import OpenApiParameter

from analytics.views.parameters import listed
from kpis import parameters
from kpis.series.question import INCLUDABLE

RANGE: Final = (
    OpenApiParameter("from", description="A date (the tenant's midnight) or an ISO 8601 instant; included."),
    OpenApiParameter("to", description="As `from`, not included."),
    OpenApiParameter(
        "period",
        description="Instead of both: 30d (complete days), today, yesterday, mtd, this_week, last_month, 2026-11 …",
    ),
    OpenApiParameter("timezone", description="Refused unless it is the tenant's: its numbers have no other zone."),
)
GRANULARITY: Final = OpenApiParameter(
    "granularity", enum=list(parameters.GRANULARITIES), description="day when left out"
)
BY: Final = OpenApiParameter("by", description="A column such as country, or properties.<key>.")
CUT: Final = (
    GRANULARITY,
    BY,
    OpenApiParameter("limit", int, description="Values of a breakdown (10); the rest is one, `__other__`."),
)
INCLUDE: Final = listed(
    "include", "Bots or internal users too; they are in no number otherwise.", enum=sorted(INCLUDABLE)
)
NARROW: Final = (
    *(listed(name, f"Only events whose `{name}` is one of these.") for name in parameters.FILTERS),
    OpenApiParameter("filters", description="JSON: a list of {field, op, value}, as answers show them."),
    INCLUDE,
)
COMPARE: Final = (
    OpenApiParameter("compare", description="previous, year_ago, none, or a range such as 2026-10."),
    OpenApiParameter("match_weekday", bool, description="Compare with whole weeks before, Mondays with Mondays."),
)
METRICS: Final = listed("metrics", "Ids of metrics.")
DAYS: Final = OpenApiParameter("days", int, description="The last so many complete days, instead of a range.")
LIMIT: Final = OpenApiParameter("limit", int, description="Rows, 10 when left out.")
