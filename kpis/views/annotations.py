"""Annotations: what happened to the business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.pagination import COUNTED, paged
from analytics.views.parameters import SPAN, listed
from kpis import annotations as noted
from kpis import understanding_serializers as serializers
from kpis.models import Annotation

SCOPES = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}


class AnnotationsView(TenantView):
    """All of them."""

    scopes: ClassVar = SCOPES
    PARAMETERS: ClassVar = [
        *SPAN,
        listed("kind", "Annotations of these kinds.", enum=Annotation.Kind.values),
        OpenApiParameter("metric", description="What concerns this metric, or all."),
        *COUNTED,
    ]

    @extend_schema(
        parameters=PARAMETERS, responses=serializers.AnnotationPageSerializer, operation_id="annotations_list"
    )
    def get(self, request: Request) -> Response:
        """What touches the range, newest first."""
        asked = request.query_params
        filters.only_known(asked, [parameter.name for parameter in self.PARAMETERS])
        span = filters.span_parameters(asked, filters.calendar_of(self.tenant))
        found = noted.annotations_matching(
            tenant_id=self.tenant.id,
            start=span.start,
            end=span.end,
            kinds=filters.list_parameter(asked, "kind"),
            metric=filters.text_parameter(asked, "metric"),
        )
        return paged(request, found.order_by("-at", "-id"), serializers.AnnotationSerializer)

    @extend_schema(
        request=serializers.AnnotationSerializer,
        responses={201: serializers.AnnotationSerializer},
        operation_id="annotations_add",
    )
    def post(self, request: Request) -> Response:
        """Write down what happened; without `at` it happened now, so a deploy needs `kind` and `title` only."""
        said = filters.body(serializers.AnnotationSerializer, request.data)
        with annotation_errors():
            row = noted.annotation_add(
                tenant_id=self.tenant.id, said=said, author=self.credential.actor, now=timezone.now()
            )
        return Response(serializers.AnnotationSerializer(row).data, status=status.HTTP_201_CREATED)


class AnnotationView(TenantView):
    """One of them."""

    scopes: ClassVar = SCOPES

    @extend_schema(
        request=serializers.AnnotationChangeSerializer,
        responses=serializers.AnnotationSerializer,
        operation_id="annotations_change",
    )
    def patch(self, request: Request, annotation_id: UUID) -> Response:
        """Change some of it, for example `until` when an incident is over."""
        with annotation_errors():
            noted.annotation_row(tenant_id=self.tenant.id, annotation_id=annotation_id)
            changes = filters.body(serializers.AnnotationChangeSerializer, request.data)
            row = noted.annotation_change(tenant_id=self.tenant.id, annotation_id=annotation_id, changes=changes)
        return Response(serializers.AnnotationSerializer(row).data)

    @extend_schema(responses={204: None}, operation_id="annotations_delete")
    def delete(self, request: Request, annotation_id: UUID) -> Response:
        """Take it away."""
        with annotation_errors():
            noted.annotation_delete(tenant_id=self.tenant.id, annotation_id=annotation_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


@contextmanager
def annotation_errors() -> Iterator[None]:
    """Errors of annotations as answers: the field at fault, or 404."""
    try:
        yield
    except noted.AnnotationError as error:
        filters.refuse(error.field, "invalid_annotation", str(error))
    except noted.UnknownAnnotation:
        raise NotFound from None
