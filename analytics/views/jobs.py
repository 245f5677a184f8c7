"""Jobs, the schedule and exchange rates."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters, jobs, schedules
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.models import ExchangeRate, Job
from analytics.pagination import COUNTED, paged
from analytics.rates import Rate, rates_import
from analytics.serializers import work as serializers
from analytics.starters import NothingToDo, Order, starters
from analytics.views.parameters import SPAN


class JobsView(TenantView):
    """Work that waits, runs or is done."""

    scopes: ClassVar = {"read": Scope.JOBS_READ, "write": Scope.JOBS_WRITE}
    PARAMETERS: ClassVar = [
        OpenApiParameter("state", enum=Job.State.values, description="Jobs in this state."),
        OpenApiParameter("kind", description="Jobs of this kind."),
        *COUNTED,
    ]

    @extend_schema(parameters=PARAMETERS, responses=serializers.JobPageSerializer, operation_id="jobs_list")
    def get(self, request: Request) -> Response:
        """Newest first."""
        parameters = request.query_params
        filters.only_known(parameters, [parameter.name for parameter in self.PARAMETERS])
        found = Job.objects.filter(tenant_id=self.tenant.id).order_by("-created_at", "-id")
        if state := filters.choice_parameter(parameters, "state", Job.State.values):
            found = found.filter(state=state)
        if kind := filters.text_parameter(parameters, "kind"):
            found = found.filter(kind=kind)
        return paged(request, found, serializers.JobSerializer)

    @extend_schema(
        request=serializers.JobRequestSerializer,
        responses={200: serializers.JobPlanSerializer, 202: serializers.JobSerializer},
        operation_id="jobs_start",
    )
    def post(self, request: Request) -> Response:
        """Start a roll-up or a backfill; `Location` tells how far it is. As a dry run: 200 and what would be done."""
        wanted = filters.body(serializers.JobRequestSerializer, request.data)
        starter, order = starters[wanted["kind"]], self._order(wanted)
        try:
            if wanted["dry_run"]:
                return Response({"kind": starter.id, "dry_run": True, "plan": starter.plan(order)})
            job = starter.start(order)
        except NothingToDo as error:
            filters.refuse(error.field, "nothing_to_do", str(error))
        address = request.build_absolute_uri(reverse("job", args=[job.pk]))
        body = serializers.JobSerializer(job).data
        return Response(body, status=status.HTTP_202_ACCEPTED, headers={"Location": address})

    def _order(self, wanted: dict[str, Any]) -> Order:
        now = timezone.now()
        calendar = filters.calendar_of(self.tenant)
        span = filters.span_parameters(wanted, calendar)
        first, end = (calendar.local_date(edge) if edge else None for edge in (span.start, span.end))
        metrics = tuple(wanted.get("metrics", ()))
        return Order(self.tenant, first, end, actor=self.credential.actor, now=now, metrics=metrics)


class JobView(TenantView):
    """One job."""

    scopes: ClassVar = {"read": Scope.JOBS_READ}

    @extend_schema(responses=serializers.JobSerializer, operation_id="jobs_read")
    def get(self, request: Request, job_id: UUID) -> Response:
        """Its state, progress and result."""
        return Response(serializers.JobSerializer(job_of(self.tenant.id, job_id)).data)


class JobCancelView(TenantView):
    """Stopping a job."""

    scopes: ClassVar = {"write": Scope.JOBS_WRITE}

    @extend_schema(request=None, responses=serializers.JobSerializer, operation_id="jobs_cancel")
    def post(self, request: Request, job_id: UUID) -> Response:
        """Cancel it; a running one stops at its next sign of progress. One that had ended stays as it is."""
        jobs.cancel(job_of(self.tenant.id, job_id), now=timezone.now())
        return Response(serializers.JobSerializer(job_of(self.tenant.id, job_id)).data)


class SchedulerView(TenantView):
    """The schedule of the installation."""

    scopes: ClassVar = {"read": Scope.JOBS_READ}

    @extend_schema(responses=serializers.SchedulerSerializer, operation_id="scheduler_read")
    def get(self, request: Request) -> Response:
        """Whether it is switched on, whether its process lives, and what it rings for."""
        return Response(schedules.scheduler_status(now=timezone.now()))


class SchedulerSwitchView(TenantView):
    """Switching the schedule."""

    scopes: ClassVar = {"write": Scope.SCHEDULER_WRITE}

    @extend_schema(
        request=None,
        responses=serializers.SchedulerSerializer,
        parameters=[
            OpenApiParameter("action", location="path", enum=list(schedules.ACTIONS), description="What to do.")
        ],
        operation_id="scheduler_switch",
    )
    def post(self, request: Request, action: str) -> Response:
        """start, stop or restart. The schedule serves all tenants, so only its operator may, or its only tenant."""
        if action not in schedules.ACTIONS:
            raise NotFound
        if not schedules.may_switch(self.credential):
            raise PermissionDenied("The schedule serves several tenants: only its operator may.", "not_operator")
        schedules.scheduler_switch(action)
        return Response(schedules.scheduler_status(now=timezone.now()))


class RatesView(TenantView):
    """Exchange rates by day."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}
    PARAMETERS: ClassVar = [
        *SPAN,
        OpenApiParameter("currency", description="Rates of this currency (ISO 4217)."),
        *COUNTED,
    ]

    @extend_schema(parameters=PARAMETERS, responses=serializers.RatePageSerializer, operation_id="rates_list")
    def get(self, request: Request) -> Response:
        """Newest day first."""
        parameters = request.query_params
        filters.only_known(parameters, [parameter.name for parameter in self.PARAMETERS])
        found = ExchangeRate.objects.filter(tenant_id=self.tenant.id).order_by("-day", "currency")
        if currency := filters.text_parameter(parameters, "currency"):
            found = found.filter(currency=currency.upper())
        calendar = filters.calendar_of(self.tenant)
        span = filters.span_parameters(parameters, calendar)
        if span.start:
            found = found.filter(day__gte=calendar.local_date(span.start))
        if span.end:
            found = found.filter(day__lt=calendar.local_date(span.end))
        return paged(request, found, serializers.ExchangeRateSerializer)

    @extend_schema(
        request=serializers.RatesSerializer,
        responses=serializers.RatesImportedSerializer,
        operation_id="rates_import",
    )
    def post(self, request: Request) -> Response:
        """Store rates; events of their days get their worth in the base currency, and are counted again."""
        wanted = filters.body(serializers.RatesSerializer, request.data)
        found = [Rate(**rate) for rate in wanted["rates"]]
        done = rates_import(tenant=self.tenant, rates=found, now=timezone.now())
        return Response({"rates": done.rates, "events": done.events})


def job_of(tenant_id: int, job_id: UUID) -> Job:
    """The job, if it is the tenant's."""
    job = Job.objects.filter(tenant_id=tenant_id, pk=job_id).first()
    if job is None:
        raise NotFound
    return job
