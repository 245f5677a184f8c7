"""The cache: how often it knew, and clearing it."""

from __future__ import annotations

from typing import ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.cache.status import cache_clear, cache_status
from analytics.serializers import work as serializers


class CacheView(TenantView):
    """Answers that are remembered."""

    scopes: ClassVar = {"GET": Scope.JOBS_READ, "DELETE": Scope.JOBS_WRITE}

    @extend_schema(responses=serializers.CacheSerializer, operation_id="cache_read")
    def get(self, request: Request) -> Response:
        """How often the last 24 hours' questions had an answer already, for the installation."""
        found = cache_status(now=timezone.now())
        return Response(
            {
                "is_enabled": found.is_enabled,
                "hours": found.hours,
                "asked": found.all.total,
                "known": found.all.total - found.all.computed,
                "hit_rate": found.all.hit_rate,
            }
        )

    @extend_schema(responses={204: None}, operation_id="cache_clear")
    def delete(self, request: Request) -> Response:
        """Forget the answers of the tenant; every process follows within a second."""
        cache_clear(tenant_id=self.tenant.id)
        return Response(status=status.HTTP_204_NO_CONTENT)
