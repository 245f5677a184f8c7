"""Segments over HTTP. Their people are shown to who may see people, and the reading is written down."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar
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
from analytics.pagination import COUNTED, window_of
from analytics.tenancy import tenant_context
from kpis.daily_visitors import marked
from kpis.explore.grammar import Asking
from kpis.explore.selectors import MAX_PAGE, PAGE, page_of
from kpis.explore.services import people_read_record
from kpis.explore.views import stored
from kpis.models import PeopleSegment
from kpis.parameters import refusals
from kpis.segments import selectors, serializers, services
from kpis.segments.sources import sources

SCOPES = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}


class SegmentView(TenantView):
    """What views of one segment share."""

    scopes: ClassVar = SCOPES
    is_atomic: ClassVar = False  # engines take their time; no transaction stays open meanwhile

    def segment(self, segment_id: UUID, field: str = "") -> PeopleSegment:
        try:
            return selectors.segment_read(tenant_id=self.tenant.id, segment_id=segment_id)
        except selectors.NoSegment as error:
            if field:
                filters.refuse(field, "unknown_segment", str(error))
            raise NotFound from error

    def shown(self, segment: PeopleSegment) -> dict[str, Any]:
        """As the API has it, with the daily visitors among its people."""
        mark = marked(selectors.daily_visitors_of(segment, Asking(self.tenant, timezone.now())))
        return {**serializers.PeopleSegmentSerializer(segment).data, **mark}


class PeopleSegmentsView(SegmentView):
    """All of them."""

    @extend_schema(parameters=COUNTED, responses=serializers.PeopleSegmentsSerializer, operation_id="segments_list")
    def get(self, request: Request) -> Response:
        """By name, with what a segment can come from."""
        filters.only_known(request.query_params, [parameter.name for parameter in COUNTED])
        window, rows = window_of(request), selectors.segments_list(tenant_id=self.tenant.id)
        shown = serializers.PeopleSegmentSerializer(window.of(rows), many=True).data
        offered = {source.id: source.help for source in sources}
        return Response({**window.body(len(rows), shown), "sources": offered})

    @extend_schema(
        request=serializers.SegmentDraftSerializer,
        responses={201: serializers.PeopleSegmentSerializer},
        operation_id="segments_create",
    )
    def post(self, request: Request) -> Response:
        """Keep the people of an answer or of a measure."""
        wanted = filters.body(serializers.SegmentDraftSerializer, request.data)
        now = timezone.now()

        def make() -> PeopleSegment:
            return services.segment_create(tenant=self.tenant, now=now, created_by=self.credential.actor, **wanted)

        with refusals():
            try:
                made: PeopleSegment = stored(make)
            except services.SegmentError as error:
                filters.refuse(error.field, "invalid_segment", f"{error}.")
        return Response(self.shown(made), status=status.HTTP_201_CREATED)


class PeopleSegmentView(SegmentView):
    """One."""

    @extend_schema(responses=serializers.PeopleSegmentSerializer, operation_id="segments_read")
    def get(self, request: Request, segment_id: UUID) -> Response:
        """Its question, size and moment."""
        return Response(self.shown(self.segment(segment_id)))

    @extend_schema(responses={204: None}, operation_id="segments_delete")
    def delete(self, request: Request, segment_id: UUID) -> Response:
        """Forget it; the people's events stay."""
        found = self.segment(segment_id)
        with tenant_context(self.tenant.id):
            found.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class SegmentRefreshView(SegmentView):
    """Asking again."""

    @extend_schema(request=None, responses=serializers.PeopleSegmentSerializer, operation_id="segments_refresh")
    def post(self, request: Request, segment_id: UUID) -> Response:
        """Who answers to its question now. A fixed segment stays as it is."""
        found = self.segment(segment_id)
        done = services.segment_refresh(tenant=self.tenant, segment=found, now=timezone.now())
        return Response(self.shown(done))


class SegmentOverlapView(SegmentView):
    """Two segments."""

    @extend_schema(
        parameters=[OpenApiParameter("with", UUID, required=True, description="The id of the other segment.")],
        responses=serializers.OverlapSerializer,
        operation_id="segments_overlap",
    )
    def get(self, request: Request, segment_id: UUID) -> Response:
        """How many people are in this one, in the other and in both."""
        one = self.segment(segment_id)
        filters.only_known(request.query_params, ("with",))
        try:
            other = UUID(filters.text_parameter(request.query_params, "with") or "")
        except ValueError:
            filters.refuse("with", "invalid_id", "Name the other segment: `?with=<id>`.")
        two = self.segment(other, "with")
        return Response(asdict(selectors.overlap(selectors.people_of(one), selectors.people_of(two))))


class SegmentPeopleView(SegmentView):
    """Who is in it. Personal, so it asks for more than numbers do."""

    scopes: ClassVar = {"read": Scope.EVENTS_READ}

    @extend_schema(
        parameters=[
            OpenApiParameter("after", int, description="From `next_after` of the page before."),
            OpenApiParameter("limit", int, description=f"People of a page: 1 to {MAX_PAGE}, {PAGE} when left out."),
        ],
        responses=serializers.SegmentPeopleSerializer,
        operation_id="segments_people",
    )
    def get(self, request: Request, segment_id: UUID) -> Response:
        """By number, page by page. That you looked is written down."""
        filters.only_known(request.query_params, ("after", "limit"))
        asked: Any = request.query_params
        after = filters.number_parameter(asked, "after", default=-1, most=2**31 - 1) if "after" in asked else -1
        limit = filters.number_parameter(asked, "limit", default=PAGE, most=MAX_PAGE)
        found = self.segment(segment_id)
        everyone = selectors.people_of(found)
        people = page_of(everyone, after=after, limit=limit)
        people_read_record(
            tenant_id=self.tenant.id,
            actor=self.credential.actor,
            what="segment",
            question={"segment": str(found.pk), "after": after},
            people=len(people),
            at=timezone.now(),
        )
        more = people[-1] if len(people) == limit and people[-1] != everyone.max() else None
        return Response({"people": people, "next_after": more, "size": len(everyone), "as_of": found.as_of})
