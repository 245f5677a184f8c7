"""How far the numbers can be trusted."""

from __future__ import annotations

from typing import ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.cache import Audience
from analytics.selectors import statement_limit
from kpis import understanding_serializers as serializers
from kpis.parameters import refusals
from kpis.quality import quality_of, quality_plain
from kpis.views.base import ANSWER_SECONDS

MOST_DAYS = 90


class QualityView(TenantView):
    """Data quality."""

    scopes: ClassVar = {"read": Scope.KPIS_READ}

    @extend_schema(
        parameters=[
            OpenApiParameter("days", int, description=f"Days to look back: 1 to {MOST_DAYS}, 7 when left out.")
        ],
        responses=serializers.QualitySerializer,
        operation_id="quality_read",
    )
    def get(self, request: Request) -> Response:
        """Freshness, backlog, refusals, missing fields, unknown names, lateness and the last check; the worst first."""
        filters.only_known(request.query_params, ["days"])
        days = filters.number_parameter(request.query_params, "days", default=7, most=MOST_DAYS)
        statement_limit(ANSWER_SECONDS)
        with refusals():
            audience = Audience.of(self.credential)
            return Response(quality_plain(quality_of(audience=audience, days=days, now=timezone.now())))
