"""Shapes of requests and answers, for checking and for the description of the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from kpis.serializers import StampSerializer


class ScoreRangeSerializer(serializers.Serializer[Any]):
    """A row of the table of segments: the lowest and the highest score of each, 1 to 5."""

    name = serializers.CharField(max_length=100)
    recency = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=5), min_length=2, max_length=2
    )
    frequency = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=5), min_length=2, max_length=2
    )
    monetary = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=5), min_length=2, max_length=2
    )


class SegmentTableSerializer(serializers.Serializer[Any]):
    """The whole table, first match first. An empty one goes back to the built-in."""

    segments = ScoreRangeSerializer(many=True, allow_empty=True)


class SegmentSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField()
    share = serializers.FloatField()
    orders = serializers.IntegerField()
    net = serializers.CharField()
    net_share = serializers.FloatField(allow_null=True)
    recency_days = serializers.FloatField(allow_null=True)
    predicted = serializers.CharField(allow_null=True)


class MoveSerializer(serializers.Serializer[Any]):
    people = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        """`from` is no name for an attribute."""
        return {
            "from": serializers.CharField(allow_null=True),
            "to": serializers.CharField(allow_null=True),
            **super().get_fields(),
        }


class SnapshotSerializer(StampSerializer):
    taken_on = serializers.DateField()
    currency = serializers.CharField()
    customers = serializers.IntegerField()
    rule = serializers.CharField()
    edges = serializers.JSONField()
    segments = SegmentSerializer(many=True)
    compared_with = serializers.DateField(allow_null=True)
    moves = MoveSerializer(many=True)
    prediction = serializers.JSONField(allow_null=True)
    calibration = serializers.JSONField(allow_null=True)
    models = serializers.JSONField(allow_null=True)
    fit_note = serializers.CharField(allow_blank=True)


class CustomerValueSerializer(StampSerializer):
    person = serializers.IntegerField()
    currency = serializers.CharField()
    as_of = serializers.DateField(allow_null=True)
    first_purchase_on = serializers.DateField(allow_null=True)
    last_purchase_on = serializers.DateField(allow_null=True)
    purchases = serializers.IntegerField()
    orders = serializers.IntegerField()
    gross = serializers.CharField()
    refunds = serializers.CharField()
    net = serializers.CharField()
    scores = serializers.JSONField(allow_null=True)
    segment = serializers.CharField(allow_null=True)
    alive = serializers.FloatField(allow_null=True)
    churn_risk = serializers.FloatField(allow_null=True)
    expected = serializers.JSONField()
    method = serializers.CharField()
    note = serializers.CharField(allow_blank=True)


class CurveSerializer(serializers.Serializer[Any]):
    start = serializers.DateField()
    size = serializers.IntegerField()
    net = serializers.ListField(child=serializers.CharField(allow_null=True))
    net_each = serializers.ListField(child=serializers.CharField(allow_null=True))


class CurvesSerializer(StampSerializer):
    unit = serializers.CharField()
    currency = serializers.CharField()
    method = serializers.CharField()
    cohorts = CurveSerializer(many=True)
    means = serializers.ListField(child=serializers.CharField(allow_null=True))


class PaybackSerializer(serializers.Serializer[Any]):
    """One cohort; null where no costs were told. `start` is null for all cohorts together."""

    start = serializers.DateField(allow_null=True)
    customers = serializers.IntegerField()
    cost = serializers.CharField(allow_null=True)
    cac = serializers.CharField(allow_null=True, help_text="cost / customers")
    months = serializers.IntegerField(allow_null=True, help_text="until the cost came back; the first month is 1")
    observed = serializers.IntegerField(help_text="months that are over")
    recovered = serializers.FloatField(allow_null=True, help_text="share of the cost that has come back")
    standing = serializers.CharField(help_text="no_cost, no_customers, paid_back or not_yet")
    curve = serializers.ListField(
        child=serializers.FloatField(), help_text="share of the cost that had come back by the end of each month"
    )


class ChannelPaybackSerializer(PaybackSerializer):
    """A channel, and its cohorts."""

    channel = serializers.CharField(help_text="__none__: nothing is known to have come before")
    cohorts = PaybackSerializer(many=True)


class CampaignPaybackSerializer(PaybackSerializer):
    """A campaign, and its cohorts."""

    campaign = serializers.CharField(help_text="__none__: nothing before it; (none): a touch of no campaign")
    cohorts = PaybackSerializer(many=True)


class PaybacksSerializer(StampSerializer):
    unit = serializers.CharField()
    by = serializers.CharField(help_text="channel or campaign: which of the two lists is filled")
    currency = serializers.CharField()
    margin = serializers.FloatField()
    margin_from = serializers.CharField(help_text="parameter, setting or default")
    note = serializers.CharField()
    overall = PaybackSerializer()
    cohorts = PaybackSerializer(many=True)
    channels = ChannelPaybackSerializer(many=True)
    campaigns = CampaignPaybackSerializer(many=True)
    costs_without_rate = serializers.IntegerField()
    method = serializers.CharField()
