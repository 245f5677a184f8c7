"""The JSON of what explains numbers, for the schema: ledger, contributions, explanations, annotations, quality."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from kpis.base import Unit
from kpis.models import Annotation
from kpis.serializers import CountedStampSerializer, NumberField, Ranged, StampSerializer

UNITS = [unit.value for unit in Unit]


class LedgerPartSerializer(serializers.Serializer[Any]):
    """What one reason did."""

    reason = serializers.CharField()
    words = serializers.CharField()
    amount = NumberField()
    records = serializers.IntegerField()


class ReasonSumSerializer(LedgerPartSerializer):
    """A reason over all days."""

    days = serializers.IntegerField()


class RevisionSerializer(serializers.Serializer[Any]):
    """A value as it was published."""

    value = NumberField()
    previous = NumberField()
    reason = serializers.CharField()
    definition_version = serializers.CharField()
    is_complete = serializers.BooleanField()
    published_at = serializers.DateTimeField()


class LedgerDaySerializer(serializers.Serializer[Any]):
    """A local day as reported and as known now; the amounts of `parts` add up to `difference`."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    reported = NumberField()
    reported_at = serializers.DateTimeField(allow_null=True)
    known = NumberField()
    difference = NumberField()
    is_complete = serializers.BooleanField()
    parts = LedgerPartSerializer(many=True)
    revisions = RevisionSerializer(many=True)


class LedgerSerializer(CountedStampSerializer):
    """A metric by local day. Sums are of published days, and null for metrics whose days do not add up."""

    metric = serializers.CharField()
    name = serializers.CharField()
    unit = serializers.ChoiceField(choices=UNITS)
    currency = serializers.CharField(allow_null=True)
    reported = NumberField()
    known = NumberField()
    difference = NumberField()
    reasons = ReasonSumSerializer(many=True)
    days = LedgerDaySerializer(many=True)


class ContributionSerializer(serializers.Serializer[Any]):
    """One value: `__other__` is all that the limit left out."""

    key = serializers.CharField()
    value = NumberField()
    before = NumberField()
    contribution = NumberField()
    share = serializers.FloatField(allow_null=True, help_text="contribution / change")
    mix = NumberField(help_text="of ratios: that there is more or less of it")
    rate = NumberField(help_text="of ratios: that it does better or worse")
    weight = serializers.FloatField(allow_null=True)
    weight_before = serializers.FloatField(allow_null=True)
    new = serializers.IntegerField(allow_null=True, help_text="of people: who came")
    lost = serializers.IntegerField(allow_null=True)
    stayed = serializers.IntegerField(allow_null=True)


class BeforeSerializer(Ranged):
    """The range that is compared with."""

    total = NumberField()


class ContributionsSerializer(StampSerializer):
    """What moved the metric: contributions and overlap add up to the change, to the last digit."""

    metric = serializers.CharField()
    name = serializers.CharField()
    by = serializers.CharField()
    method = serializers.ChoiceField(choices=["additive", "ratio", "union"])
    words = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field, which DRF takes off the class
    unit = serializers.ChoiceField(choices=UNITS)
    better = serializers.ChoiceField(choices=["up", "down"])
    currency = serializers.CharField(allow_null=True)
    before = BeforeSerializer()
    total = NumberField()
    change = NumberField()
    overlap = NumberField(help_text="of people: who stands under several values and counts once in the whole")
    items = ContributionSerializer(many=True)


class ExplanationSerializer(CountedStampSerializer):
    """How a metric is computed over a range."""

    metric = serializers.CharField()
    name = serializers.CharField()
    help = serializers.CharField()
    in_words = serializers.CharField()
    example = serializers.CharField()
    unit = serializers.ChoiceField(choices=UNITS)
    currency = serializers.CharField(allow_null=True)
    owner = serializers.CharField()
    value = NumberField()
    tree = serializers.DictField(help_text="the formula: metric, name, how, unit, value, measures, parts (nodes again)")
    filters = serializers.ListField(child=serializers.CharField(), help_text="in words")  # type: ignore[assignment]
    exclusions = serializers.ListField(child=serializers.CharField())
    events = serializers.ListField(child=serializers.DictField(), help_text="name, standard, count")
    samples = serializers.ListField(child=serializers.DictField(), help_text="for those who may read events")
    lineage = serializers.ListField(child=serializers.DictField(), help_text="measure, buckets by width, records")
    versions = serializers.ListField(child=serializers.DictField())


class AnnotationSerializer(serializers.ModelSerializer[Annotation]):
    """Something that happened: at a moment, or from `at` until `until`."""

    class Meta:
        model = Annotation
        fields = ["id", "at", "until", "kind", "title", "text", "url", "metric", "author", "created_at"]
        read_only_fields = ["id", "author", "created_at"]


class AnnotationChangeSerializer(AnnotationSerializer):
    """Some of it."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        found = super().get_fields()
        for field in found.values():
            field.required = False
            field.default = serializers.empty
        return found


class AnnotationPageSerializer(serializers.Serializer[Any]):
    """A page of annotations."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = AnnotationSerializer(many=True)


class FindingSerializer(serializers.Serializer[Any]):
    """One thing that was looked at: how it is, and what to do."""

    id = serializers.CharField()
    title = serializers.CharField()
    status = serializers.ChoiceField(choices=["ok", "warning", "critical", "unknown"])
    value = serializers.CharField()
    detail = serializers.CharField()
    remedy = serializers.CharField(help_text="what to do; empty while all is well")
    rows = serializers.ListField(child=serializers.DictField())


class QualitySerializer(serializers.Serializer[Any]):
    """How far the numbers can be trusted."""

    as_of = serializers.DateTimeField()
    days = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["ok", "warning", "critical", "unknown"])
    findings = FindingSerializer(many=True)
