"""The JSON of what is counted, for the schema and for bodies that are sent. `contracts.plain` writes the answers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from analytics.serializers.paging import Counted
from kpis.base import Kind, Unit
from kpis.models import MetricDefinition
from kpis.parameters import GRANULARITIES


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]})
class NumberField(serializers.Field[Any, Any, Any, Any]):
    """Money is a decimal string, counts are integers, the rest numbers; null is "not known" and never zero."""


class DailyVisitorsSerializer(serializers.Serializer[Any]):
    """Visitors without a cookie: known for one day only, so they are counted anew each day."""

    count = serializers.IntegerField(help_text="how many of those counted")
    salt_period = serializers.CharField(help_text="how long their ids hold: `1 day (UTC)`")
    is_everybody = serializers.BooleanField(help_text="the number counts nobody else: it is of daily visitors")
    are_left_out = serializers.BooleanField(
        help_text="the number asks who comes again, which they cannot be seen to do: it is of all others"
    )


class PointSerializer(serializers.Serializer[Any]):
    """A bucket, named by its start."""

    start = serializers.DateTimeField()
    value = NumberField()
    is_complete = serializers.BooleanField()
    daily_visitors = DailyVisitorsSerializer(
        required=False, help_text="there when the point counts them over more than a day: a week or month, WAU, MAU"
    )


class ChangeSerializer(serializers.Serializer[Any]):
    """From the earlier range to this one; `percent` is null where it has no meaning and `basis` says why."""

    absolute = NumberField()
    percent = serializers.FloatField(allow_null=True)
    percentage_points = serializers.FloatField(allow_null=True)
    direction = serializers.CharField(help_text="up, down, flat, or empty when unknown")
    basis = serializers.CharField(help_text="from_zero, no_baseline, no_value, or empty")
    is_good = serializers.BooleanField(allow_null=True)


class Ranged(serializers.Serializer[Any]):
    """A half-open range."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `from` is a word of Python, so it cannot be declared as an attribute.
        return {"from": serializers.DateTimeField(), "to": serializers.DateTimeField(), **super().get_fields()}


class ComparisonSerializer(Ranged):
    """The same metric over the range it is compared with."""

    total = NumberField()
    change = ChangeSerializer()
    points = PointSerializer(many=True)
    daily_visitors = DailyVisitorsSerializer(required=False, help_text="there when its total counts them so")


class BreakdownSerializer(serializers.Serializer[Any]):
    """One value of the dimension; `__none__` has none, `__other__` is what the limit left out."""

    key = serializers.CharField()
    total = NumberField()
    points = PointSerializer(many=True)
    comparison = ComparisonSerializer(allow_null=True)
    daily_visitors = DailyVisitorsSerializer(required=False, help_text="there when its total counts them so")


class ConditionSerializer(serializers.Serializer[Any]):
    """A test on one column."""

    field = serializers.CharField()
    op = serializers.ChoiceField(choices=["eq", "ne", "in", "gt", "lt", "is_null"])
    value = serializers.JSONField()


class StampSerializer(Ranged):
    """What an answer carries so that it can be trusted (S41): as complete as the least complete number in it."""

    timezone = serializers.CharField()
    filters = ConditionSerializer(many=True)
    include = serializers.ListField(child=serializers.CharField())
    definition_version = serializers.CharField(help_text="changes with the rule, not with the question")
    data_through = serializers.DateTimeField(help_text="everything received before it is in the answer")
    is_complete = serializers.BooleanField(help_text="the range is over and nothing in it can still come")
    computed_at = serializers.DateTimeField()
    executor = serializers.CharField(help_text="what answered: rollup, events, or an engine such as duckdb")
    daily_visitors = DailyVisitorsSerializer(
        required=False,
        help_text="there when a number counts them over more than one UTC day; of several numbers, the most of any",
    )


class CountedStampSerializer(StampSerializer):
    """Of an answer that was made of series."""

    is_partial = serializers.BooleanField(help_text="money without an exchange rate is missing")
    executor = serializers.ChoiceField(choices=["rollup", "events"])  # type: ignore[assignment]  # a narrower one


class SeriesSerializer(CountedStampSerializer):
    """A metric over a range, with everything needed to trust it."""

    metric = serializers.CharField()
    unit = serializers.ChoiceField(choices=[unit.value for unit in Unit])
    currency = serializers.CharField(allow_null=True)
    granularity = serializers.ChoiceField(choices=GRANULARITIES)
    total = NumberField()
    points = PointSerializer(many=True)
    comparison = ComparisonSerializer(allow_null=True)
    events_from = serializers.DateTimeField(
        required=False, help_text="there when events had to be read of a time of which some are not kept any more"
    )
    by = serializers.CharField(required=False)
    series = BreakdownSerializer(many=True, required=False)


class ThresholdsSerializer(serializers.Serializer[Any]):
    """Limits; a value at a limit has reached it."""

    warning = NumberField()
    critical = NumberField()
    is_per_day = serializers.BooleanField(
        help_text="they are of one local day: a range has reached them when its value divided by its days has"
    )


class LimitsSerializer(ThresholdsSerializer):
    """The limits of a metric as they hold; `declared` are those it came with."""

    metric = serializers.CharField()
    is_own = serializers.BooleanField(help_text="this tenant set them")
    declared = ThresholdsSerializer()


class LimitsChangeSerializer(serializers.Serializer[Any]):
    """Both limits; one that is null or left out is none, and without any the declared ones hold again."""

    warning = serializers.DecimalField(
        max_digits=30, decimal_places=10, coerce_to_string=False, allow_null=True, default=None,
        help_text="in the unit of the metric: money in whole units, durations in milliseconds, 0.05 for 5 %",
    )  # fmt: skip
    critical = serializers.DecimalField(
        max_digits=30, decimal_places=10, coerce_to_string=False, allow_null=True, default=None,
        help_text="worse than `warning`: below it where more is better, above it where less is",
    )  # fmt: skip


class MetricSerializer(serializers.Serializer[Any]):
    """A metric: what it is and how it is made."""

    metric = serializers.CharField()
    name = serializers.CharField()
    help = serializers.CharField()
    in_words = serializers.CharField()
    example = serializers.CharField()
    unit = serializers.ChoiceField(choices=[unit.value for unit in Unit])
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    better = serializers.ChoiceField(choices=["up", "down"])
    thresholds = ThresholdsSerializer()
    owner = serializers.CharField()
    additivity = serializers.CharField()
    dimensions = serializers.ListField(child=serializers.CharField(), help_text="breakdowns that are rolled up")
    made_of = serializers.ListField(child=serializers.CharField(), help_text="metrics it is worked out from")
    definition_version = serializers.CharField()
    is_own = serializers.BooleanField(help_text="made by this tenant")


class ValueSerializer(MetricSerializer):
    """A metric with its value over the range."""

    value = NumberField()
    change = ChangeSerializer(allow_null=True)
    status = serializers.ChoiceField(choices=["ok", "warning", "critical", "unknown"])
    is_complete = serializers.BooleanField()
    daily_visitors = DailyVisitorsSerializer(
        required=False, help_text="there when it counts them over more than one UTC day"
    )
    points = PointSerializer(many=True, required=False, help_text="there when a granularity was asked for")


class PanelSerializer(CountedStampSerializer):
    """An answer made of several numbers over one range."""

    currency = serializers.CharField()


class CatalogueSerializer(Ranged, Counted):
    """A page of the tenant's metrics. What tells of values is there when there are any (`values=false`: none)."""

    timezone = serializers.CharField()
    currency = serializers.CharField()
    granularity = serializers.ChoiceField(choices=GRANULARITIES)
    filters = ConditionSerializer(many=True, required=False)
    include = serializers.ListField(child=serializers.CharField(), required=False)
    definition_version = serializers.CharField(required=False)
    data_through = serializers.DateTimeField(allow_null=True)
    is_complete = serializers.BooleanField(required=False)
    is_partial = serializers.BooleanField(required=False)
    daily_visitors = DailyVisitorsSerializer(required=False, help_text="the most of any value")
    computed_at = serializers.DateTimeField()
    executor = serializers.ChoiceField(choices=["rollup", "events"], required=False)
    results = ValueSerializer(many=True)


class OverviewItemSerializer(SeriesSerializer):
    """One metric of the overview, against the range before and its limits."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    better = serializers.ChoiceField(choices=["up", "down"])
    status = serializers.ChoiceField(choices=["ok", "warning", "critical", "unknown"])


class OverviewSerializer(PanelSerializer):
    """Several metrics over one range."""

    items = OverviewItemSerializer(many=True)


class HourSerializer(serializers.Serializer[Any]):
    """One hour of the week; `weekday` 0 is Monday, `hour` is the tenant's local hour."""

    weekday = serializers.IntegerField()
    hour = serializers.IntegerField()
    total = NumberField()
    mean = serializers.FloatField(allow_null=True, help_text="per such hour of the range")


class PeakTimesSerializer(PanelSerializer):
    """When it is busy."""

    metric = serializers.CharField()
    peak = HourSerializer(allow_null=True)
    hours = HourSerializer(many=True)


class CalculateSerializer(serializers.Serializer[Any]):
    """Metrics to work out now, over one range. Every parameter of `series/` may be given."""

    metrics = serializers.ListField(child=serializers.CharField(max_length=100), min_length=1, max_length=50)
    period = serializers.CharField(required=False)
    granularity = serializers.ChoiceField(choices=GRANULARITIES, required=False)
    by = serializers.CharField(required=False)
    filters = ConditionSerializer(many=True, required=False)
    include = serializers.ListField(child=serializers.CharField(), required=False)
    compare = serializers.CharField(required=False)
    match_weekday = serializers.BooleanField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=1000)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        span = {name: serializers.CharField(required=False) for name in ("from", "to")}
        return {**super().get_fields(), **span}


class CalculatedSerializer(PanelSerializer):
    """One series for each metric, all over one range."""

    results = SeriesSerializer(many=True)


class LatestPaymentSerializer(serializers.Serializer[Any]):
    """The last thing that happened to a payment."""

    id = serializers.UUIDField(help_text="of the event")
    at = serializers.DateTimeField()
    status = serializers.CharField()
    payment = serializers.CharField(allow_null=True)
    method = serializers.CharField(allow_null=True)
    country = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    amount = serializers.CharField(allow_null=True)
    currency = serializers.CharField(allow_null=True)
    amount_base = serializers.CharField(allow_null=True)
    duration_ms = serializers.FloatField(allow_null=True)


class PaymentsSerializer(PanelSerializer):
    """Payments at a glance: what they became in the range, where those of the range stand now, the latest."""

    statuses = serializers.DictField(child=NumberField())
    now = serializers.DictField(child=serializers.IntegerField())
    volume = NumberField()
    average_value = NumberField()
    success_rate = NumberField()
    unique_payers = NumberField()
    latest = LatestPaymentSerializer(many=True)


class SuccessSerializer(PanelSerializer):
    """Finished payments and the share that settled."""

    success_rate = SeriesSerializer()
    settled = SeriesSerializer()
    finished = SeriesSerializer()


class LatencySerializer(PanelSerializer):
    """Milliseconds from creation to settlement."""

    mean = SeriesSerializer()
    median = SeriesSerializer()
    p95 = SeriesSerializer()
    p99 = SeriesSerializer()


class FailureReasonSerializer(serializers.Serializer[Any]):
    """How many payments failed for a reason; empty is none given, `__other__` what the limit left out."""

    reason = serializers.CharField()
    failed = NumberField()


class FailureHourSerializer(serializers.Serializer[Any]):
    """How many payments failed in a local hour of the day."""

    hour = serializers.IntegerField()
    failed = serializers.IntegerField()


class RetriesSerializer(serializers.Serializer[Any]):
    """How many purchases took so many tries, and how many of them were settled in the end."""

    tries = serializers.IntegerField()
    purchases = serializers.IntegerField()
    settled = serializers.IntegerField()


class FailuresSerializer(PanelSerializer):
    """Failed payments."""

    failed = SeriesSerializer()
    failure_rate = SeriesSerializer()
    reasons = FailureReasonSerializer(many=True)
    hours = FailureHourSerializer(many=True)
    retries = RetriesSerializer(many=True)


class MethodSerializer(serializers.Serializer[Any]):
    """A payment method over the range."""

    method = serializers.CharField()
    settled = NumberField()
    volume = NumberField()
    success_rate = NumberField()


class MethodsSerializer(PanelSerializer):
    """Payment methods, those with most settled payments first."""

    results = MethodSerializer(many=True)


class ResourceSerializer(serializers.Serializer[Any]):
    """A thing that people open and buy."""

    type = serializers.CharField()
    id = serializers.CharField()
    accesses = serializers.IntegerField()
    sold = serializers.IntegerField()
    revenue = NumberField()


class ResourcesSerializer(PanelSerializer):
    """What sold for most first, then what was opened most."""

    results = ResourceSerializer(many=True)


class PayerSerializer(serializers.Serializer[Any]):
    """A person's settled payments in the range."""

    person = serializers.IntegerField()
    payments = serializers.IntegerField()
    volume = NumberField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()


class PayersSerializer(PanelSerializer):
    """Who paid most first."""

    results = PayerSerializer(many=True)


class DefinitionSerializer(serializers.ModelSerializer[MetricDefinition]):
    """A metric that the tenant made by a formula over others, such as `revenue.net / orders.count`."""

    metric = serializers.CharField(max_length=100, help_text="family.measure, for example shop.margin")
    unit = serializers.ChoiceField(choices=[unit.value for unit in Unit], default=Unit.NUMBER.value)
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind], default=Kind.KPI.value)
    better = serializers.ChoiceField(choices=["up", "down"], default="up")

    class Meta:
        model = MetricDefinition
        fields = [
            "metric",
            "name",
            "help",
            "formula",
            "unit",
            "kind",
            "better",
            "warning",
            "critical",
            "owner",
            "version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["version", "created_at", "updated_at"]


class DefinitionPageSerializer(serializers.Serializer[Any]):
    """A page of definitions."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = DefinitionSerializer(many=True)


class CalendarStateSerializer(serializers.Serializer[Any]):
    """How numbers are cut. `building` is another zone, which holds from the moment its job is done."""

    zone = serializers.CharField(help_text="IANA name: days and hours are those of this zone")
    week_start = serializers.IntegerField(help_text="0 is Monday, 6 is Sunday")
    base_currency = serializers.CharField(help_text="chosen when the tenant was made; it cannot be changed")
    version = serializers.IntegerField()
    building = serializers.CharField(allow_null=True)
    job = serializers.UUIDField(allow_null=True)


class CalendarChangeSerializer(serializers.Serializer[Any]):
    """What is to be another one; what is left out stays."""

    zone = serializers.CharField(required=False, max_length=64)
    week_start = serializers.IntegerField(required=False, min_value=0, max_value=6)


class SeenNameSerializer(serializers.Serializer[Any]):
    """A name that was sent in the last 30 days."""

    name = serializers.CharField()
    count = serializers.IntegerField()
    means = serializers.CharField(help_text="the standard event it counts as; empty: it is in no built-in metric")
    suggestion = serializers.CharField(help_text="the nearest standard event, or empty")


class MappingStateSerializer(serializers.Serializer[Any]):
    """Own name → standard name. `building` holds from the moment its job is done."""

    names = serializers.DictField(child=serializers.CharField())
    building = serializers.DictField(child=serializers.CharField(), allow_null=True)
    job = serializers.UUIDField(allow_null=True)


class MappingSerializer(MappingStateSerializer):
    """The tenant's own names, what it sends, and all standard events by area."""

    seen = SeenNameSerializer(many=True)
    standard = serializers.DictField(child=serializers.ListField(child=serializers.DictField()))


class MappingChangeSerializer(serializers.Serializer[Any]):
    """All own names that are to have a meaning; those left out lose theirs."""

    names = serializers.DictField(child=serializers.CharField(max_length=200))
    dry_run = serializers.BooleanField(required=False, default=False)


class ChangedNameSerializer(serializers.Serializer[Any]):
    """What a change does to one name; empty is no meaning."""

    name = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    events = serializers.IntegerField()
    first_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)
    metrics = serializers.ListField(child=serializers.CharField())


class MappingPreviewSerializer(serializers.Serializer[Any]):
    """What a change would do."""

    changes = ChangedNameSerializer(many=True)
    events_affected = serializers.IntegerField()
    events_to_count = serializers.IntegerField()
    first_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)


class WebhookTypeSerializer(serializers.Serializer[Any]):
    """Deliveries of one type of event."""

    event_type = serializers.CharField()
    total = NumberField()
    successful = NumberField()
    failed = NumberField()
    pending = NumberField()
    success_rate = NumberField()
    mean_time = NumberField(help_text="milliseconds")
    p95_time = NumberField(help_text="milliseconds")


class WebhooksSerializer(PanelSerializer):
    """Deliveries of webhooks: the range as a whole, by type of event, and what waits now."""

    total = NumberField()
    successful = NumberField()
    failed = NumberField()
    pending = NumberField()
    success_rate = NumberField()
    mean_time = NumberField(help_text="milliseconds")
    p95_time = NumberField(help_text="milliseconds")
    pending_now = serializers.IntegerField(help_text="ordered in the range and not come to an end since")
    by_event_type = WebhookTypeSerializer(many=True)
    series = serializers.DictField(child=SeriesSerializer())
