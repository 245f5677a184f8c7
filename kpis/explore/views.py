"""Questions over HTTP. POST takes the question as its body, GET as JSON in `q`, so that a page's address holds it."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters, jobs
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from analytics.cache import Audience
from analytics.lake.errors import EngineFailed, EngineUnavailable, LakeError, StoreTimeout
from analytics.models import Event, Subject
from analytics.pagination import COUNTED, keyset_page, paged
from analytics.serializers.events import EventPageSerializer, EventSerializer
from analytics.serializers.work import JobSerializer
from analytics.views.jobs import job_of
from analytics.views.parameters import CURSOR
from kpis.explore import bodies
from kpis.explore.channels import Cost, costs_import, costs_read, has_own_rules, rules_of, rules_replace
from kpis.explore.grammar import Asking, question_of
from kpis.explore.kinds import kinds
from kpis.explore.models import MarketingCost
from kpis.explore.selectors import MAX_PAGE, PAGE, asked_of, explore, explore_people, page_of
from kpis.explore.serializers import (
    ChannelRulesSerializer,
    CostPageSerializer,
    CostSerializer,
    CostsImportedSerializer,
    CostsSerializer,
    PeoplePageSerializer,
)
from kpis.explore.services import TooManyAnswers, answer_enqueue, people_read_record
from kpis.parameters import refusals

ANSWER_SECONDS: Final = 20.0
"""A question that takes longer is told to come as a job."""
Q: Final = OpenApiParameter("q", description="The question as JSON, as the body of POST has it.")
MODE: Final = OpenApiParameter("mode", enum=["job"], description="Answer 202 at once and work on it as a job.")
TOO_LONG: Final = (
    "This question takes longer than {seconds:.0f} s: send it with `?mode=job`, or ask for a shorter range."
)


class TooExpensive(APIException):
    """The engine needs more time than a request has."""

    status_code = 422
    default_code = "too_expensive"


class TooManyJobs(APIException):
    """Workers are everybody's: nobody fills their queue alone."""

    status_code = 429
    default_code = "too_many_jobs"


class StoreAway(APIException):
    """The lake or the cluster cannot be read just now."""

    status_code = 503
    default_code = "unavailable"
    wait = 10


class ExploreView(TenantView):
    """A question of one kind."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.KPIS_READ}
    is_atomic: ClassVar = False  # engines take their time; no transaction stays open meanwhile
    kind: ClassVar = ""

    def get(self, request: Request) -> Response:
        """The answer to the question in `q`."""
        filters.only_known(request.query_params, ("q", "mode"))
        return self.answered(request, question_of(request.query_params.get("q", "")))

    def post(self, request: Request) -> Response:
        """The answer to the question in the body."""
        filters.only_known(request.query_params, ("mode",))
        if not isinstance(request.data, dict):
            filters.refuse("question", "invalid_json", "Send the question as a JSON object.")
        return self.answered(request, dict(request.data))

    def answered(self, request: Request, wanted: dict[str, Any]) -> Response:
        asking = Asking(self.tenant, timezone.now())
        if filters.choice_parameter(request.query_params, "mode", ["job"]):
            return self.as_job(wanted, asking)
        audience = Audience.of(self.credential)
        return Response(
            stored(
                lambda: explore(kind=self.kind, wanted=wanted, asking=asking, audience=audience, timeout=ANSWER_SECONDS)
            )
        )

    def as_job(self, wanted: dict[str, Any], asking: Asking) -> Response:
        """Refuse what cannot be answered at once, and queue the rest."""
        asked_of(kind=self.kind, wanted=wanted, asking=asking)
        try:
            job = answer_enqueue(tenant_id=self.tenant.id, kind=self.kind, question=wanted, actor=self.credential.actor)
        except TooManyAnswers as error:
            raise TooManyJobs(str(error)) from None
        with jobs.job_context(self.tenant.id):
            shown = JobSerializer(job_of(self.tenant.id, job.pk)).data
        location = f"/api/v1/jobs/{job.pk}/"
        return Response(shown, status=status.HTTP_202_ACCEPTED, headers={"Location": location})


def stored(answer: Any) -> Any:
    """The answer, with what may befall a store as problems a caller understands."""
    try:
        return answer()
    except StoreTimeout:
        raise TooExpensive(TOO_LONG.format(seconds=ANSWER_SECONDS)) from None
    except EngineFailed as error:
        raise TooExpensive(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    except EngineUnavailable as error:
        raise StoreAway(str(error)) from None
    except LakeError as error:
        if error.can_retry:
            raise StoreAway("The store of events cannot be read just now; nothing was lost. Try again.") from error
        raise


def explore_view(kind: str, body: Any) -> type[ExploreView]:
    """The view of a kind."""
    described: dict[str, Any] = {"responses": {200: bodies.ExploreAnswer, 202: JobSerializer}}
    made = type(f"{kind.title()}View", (ExploreView,), {"kind": kind, "__doc__": f"Questions of {kind}."})
    return extend_schema_view(
        get=extend_schema(parameters=[Q, MODE], operation_id=f"explore_{kind}_read", **described),
        post=extend_schema(request=body, parameters=[MODE], operation_id=f"explore_{kind}", **described),
    )(made)


class PeopleView(TenantView):
    """Who is behind a bar or a cell."""

    scopes: ClassVar = {"write": Scope.EVENTS_READ}
    is_atomic: ClassVar = False

    @extend_schema(
        request=bodies.WhoBody,
        parameters=[
            OpenApiParameter("after", int, description="From `next` of the page before."),
            OpenApiParameter("limit", int, description="People of a page: 1 to 1000, 100 when left out."),
        ],
        responses=PeoplePageSerializer,
        operation_id="explore_people",
    )
    def post(self, request: Request) -> Response:
        """The people behind a place in an answer, by number. That they were shown is written down with who asked."""
        filters.only_known(request.query_params, ("after", "limit"))
        wanted = filters.body(bodies.WhoBody, request.data)
        after = filters.number_parameter(request.query_params, "after", default=-1, least=0, most=2**31)
        limit = filters.number_parameter(request.query_params, "limit", default=PAGE, most=MAX_PAGE)
        now = timezone.now()
        question = {name: wanted[name] for name in ("kind", "question", "place")}
        known = [kind.id for kind in kinds if kind.people is not None]
        if wanted["kind"] not in known:
            filters.refuse("kind", "invalid_choice", f"`kind` is one of {', '.join(known)}.")
        with refusals():
            found = stored(
                lambda: explore_people(
                    kind=wanted["kind"],
                    wanted=wanted["question"],
                    place=wanted["place"],
                    asking=Asking(self.tenant, now),
                )
            )
        people = page_of(found, after=after, limit=limit)
        people_read_record(
            tenant_id=self.tenant.id,
            actor=self.credential.actor,
            what=f"explore.{wanted['kind']}",
            question=question,
            people=len(people),
            at=now,
        )
        has_more = bool(people) and found.rank(people[-1]) < len(found)
        return Response({"count": len(found), "next": people[-1] if has_more else None, "people": people})


class TimelineView(TenantView):
    """Everything one person did."""

    scopes: ClassVar = {"read": Scope.EVENTS_READ}

    @extend_schema(parameters=[*CURSOR], responses=EventPageSerializer, operation_id="users_timeline")
    def get(self, request: Request, subject: int) -> Response:
        """Newest first, under all ids of the person, by cursor. That it was shown is written down with who asked."""
        filters.only_known(request.query_params, [parameter.name for parameter in CURSOR])
        tenant_id = self.tenant.id
        known = Subject.objects.filter(tenant_id=tenant_id, pk=subject, erased_at=None)
        person = known.values_list("person_id", flat=True).first()
        if person is None:
            raise NotFound
        ids = list(Subject.objects.filter(tenant_id=tenant_id, person_id=person).values_list("pk", flat=True))
        found = Event.objects.filter(tenant_id=tenant_id, subject_id__in=ids)
        page = keyset_page(found, request, time_column="ts")
        people_read_record(
            tenant_id=tenant_id,
            actor=self.credential.actor,
            what="timeline",
            question={"person": person},
            people=1,
            at=timezone.now(),
        )
        context = {"base_currency": self.tenant.base_currency}
        return Response(page.body(EventSerializer(page.rows, many=True, context=context).data))


class ChannelsView(TenantView):
    """The table that makes channels of touches."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}

    @extend_schema(responses=ChannelRulesSerializer, operation_id="channels_read")
    def get(self, request: Request) -> Response:
        """Its rules in their order; the built-in ones until the tenant makes its own."""
        return Response(self._shown())

    @extend_schema(request=ChannelRulesSerializer, responses=ChannelRulesSerializer, operation_id="channels_replace")
    def put(self, request: Request) -> Response:
        """Replace the whole table; an empty one brings the built-in rules back."""
        wanted = filters.body(ChannelRulesSerializer, request.data)
        with refusals():
            rules_replace(tenant_id=self.tenant.id, rules=wanted["rules"])
        return Response(self._shown())

    def _shown(self) -> Any:
        tenant_id = self.tenant.id
        return ChannelRulesSerializer(
            {"rules": rules_of(tenant_id=tenant_id), "is_own": has_own_rules(tenant_id=tenant_id)}
        ).data


class CostsView(TenantView):
    """What marketing cost."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}

    @extend_schema(
        parameters=COUNTED,
        responses=CostPageSerializer,
        operation_id="costs_list",
    )
    def get(self, request: Request) -> Response:
        """Newest day first."""
        found = MarketingCost.objects.filter(tenant_id=self.tenant.id).order_by("-day", "channel", "campaign")
        return paged(request, found, CostSerializer)

    @extend_schema(request=CostsSerializer, responses=CostsImportedSerializer, operation_id="costs_import")
    def post(self, request: Request) -> Response:
        """Store rows, or the rows of a CSV; the same day, channel, campaign and currency again replaces the amount."""
        wanted = filters.body(CostsSerializer, request.data)
        with refusals():
            costs = [Cost(**row) for row in wanted["costs"]]
            costs += list(costs_read(wanted["csv"], self.tenant.base_currency)) if wanted["csv"] else []
            done = costs_import(tenant=self.tenant, costs=costs, now=timezone.now())
        return Response({"stored": done.stored, "without_rate": done.without_rate})
