"""What customers cost to win, and how long until it came back."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.lake.errors import LakeError
from insights import serializers
from insights.customers.acquisition import BY, LEAST, By, paybacks_read
from insights.plain import paybacks_plain
from insights.selectors import MOST_UNITS
from insights.views.customers import LakeAway
from kpis.parameters import refusals


class PaybackView(TenantView):
    """Cost of a customer against what customers bring."""

    scopes: ClassVar = {"read": Scope.KPIS_READ}
    is_atomic: ClassVar = False  # engines take their time; no transaction stays open meanwhile

    @extend_schema(
        parameters=[
            OpenApiParameter("months", int, description="Cohort months before the running one: 12 when left out."),
            OpenApiParameter("by", enum=list(BY), description="channel when left out."),
            OpenApiParameter("margin", float, description="Share of revenue that is margin: 0.001 to 1."),
        ],
        responses=serializers.PaybacksSerializer,
        operation_id="customers_payback",
    )
    def get(self, request: Request) -> Response:
        """By month of the first purchase and channel or campaign. Without costs (`explore/costs/`) there are none."""
        filters.only_known(request.query_params, ("months", "margin", "by"))
        by: By = filters.choice_parameter(request.query_params, "by", BY, default="channel")  # type: ignore[assignment]
        months = filters.number_parameter(request.query_params, "months", default=12, most=MOST_UNITS)
        margin = margin_of(request.query_params)
        with refusals():
            try:
                found = paybacks_read(tenant_id=self.tenant.id, months=months, margin=margin, by=by, now=timezone.now())
            except LakeError as error:
                raise LakeAway(str(error)) from None
        return Response(paybacks_plain(found))


def margin_of(texts: filters.Parameters) -> Decimal | None:
    """`margin`, or None to take the tenant's."""
    text = filters.text_parameter(texts, "margin")
    if not text:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(0)
    # Far smaller ones would be fractions of a billion digits.
    if not found.is_finite() or not LEAST <= found <= 1 or len(text) > 12:
        filters.refuse("margin", "invalid_number", "`margin` is a share from 0.001 to 1, for example 0.6.")
    return found
