"""Events, outcomes and the quarantine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters, selectors
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.models import Quarantine
from analytics.outcomes import outcomes_between
from analytics.pagination import keyset_page
from analytics.quarantine import quarantine_discard, quarantine_replay
from analytics.serializers import events as serializers
from analytics.views.parameters import CURSOR, EVENTS, SPAN, listed

LIST_SECONDS = 5
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class EventsView(TenantView):
    """Stored events."""

    scopes: ClassVar = {"read": Scope.EVENTS_READ, "write": Scope.EVENTS_WRITE}

    @extend_schema(
        parameters=[*SPAN, *EVENTS, *CURSOR], responses=serializers.EventPageSerializer, operation_id="events_list"
    )
    def get(self, request: Request) -> Response:
        """Newest first (`ordering=timestamp`: oldest first), by cursor: any depth costs the same."""
        known = [parameter.name for parameter in (*SPAN, *EVENTS, *CURSOR)]
        filters.only_known(request.query_params, known)
        is_ascending = filters.choice_parameter(request.query_params, "ordering", ("timestamp", "-timestamp"))
        selectors.statement_limit(LIST_SECONDS)
        found = selectors.events_matching(tenant=self.tenant, parameters=request.query_params)
        page = keyset_page(found, request, time_column="ts", ascending=is_ascending == "timestamp")
        context = {"base_currency": self.tenant.base_currency}
        return Response(page.body(serializers.EventSerializer(page.rows, many=True, context=context).data))

    @extend_schema(
        request=serializers.IncomingBatchSerializer,
        responses=serializers.VerdictsSerializer,
        operation_id="events_send",
    )
    def post(self, request: Request) -> Response:
        """Send events; each gets its verdict. Answered once they are committed.

        The capture door in front of Django serves this path; what arrives here went round it.
        """
        raise CaptureAway


class CaptureAway(APIException):
    """The server was started without the capture door."""

    status_code = 503
    default_code = "capture_unavailable"
    default_detail = "Events are taken by the ASGI application `config.asgi`: this server runs Django alone."


class EventView(TenantView):
    """One event."""

    scopes: ClassVar = {"read": Scope.EVENTS_READ}
    ID: ClassVar = OpenApiParameter(
        "event_id",
        location=OpenApiParameter.PATH,
        description="the `id` of the event list, or the id that it was sent with, which the answer to `POST` repeats",
    )

    @extend_schema(parameters=[ID], responses=serializers.EventSerializer, operation_id="events_read")
    def get(self, request: Request, event_id: str) -> Response:
        """By our id or by the one that it was sent with, which is `event_id` in the answer."""
        event = selectors.event_of(tenant_id=self.tenant.id, id_=event_id)
        if event is None:
            raise NotFound
        context = {"base_currency": self.tenant.base_currency}
        return Response(serializers.EventSerializer(event, context=context).data)


class OutcomesView(TenantView):
    """The ledger of everything received."""

    scopes: ClassVar = {"read": Scope.EVENTS_READ}

    @extend_schema(parameters=SPAN, responses=serializers.OutcomesSerializer, operation_id="outcomes_read")
    def get(self, request: Request) -> Response:
        """Received events by what became of them, by the hour (UTC) of receipt; `from` is taken down to its hour."""
        filters.only_known(request.query_params, [parameter.name for parameter in SPAN])
        span = filters.span_parameters(request.query_params, filters.calendar_of(self.tenant))
        counts = outcomes_between(
            tenant_id=self.tenant.id, start=span.start or EARLIEST, end=span.end or timezone.now() + DAY
        )
        return Response({outcome.value: count for outcome, count in counts.items()})


class QuarantineListView(TenantView):
    """Events that wait for a second try."""

    scopes: ClassVar = {"read": Scope.QUARANTINE_READ}

    PARAMETERS: ClassVar = [
        *SPAN,
        OpenApiParameter("state", enum=Quarantine.State.values, description="held when left out; `any` for all"),
        listed("reason", "Codes of reasons."),
        *CURSOR,
    ]

    @extend_schema(
        parameters=PARAMETERS, responses=serializers.QuarantinePageSerializer, operation_id="quarantine_list"
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        filters.only_known(request.query_params, [parameter.name for parameter in self.PARAMETERS])
        found = selectors.quarantine_matching(tenant=self.tenant, parameters=request.query_params)
        page = keyset_page(found, request, time_column="received_at")
        return Response(page.body(serializers.QuarantineSerializer(page.rows, many=True).data))


class QuarantineView(TenantView):
    """One held event."""

    scopes: ClassVar = {"read": Scope.QUARANTINE_READ}

    @extend_schema(responses=serializers.QuarantineSerializer, operation_id="quarantine_read")
    def get(self, request: Request, held_id: UUID) -> Response:
        """Why it is held."""
        held = Quarantine.objects.defer("payload").filter(tenant_id=self.tenant.id, pk=held_id).first()
        if held is None:
            raise NotFound
        return Response(serializers.QuarantineSerializer(held).data)


class ReplayView(TenantView):
    """A second try."""

    scopes: ClassVar = {"write": Scope.QUARANTINE_WRITE}
    is_atomic: ClassVar = False  # it commits chunk by chunk

    @extend_schema(
        request=serializers.ReplaySerializer,
        responses=serializers.ReplayedSerializer,
        operation_id="quarantine_replay",
    )
    def post(self, request: Request) -> Response:
        """Send held events through their door again: these ids, all of a reason, or (with neither) all."""
        wanted = filters.body(serializers.ReplaySerializer, request.data)
        replay = quarantine_replay(
            tenant=self.tenant,
            now=timezone.now(),
            ids=wanted.get("ids"),
            reason=wanted.get("reason", ""),
            dry_run=wanted["dry_run"],
        )
        return Response(replay.as_dict())


class DiscardView(TenantView):
    """Giving up."""

    scopes: ClassVar = {"write": Scope.QUARANTINE_WRITE}

    @extend_schema(
        request=serializers.DiscardSerializer,
        responses=serializers.DiscardedSerializer,
        operation_id="quarantine_discard",
    )
    def post(self, request: Request) -> Response:
        """Delete the content of held events for good; that they came stays counted."""
        ids = filters.body(serializers.DiscardSerializer, request.data)["ids"]
        return Response({"discarded": quarantine_discard(tenant_id=self.tenant.id, ids=ids, now=timezone.now())})
