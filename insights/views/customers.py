"""Customers: which segments they are in, what they have brought, what they may still bring."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.lake.errors import LakeError
from insights import selectors, serializers
from insights.customers.rfm import Segment
from insights.customers.services import segment_table, segment_table_set
from insights.plain import curves_plain, snapshot_plain, value_plain
from kpis.parameters import refusals


class NotTakenYet(APIException):
    """There is no snapshot to read; the message says how one is taken."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "no_snapshot"


class LakeAway(APIException):
    """The lake or its engine cannot answer now."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "lake_unavailable"


class SegmentsView(TenantView):
    """All customers by segment."""

    scopes: ClassVar = {"read": Scope.KPIS_READ}

    @extend_schema(
        parameters=[
            OpenApiParameter("taken_on", date, description="The day of a snapshot; the newest when left out."),
            OpenApiParameter(
                "compare", date, description="The day of an earlier one; about four weeks before when left out."
            ),
        ],
        responses=serializers.SnapshotSerializer,
        operation_id="customers_segments",
    )
    def get(self, request: Request) -> Response:
        """The newest snapshot (or that of `taken_on`), and who moved since `compare` (else about four weeks before)."""
        filters.only_known(request.query_params, ("taken_on", "compare"))
        taken_on, compare = (_day(request, name) for name in ("taken_on", "compare"))
        try:
            found = selectors.snapshot_read(tenant_id=self.tenant.id, taken_on=taken_on, compare=compare)
        except selectors.NoSnapshot as error:
            if taken_on or compare:
                raise NotFound(str(error)) from None
            raise NotTakenYet(str(error)) from None
        return Response(snapshot_plain(found))


class SegmentTableView(TenantView):
    """The table of score ranges that names the segments."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}

    @extend_schema(responses=serializers.SegmentTableSerializer, operation_id="customers_segment_table")
    def get(self, request: Request) -> Response:
        """The table in use, first match first."""
        return Response({"segments": [_row(segment) for segment in segment_table(tenant_id=self.tenant.id)]})

    @extend_schema(
        request=serializers.SegmentTableSerializer,
        responses=serializers.SegmentTableSerializer,
        operation_id="customers_segment_table_set",
    )
    def put(self, request: Request) -> Response:
        """Replace it; the next snapshot is named by it."""
        wanted = filters.body(serializers.SegmentTableSerializer, request.data)
        table = [_segment(index, row) for index, row in enumerate(wanted["segments"])]
        segment_table_set(tenant_id=self.tenant.id, table=table)
        return self.get(request)


class ValueView(TenantView):
    """One customer. Personal, so it asks for more than numbers do."""

    scopes: ClassVar = {"read": Scope.SUBJECTS_WRITE}

    @extend_schema(responses=serializers.CustomerValueSerializer, operation_id="customers_value")
    def get(self, request: Request, subject: int) -> Response:
        """What the person behind the subject brought, how they score, what they may still bring."""
        try:
            found = selectors.customer_value(tenant_id=self.tenant.id, subject=subject, now=timezone.now())
        except selectors.NoCustomer as error:
            raise NotFound from error
        return Response(value_plain(found))


class LifetimeView(TenantView):
    """What cohorts of customers have brought."""

    scopes: ClassVar = {"read": Scope.KPIS_READ}

    @extend_schema(
        parameters=[
            OpenApiParameter("unit", enum=list(selectors.UNITS), description="month when left out."),
            OpenApiParameter("units", int, description=f"1 to {selectors.MOST_UNITS}, 12 when left out."),
        ],
        responses=serializers.CurvesSerializer,
        operation_id="customers_lifetime",
    )
    def get(self, request: Request) -> Response:
        """Net revenue by age of the cohort, for those who first bought in each of the last `units` units."""
        filters.only_known(request.query_params, ("unit", "units"))
        unit = filters.text_parameter(request.query_params, "unit") or "month"
        units = filters.number_parameter(request.query_params, "units", default=12, most=selectors.MOST_UNITS)
        with refusals():
            try:
                found = selectors.lifetime_curves(tenant_id=self.tenant.id, unit=unit, units=units, now=timezone.now())
            except ValueError as error:
                filters.refuse("unit", "invalid_unit", f"{error}.")
            except LakeError as error:
                raise LakeAway(str(error)) from None
        return Response(curves_plain(found))


def _day(request: Request, name: str) -> date | None:
    text = filters.text_parameter(request.query_params, name)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        filters.refuse(name, "invalid_date", f"{name} is a date such as 2026-10-31.")


def _row(segment: Segment) -> dict[str, Any]:
    return {
        "name": segment.name,
        "recency": list(segment.recency),
        "frequency": list(segment.frequency),
        "monetary": list(segment.monetary),
    }


def _segment(index: int, row: dict[str, Any]) -> Segment:
    try:
        return Segment(row["name"], *(tuple(row[name]) for name in ("recency", "frequency", "monetary")))
    except ValueError as error:
        filters.refuse(f"segments.{index}", "invalid_range", f"{error}.")
