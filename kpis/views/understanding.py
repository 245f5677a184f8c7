"""Why a number is what it is: the ledger, what moved it, how it is computed."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.roles import Scope
from kpis import panels, parameters
from kpis import understanding_serializers as serializers
from kpis.answers import lifetime
from kpis.explain import explain_read, explanation_plain
from kpis.ledger_plain import ledger_plain
from kpis.ledger_reading import ledger_explained
from kpis.moved import contributions_plain, contributions_read
from kpis.versions import published_version
from kpis.views.base import MetricView
from kpis.views.schema import COMPARE, LIMIT, NARROW, RANGE


class LedgerView(MetricView):
    """What was published of a metric."""

    known: ClassVar = (*parameters.RANGE, "at")

    @extend_schema(
        parameters=[*RANGE, OpenApiParameter("at", description="As reported at this time; else as first reported.")],
        responses=serializers.LedgerSerializer,
        operation_id="kpis_ledger",
    )
    def get(self, request: Request, metric: str) -> Response:
        """Each local day as reported and as known now, with the reasons of the difference; their amounts add up."""
        ask = self.ask(request)
        at = filters.instant_parameter(request.query_params, "at", ask.calendar)
        start, end = ask.period.start, ask.period.end

        def answer() -> dict[str, Any]:
            return ledger_plain(
                ledger_explained(tenant_id=self.tenant.id, metric=metric, start=start, end=end, at=at, now=ask.now)
            )

        published = published_version(tenant_id=self.tenant.id, metric=metric)
        return self.unless_same(request, [metric], end, ask.now, answer, ttl=lifetime(ask, [metric]), also=published)


class ContributionsView(MetricView):
    """What moved a metric."""

    known: ClassVar = (*parameters.RANGE, *parameters.NARROW, *parameters.COMPARE, "by", "limit")
    default_compare: ClassVar = "previous"

    @extend_schema(
        parameters=[
            *RANGE,
            OpenApiParameter("by", description="The dimension to take the change apart by.", required=True),
            LIMIT,
            *NARROW,
            *COMPARE,
        ],
        responses=serializers.ContributionsSerializer,
        operation_id="kpis_contributions",
    )
    def get(self, request: Request, metric: str) -> Response:
        """How much each value of `by` contributed to the change; the contributions and the overlap add up to it."""
        with parameters.refusals(in_path=True):
            panels.metric_found(tenant_id=self.tenant.id, metric=metric)
        ask = self.ask(request)
        if ask.by is None:
            filters.refuse("by", "missing_dimension", "Name the dimension to take the change apart by, as country.")
        by = ask.by
        return self.unless_same(
            request,
            [metric],
            ask.period.end,
            ask.now,
            lambda: contributions_plain(contributions_read(tenant_id=self.tenant.id, metric=metric, by=by, ask=ask)),
            ttl=lifetime(ask, [metric]),
        )


class ExplainView(MetricView):
    """How a metric is computed."""

    known: ClassVar = (*parameters.RANGE, *parameters.NARROW)

    @extend_schema(
        parameters=[*RANGE, *NARROW], responses=serializers.ExplanationSerializer, operation_id="kpis_explain"
    )
    def get(self, request: Request, metric: str) -> Response:
        """Its definition in words, each part with its value, what counts and what does not, and where it comes from.

        Sample events are shown to those who may read events, without anything that tells of a person.
        """
        ask = self.ask(request)

        def answer() -> dict[str, Any]:
            with_samples = Scope.EVENTS_READ in self.credential.scopes
            return explanation_plain(
                explain_read(tenant_id=self.tenant.id, metric=metric, ask=ask, with_samples=with_samples)
            )

        published, end = published_version(tenant_id=self.tenant.id, metric=metric), ask.period.end
        return self.unless_same(request, [metric], end, ask.now, answer, ttl=lifetime(ask, [metric]), also=published)
