"""How a tenant cuts time."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.periods import RangeError
from kpis import serializers
from kpis.rollup.services import calendar_change
from kpis.selectors import calendar_state


class CalendarView(TenantView):
    """The tenant's time zone and the first day of its weeks."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.JOBS_WRITE}

    @extend_schema(responses=serializers.CalendarStateSerializer, operation_id="calendar_read")
    def get(self, request: Request) -> Response:
        """The zone and week by which numbers are cut, and the zone that history is being counted for."""
        return Response(asdict(calendar_state(tenant_id=self.tenant.id)))

    @extend_schema(
        request=serializers.CalendarChangeSerializer,
        responses={200: serializers.CalendarStateSerializer, 202: serializers.CalendarStateSerializer},
        operation_id="calendar_change",
    )
    def patch(self, request: Request) -> Response:
        """Another week start holds at once. Another zone has a job count history; numbers change when it is done."""
        wanted = filters.body(serializers.CalendarChangeSerializer, request.data)
        try:
            calendar_change(tenant_id=self.tenant.id, **wanted, created_by=self.credential.actor)
        except RangeError as error:
            filters.refuse("zone", "bad_zone", str(error))
        state = calendar_state(tenant_id=self.tenant.id)
        return Response(asdict(state), status=status.HTTP_202_ACCEPTED if state.building else status.HTTP_200_OK)
