"""How the product is used, and what that goes along with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.roles import Scope
from kpis import parameters
from kpis.explore.fields import SpanField
from kpis.explore.views import ANSWER_SECONDS, stored
from kpis.serializers import DailyVisitorsSerializer, NumberField, Ranged
from kpis.usage.answer import DEFAULT_WINDOW, LONGEST_WINDOW, UsageAsk, usage_read
from kpis.views.base import MetricView
from kpis.views.schema import DAYS, INCLUDE, LIMIT, RANGE

KNOWN: Final = (*parameters.RANGE, "days", "limit", "include", "window", "shared")


class CorrelationSerializer(serializers.Serializer[Any]):
    """An association from -1 to 1 with its 95 % interval; null with a note that says why."""

    value = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    note = serializers.CharField()


class FeatureUseSerializer(serializers.Serializer[Any]):
    """One feature; `__other__` is all that the limit left out, together."""

    feature = serializers.CharField()
    users = serializers.IntegerField()
    uses = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True, help_text="of everybody active")
    uses_per_user = serializers.FloatField()
    settled = serializers.IntegerField(help_text="users whose seven days after the first use are over")
    again = serializers.IntegerField(help_text="those of them who used it on a later one of these days")
    again_share = serializers.FloatField(allow_null=True)
    again_within_days = serializers.IntegerField()
    days_between = serializers.FloatField(allow_null=True, help_text="median days from the first use to the next")
    revenue_per_user = NumberField()
    revenue_per_other = NumberField(help_text="of those active who did not use it")
    payer_share = serializers.FloatField(allow_null=True)
    payer_share_of_others = serializers.FloatField(allow_null=True)
    with_revenue = CorrelationSerializer(help_text="point-biserial, with the net revenue of a person")
    with_paying = CorrelationSerializer(help_text="phi, with having bought at all")


class PlatformUseSerializer(serializers.Serializer[Any]):
    platform = serializers.CharField()
    users = serializers.IntegerField()
    engagement = NumberField()
    revenue = NumberField()


class SharedUsersSerializer(serializers.Serializer[Any]):
    """People active on both platforms."""

    first = serializers.CharField()
    second = serializers.CharField()
    both = serializers.IntegerField(allow_null=True)
    share_of_first = serializers.FloatField(allow_null=True)
    share_of_second = serializers.FloatField(allow_null=True)
    share_of_either = serializers.FloatField(allow_null=True)


class TogetherSerializer(serializers.Serializer[Any]):
    """Two daily series: on the same day, and at the lag (days by which the first comes before) of most agreement."""

    first = serializers.CharField()
    second = serializers.CharField()
    first_measure = serializers.CharField()
    second_measure = serializers.CharField()
    pearson = CorrelationSerializer()
    spearman = CorrelationSerializer()
    lag = serializers.IntegerField()
    lagged = CorrelationSerializer(help_text="Pearson's at that lag, its interval widened for having looked at all")
    looked_at = serializers.IntegerField()
    reading = serializers.CharField()


class PlatformsUseSerializer(serializers.Serializer[Any]):
    platforms = PlatformUseSerializer(many=True)
    is_cut = serializers.BooleanField(help_text="there are more platforms than are shown")
    shared_users = SharedUsersSerializer(many=True)
    together = TogetherSerializer(many=True)
    level = serializers.FloatField()


class AutomationUseSerializer(serializers.Serializer[Any]):
    automation = serializers.CharField()
    hours_saved = NumberField()
    efficiency = NumberField()
    completed = NumberField()
    failed = NumberField()
    runs = NumberField()


class AutomationsUseSerializer(serializers.Serializer[Any]):
    hours_saved = NumberField()
    efficiency = NumberField()
    completed = NumberField()
    failed = NumberField()
    runs = NumberField()
    by_automation = AutomationUseSerializer(many=True)


class CreditedSerializer(serializers.Serializer[Any]):
    conversions = serializers.FloatField()
    revenue = NumberField()


class PostImpactSerializer(serializers.Serializer[Any]):
    """One post or campaign; `__other__` is all that the limit left out, together."""

    kind = serializers.CharField()
    id = serializers.CharField()
    platform = serializers.CharField()
    published_at = serializers.DateTimeField(allow_null=True)
    posts = serializers.IntegerField()
    reach = serializers.IntegerField(allow_null=True, help_text="people with any event on it")
    engagements = serializers.IntegerField(help_text="reactions, those of unknown people too")
    engaged = serializers.IntegerField(allow_null=True, help_text="people who reacted")
    converted = serializers.IntegerField(allow_null=True, help_text="of them, who bought within the window after")
    last = CreditedSerializer(allow_null=True, help_text="the last reaction before a sale takes all")
    linear = CreditedSerializer(allow_null=True, help_text="all reactions before a sale alike")
    cost = NumberField()
    return_on_cost = serializers.FloatField(allow_null=True)
    against = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="multiples of the platform's mean post"
    )
    is_open = serializers.BooleanField(help_text="the window of its last reaction is not over")
    withheld = serializers.ListField(child=serializers.CharField(), help_text="left out: fewer than five people")


class PostsImpactSerializer(serializers.Serializer[Any]):
    window_seconds = serializers.IntegerField()
    conversions = serializers.IntegerField()
    revenue = NumberField()
    untouched = CreditedSerializer()
    results = PostImpactSerializer(many=True)


class UsageSerializer(Ranged):
    """Features, platforms, automations and posts; association, never cause."""

    timezone = serializers.CharField()
    currency = serializers.CharField()
    method = serializers.CharField()
    smallest_group = serializers.IntegerField(allow_null=True)
    active_users = serializers.IntegerField()
    daily_visitors = DailyVisitorsSerializer(
        required=False, help_text="of the active users; there when there are any, over more than one UTC day"
    )
    payers = serializers.IntegerField(allow_null=True)
    features = FeatureUseSerializer(many=True)
    platforms = PlatformsUseSerializer()
    automation = AutomationsUseSerializer()
    posts = PostsImpactSerializer()
    filters = serializers.ListField(child=serializers.JSONField())
    include = serializers.ListField(child=serializers.CharField())
    definition_version = serializers.CharField()
    data_through = serializers.DateTimeField()
    is_complete = serializers.BooleanField()
    computed_at = serializers.DateTimeField()
    executor = serializers.CharField()


class UsageView(MetricView):
    """Use of the product."""

    known: ClassVar = KNOWN
    is_atomic: ClassVar = False  # engines take their time; no transaction stays open meanwhile

    @extend_schema(
        parameters=[
            *RANGE,
            DAYS,
            LIMIT,
            INCLUDE,
            OpenApiParameter("window", description="How long after a reaction a sale counts for a post: 7d."),
            OpenApiParameter("shared", bool, description="Leave out groups of fewer than five people."),
        ],
        responses=UsageSerializer,
        operation_id="usage",
    )
    def get(self, request: Request) -> Response:
        """Adoption of features and what it goes along with, platforms together, automations, the impact of posts.

        Callers who may not read events (`events:read`) never get figures of fewer than five people.
        """
        question = UsageAsk(self.ask(request), window_of(request.query_params), is_shared=self._is_shared(request))
        with parameters.refusals():
            return Response(
                stored(
                    lambda: usage_read(
                        tenant=self.tenant, question=question, audience=self.audience, timeout=ANSWER_SECONDS
                    )
                )
            )

    def _is_shared(self, request: Request) -> bool:
        asked = filters.flag_parameter(request.query_params, "shared")
        return bool(asked) or Scope.EVENTS_READ not in self.credential.scopes


def window_of(texts: filters.Parameters) -> timedelta:
    """`window`: 7d when left out, at most 90 days."""
    text = filters.text_parameter(texts, "window")
    if not text:
        return DEFAULT_WINDOW
    try:
        found: timedelta = SpanField().to_internal_value(text)
    except ValidationError:
        found = timedelta(0)
    if not timedelta(0) < found <= LONGEST_WINDOW:
        filters.refuse("window", "invalid_span", "`window` is a length of time such as 12h or 7d, at most 90d.")
    return found
