"""Who is behind the movements of recurring revenue. Personal, so it asks for more than numbers do."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.roles import Scope
from analytics.pagination import COUNTED, window_of
from analytics.selectors import statement_limit
from analytics.serializers.paging import Counted
from kpis import parameters
from kpis.explore.plain import money
from kpis.explore.services import people_read_record
from kpis.movements import FX, KINDS, movements_read
from kpis.serializers import NumberField, StampSerializer
from kpis.views.base import ANSWER_SECONDS, MetricView
from kpis.views.schema import DAYS, RANGE


class MovementTotalsSerializer(serializers.Serializer[Any]):
    """Sums of all customers: those of the metrics mrr.new, mrr.expansion …"""

    new = NumberField()
    expansion = NumberField()
    reactivation = NumberField()
    contraction = NumberField()
    churn = NumberField()
    fx = NumberField()


class CustomerMovementSerializer(serializers.Serializer[Any]):
    """One customer; money a month in the base currency."""

    person = serializers.IntegerField()
    kind = serializers.CharField(help_text="new, expansion, reactivation, contraction, churn, or fx")
    amount = NumberField()
    opening = NumberField()
    closing = NumberField()
    fx = NumberField(help_text="what exchange rates did, apart from the movement")


class MovementsSerializer(StampSerializer, Counted):
    """A page of customers, the largest movement first; the totals are of all of them."""

    currency = serializers.CharField()
    totals = MovementTotalsSerializer()
    results = CustomerMovementSerializer(many=True)


class MovementsView(MetricView):
    """Customers whose recurring revenue moved."""

    scopes: ClassVar = {"read": Scope.EVENTS_READ}
    known: ClassVar = (*parameters.RANGE, "days", "kind", "limit", "offset")
    default_period: ClassVar = "this_month"

    @extend_schema(
        parameters=[
            *RANGE,
            DAYS,
            OpenApiParameter("kind", description=f"Only {', '.join(KINDS)} or {FX}."),
            *COUNTED,
        ],
        responses=MovementsSerializer,
        operation_id="customers_movements",
    )
    def get(self, request: Request) -> Response:
        """The largest movement first. The sums are those of the metrics, to the cent. That you looked is written down.

        Rounded amounts add up: what rounding leaves of one customer goes to the next of the same kind.
        """
        asked = request.query_params
        kind = filters.choice_parameter(asked, "kind", (*KINDS, FX))
        window, ask = window_of(request), self.ask(request)
        statement_limit(ANSWER_SECONDS)
        start, end = ask.period.start, ask.period.end
        with parameters.refusals():
            found = movements_read(tenant_id=self.tenant.id, start=start, end=end, now=ask.now, kind=kind)
        page = window.of(found.customers)
        people_read_record(
            tenant_id=self.tenant.id,
            actor=self.credential.actor,
            what="customers.movements",
            question={"from": start.isoformat(), "to": end.isoformat(), "kind": kind, "offset": window.offset},
            people=len(page),
            at=ask.now,
        )
        shown = [
            {
                "person": one.person,
                "kind": one.kind,
                **{name: money(getattr(one, name), found.exponent) for name in ("amount", "opening", "closing", "fx")},
            }
            for one in page
        ]
        return Response(
            {
                **found.stamp.plain(),
                "currency": found.currency,
                "totals": {name: money(total, found.exponent) for name, total in found.totals.items()},
                **window.body(len(found.customers), shown),
            }
        )
