"""Goals and what people say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
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
from analytics.cache import DEFINITIONS, GOALS, LIVE, MAPPING, METRICS, Audience, cache
from analytics.pagination import COUNTED, window_of
from kpis.goals import listing, objective_services, objectives, selectors, serializers, services
from kpis.goals.errors import GoalError
from kpis.goals.plain import check_in_plain, goal_plain, objective_plain
from kpis.parameters import MAX_FILTERS, condition_of, refusals

SCOPES = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}
ARCHIVED = OpenApiParameter("archived", bool, description="true: those put away too.")


class RememberingView(TenantView):
    """A view whose answers are remembered until numbers, goals, objectives or check-ins change."""

    scopes: ClassVar = SCOPES

    def remembered(self, request: Request, compute: Callable[[datetime], Any]) -> Any:
        """What `compute` makes of this moment, at most half a minute old: pace and chance go by the clock."""
        now = timezone.now()
        with goal_errors():
            return cache().answer(
                audience=Audience.of(self.credential),
                name=f"api.{type(self).__name__}",
                question={"path": request.path, "parameters": request.query_params.dict()},
                compute=lambda: compute(now),
                ttl=LIVE,
                now=now,
                tags=(METRICS, DEFINITIONS, MAPPING, GOALS),
                stamp=selectors.goals_version(tenant_id=self.tenant.id),
            )


class GoalsView(RememberingView):
    """All of them."""

    PARAMETERS: ClassVar = [
        OpenApiParameter("metric", description="Goals of this metric only."),
        OpenApiParameter("objective", description="Goals of the objective of this name."),
        OpenApiParameter("owner", description="Goals of this owner."),
        ARCHIVED,
        *COUNTED,
    ]

    @extend_schema(parameters=PARAMETERS, responses=serializers.GoalsSerializer, operation_id="goals_list")
    def get(self, request: Request) -> Response:
        """How they stand now, without their points, and the objectives that those of the page add up to."""
        asked = request.query_params
        filters.only_known(asked, [parameter.name for parameter in self.PARAMETERS])
        window, tenant_id = window_of(request), self.tenant.id
        metric, objective, owner = (filters.text_parameter(asked, name) for name in ("metric", "objective", "owner"))
        wanted = selectors.GoalFilter(metric, objective, owner, bool(filters.flag_parameter(asked, "archived")))
        if metric:  # one that is gone may have goals yet, so those are looked at too
            with refusals(named="metric"):
                selectors.metric_of_goals(tenant_id=tenant_id, metric=metric)

        def answer(now: datetime) -> dict[str, Any]:
            found = listing.goals_page(
                tenant_id=tenant_id, wanted=wanted, limit=window.limit, offset=window.offset, now=now
            )
            return {
                "count": found.count,
                "results": [goal_plain(view) for view in found.goals],
                "objectives": [objective_plain(objective) for objective in found.objectives],
            }

        found = self.remembered(request, answer)
        return Response({**window.body(found["count"], found["results"]), "objectives": found["objectives"]})

    @extend_schema(
        request=serializers.GoalDraftSerializer,
        responses={201: serializers.GoalSerializer},
        operation_id="goals_create",
    )
    def post(self, request: Request) -> Response:
        """Promise something of a metric."""
        wanted = filters.body(serializers.GoalDraftSerializer, request.data)
        now = timezone.now()
        with goal_errors():
            draft = services.GoalDraft(**_conditions(wanted))
            row = services.goal_create(tenant_id=self.tenant.id, draft=draft, actor=self.credential.actor, now=now)
            view = selectors.goal_read(tenant_id=self.tenant.id, goal_id=row.pk, now=now)
        return Response(goal_plain(view), status=status.HTTP_201_CREATED)


class GoalView(RememberingView):
    """One of them."""

    @extend_schema(responses=serializers.GoalSerializer, operation_id="goals_read")
    def get(self, request: Request, goal_id: UUID) -> Response:
        """With a point for each local day of its period: what was reached, what was expected, and the fan ahead."""
        tenant_id = self.tenant.id
        found = self.remembered(
            request, lambda now: goal_plain(selectors.goal_read(tenant_id=tenant_id, goal_id=goal_id, now=now))
        )
        return Response(found)

    @extend_schema(
        request=serializers.GoalChangeSerializer, responses=serializers.GoalSerializer, operation_id="goals_change"
    )
    def patch(self, request: Request, goal_id: UUID) -> Response:
        """Change some of it. Of a goal whose period is closed only words change."""
        with goal_errors():
            selectors.goal_row(tenant_id=self.tenant.id, goal_id=goal_id)
            wanted = _conditions(filters.body(serializers.GoalChangeSerializer, request.data))
            services.goal_change(tenant_id=self.tenant.id, goal_id=goal_id, changes=wanted, now=timezone.now())
            return Response(goal_plain(self._read(goal_id)))

    @extend_schema(responses={204: None}, operation_id="goals_archive")
    def delete(self, request: Request, goal_id: UUID) -> Response:
        """Put it away; what was written down at its end stays in the ledger."""
        with goal_errors():
            services.goal_archive(tenant_id=self.tenant.id, goal_id=goal_id, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _read(self, goal_id: UUID) -> Any:
        return selectors.goal_read(tenant_id=self.tenant.id, goal_id=goal_id, now=timezone.now())


class CheckInsView(TenantView):
    """What people say of a goal."""

    scopes: ClassVar = SCOPES

    @extend_schema(parameters=COUNTED, responses=serializers.CheckInsSerializer, operation_id="check_ins_list")
    def get(self, request: Request, goal_id: UUID) -> Response:
        """Newest first, each beside the probability of its moment."""
        with goal_errors():
            view = selectors.goal_read(tenant_id=self.tenant.id, goal_id=goal_id, now=timezone.now())
        filters.only_known(request.query_params, [parameter.name for parameter in COUNTED])
        window = window_of(request)
        shown = [check_in_plain(said, view) for said in window.of(view.check_ins)]
        return Response(window.body(len(view.check_ins), shown))

    @extend_schema(
        request=serializers.CheckInSerializer,
        responses={201: serializers.CheckInSerializer},
        operation_id="check_ins_add",
    )
    def post(self, request: Request, goal_id: UUID) -> Response:
        """Say how sure you are that the goal will be reached, from 0 to 1, and why."""
        now = timezone.now()
        with goal_errors():
            selectors.goal_row(tenant_id=self.tenant.id, goal_id=goal_id)
            wanted = filters.body(serializers.CheckInSerializer, request.data)
            author = wanted["author"] or self.credential.actor
            row = services.check_in_add(
                tenant_id=self.tenant.id,
                goal_id=goal_id,
                author=author,
                confidence=wanted["confidence"],
                note=wanted["note"],
                now=now,
            )
            view = selectors.goal_read(tenant_id=self.tenant.id, goal_id=goal_id, now=now)
        return Response(check_in_plain(selectors.check_in_view(row), view), status=status.HTTP_201_CREATED)


class ObjectivesView(RememberingView):
    """What goals add up to."""

    @extend_schema(
        parameters=[ARCHIVED, *COUNTED],
        responses=serializers.ObjectivesSerializer,
        operation_id="objectives_list",
    )
    def get(self, request: Request) -> Response:
        """Each with the progress, chance and confidence of its goals by weight, standing as the worst of them."""
        filters.only_known(request.query_params, [parameter.name for parameter in (ARCHIVED, *COUNTED)])
        window, tenant_id = window_of(request), self.tenant.id
        with_archived = bool(filters.flag_parameter(request.query_params, "archived"))

        def answer(now: datetime) -> dict[str, Any]:
            found = listing.objectives_page(
                tenant_id=tenant_id,
                limit=window.limit,
                offset=window.offset,
                now=now,
                include_archived=with_archived,
            )
            return {"count": found.count, "results": [objective_plain(objective) for objective in found.objectives]}

        return Response(window.body(**self.remembered(request, answer)))

    @extend_schema(
        request=serializers.ObjectiveDraftSerializer,
        responses={201: serializers.ObjectiveReadSerializer},
        operation_id="objectives_create",
    )
    def post(self, request: Request) -> Response:
        """Make one; goals join it by naming it in `objective`."""
        wanted = filters.body(serializers.ObjectiveDraftSerializer, request.data)
        now = timezone.now()
        with goal_errors():
            draft = objective_services.ObjectiveDraft(**wanted)
            row = objective_services.objective_create(
                tenant_id=self.tenant.id, draft=draft, actor=self.credential.actor, now=now
            )
            return Response(_objective(self.tenant.id, row.pk, now), status=status.HTTP_201_CREATED)


class ObjectiveView(RememberingView):
    """One of them."""

    @extend_schema(responses=serializers.ObjectiveReadSerializer, operation_id="objectives_read")
    def get(self, request: Request, objective_id: UUID) -> Response:
        """With its goals as they stand."""
        return Response(self.remembered(request, lambda now: _objective(self.tenant.id, objective_id, now)))

    @extend_schema(
        request=serializers.ObjectiveChangeSerializer,
        responses=serializers.ObjectiveReadSerializer,
        operation_id="objectives_change",
    )
    def patch(self, request: Request, objective_id: UUID) -> Response:
        """Change some of it. Of one whose period is closed only words change."""
        with goal_errors():
            objectives.objective_row(tenant_id=self.tenant.id, objective_id=objective_id)
            wanted, now = filters.body(serializers.ObjectiveChangeSerializer, request.data), timezone.now()
            objective_services.objective_change(
                tenant_id=self.tenant.id, objective_id=objective_id, changes=wanted, now=now
            )
            return Response(_objective(self.tenant.id, objective_id, now))

    @extend_schema(responses={204: None}, operation_id="objectives_archive")
    def delete(self, request: Request, objective_id: UUID) -> Response:
        """Put it away; its goals stay and stand alone."""
        with goal_errors():
            objective_services.objective_archive(
                tenant_id=self.tenant.id, objective_id=objective_id, now=timezone.now()
            )
        return Response(status=status.HTTP_204_NO_CONTENT)


def _objective(tenant_id: int, objective_id: UUID, now: datetime) -> dict[str, Any]:
    view, goals = objectives.objective_read(tenant_id=tenant_id, objective_id=objective_id, now=now)
    return {**objective_plain(view), "key_results": [goal_plain(goal) for goal in goals]}


@contextmanager
def goal_errors() -> Iterator[None]:
    """Errors of goals as answers: the field at fault, or 404."""
    try:
        with refusals():
            yield
    except GoalError as error:
        filters.refuse(error.field, "invalid_goal", str(error))
    except (selectors.UnknownGoal, objectives.UnknownObjective):
        raise NotFound from None


def _conditions(wanted: dict[str, Any]) -> dict[str, Any]:
    if "filters" in wanted:
        if len(wanted["filters"]) > MAX_FILTERS:
            filters.refuse("filters", "invalid_filters", f"A goal has at most {MAX_FILTERS} conditions.")
        wanted["filters"] = tuple(condition_of(dict(item)) for item in wanted["filters"])
    return wanted
