"""Metrics that tenants make themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.pagination import COUNTED, paged
from kpis import serializers, services
from kpis.models import MetricDefinition

SCOPES = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}


class DefinitionsView(TenantView):
    """All of them."""

    scopes: ClassVar = SCOPES

    @extend_schema(parameters=COUNTED, responses=serializers.DefinitionPageSerializer, operation_id="definitions_list")
    def get(self, request: Request) -> Response:
        """By id; archived ones are left out."""
        found = MetricDefinition.objects.filter(tenant_id=self.tenant.id, is_archived=False).order_by("metric")
        return paged(request, found, serializers.DefinitionSerializer)

    @extend_schema(
        request=serializers.DefinitionSerializer,
        responses={201: serializers.DefinitionSerializer},
        operation_id="definitions_create",
    )
    def post(self, request: Request) -> Response:
        """Make a metric by a formula over others."""
        wanted = filters.body(serializers.DefinitionSerializer, request.data)
        if _own(self.tenant.id, wanted["metric"]) is not None:
            filters.refuse("metric", "taken", "You have a metric of this id already: change that one with PUT.")
        return Response(_saved(self.tenant.id, wanted), status=status.HTTP_201_CREATED)


class DefinitionView(TenantView):
    """One of them."""

    scopes: ClassVar = SCOPES

    @extend_schema(responses=serializers.DefinitionSerializer, operation_id="definitions_read")
    def get(self, request: Request, metric: str) -> Response:
        """Its formula and limits."""
        return Response(serializers.DefinitionSerializer(self._row(metric)).data)

    @extend_schema(
        request=serializers.DefinitionSerializer,
        responses=serializers.DefinitionSerializer,
        operation_id="definitions_change",
    )
    def put(self, request: Request, metric: str) -> Response:
        """Change it; its version rises with its formula, and the ledger says so."""
        self._row(metric)
        wanted = filters.body(serializers.DefinitionSerializer, request.data)
        if wanted["metric"] != metric:
            filters.refuse("metric", "fixed", "The id of a metric does not change.")
        return Response(_saved(self.tenant.id, wanted))

    @extend_schema(responses={204: None}, operation_id="definitions_archive")
    def delete(self, request: Request, metric: str) -> Response:
        """Take it out of use. What it published stays in the ledger."""
        self._row(metric)
        try:
            services.metric_archive(tenant_id=self.tenant.id, metric=metric)
        except services.DefinitionError as error:
            filters.refuse(error.field, "in_use", str(error))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _row(self, metric: str) -> MetricDefinition:
        row = _own(self.tenant.id, metric)
        if row is None:
            raise NotFound
        return row


def _own(tenant_id: int, metric: str) -> MetricDefinition | None:
    return MetricDefinition.objects.filter(tenant_id=tenant_id, metric=metric, is_archived=False).first()


def _saved(tenant_id: int, wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        row = services.metric_define(tenant_id=tenant_id, definition=services.Definition(**wanted), now=timezone.now())
    except services.DefinitionError as error:
        filters.refuse(error.field, "invalid_definition", str(error))
    shown: dict[str, Any] = serializers.DefinitionSerializer(row).data
    return shown
