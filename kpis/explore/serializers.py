"""The JSON of lists of people, channel rules and costs."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from analytics.capture import money
from analytics.capture.limits import Unfit
from analytics.serializers.paging import Counted
from kpis.explore.fields import Strict
from kpis.explore.models import MarketingCost
from kpis.explore.plain import money as written


class PeoplePageSerializer(serializers.Serializer[Any]):
    """People by number, and where the next page begins (null at the end)."""

    count = serializers.IntegerField()
    next = serializers.IntegerField(allow_null=True)
    people = serializers.ListField(child=serializers.IntegerField())


class ChannelRuleSerializer(Strict):
    """One rule; patterns are separated by commas: `google*`, `*` for anything, `(none)` for nothing, empty for all."""

    channel = serializers.CharField(max_length=60)
    source = serializers.CharField(max_length=1000, required=False, default="", allow_blank=True)  # type: ignore[assignment]
    medium = serializers.CharField(max_length=1000, required=False, default="", allow_blank=True)
    campaign = serializers.CharField(max_length=1000, required=False, default="", allow_blank=True)
    referrer = serializers.CharField(max_length=1000, required=False, default="", allow_blank=True)
    is_paid = serializers.BooleanField(required=False, default=False)


class ChannelRulesSerializer(Strict):
    """The whole table, first match wins."""

    rules = ChannelRuleSerializer(many=True)
    is_own = serializers.BooleanField(read_only=True, help_text="false: these are the built-in ones")


class CostSerializer(serializers.ModelSerializer[MarketingCost]):
    """What was spent on a day; amounts are decimal strings of whole units."""

    amount = serializers.SerializerMethodField()

    class Meta:
        model = MarketingCost
        fields = ["day", "channel", "campaign", "amount", "currency", "updated_at"]

    def get_amount(self, row: MarketingCost) -> str:
        return written(row.amount, money.exponents().get(row.currency, 2)) or ""


class CostPageSerializer(Counted):
    """A page of costs."""

    results = CostSerializer(many=True)


class CostRowSerializer(Strict):
    """One cost to store."""

    day = serializers.DateField()
    channel = serializers.CharField(max_length=400)
    campaign = serializers.CharField(max_length=400, required=False, default="", allow_blank=True)
    amount = serializers.DecimalField(max_digits=18, decimal_places=4, min_value=0)
    currency = serializers.CharField(max_length=3)

    def validate_currency(self, value: str) -> str:
        try:
            return money.currency_code(value)
        except Unfit as error:
            raise serializers.ValidationError(str(error)) from None


class CostsSerializer(Strict):
    """Rows, or the text of a CSV with the columns day, channel, amount, currency, campaign."""

    costs = CostRowSerializer(many=True, required=False, default=list)
    csv = serializers.CharField(required=False, default="", allow_blank=True, max_length=2_000_000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["costs"] and not attrs["csv"]:
            raise serializers.ValidationError({"costs": ["Give rows in `costs`, or a file's text in `csv`."]})
        return attrs


class CostsImportedSerializer(serializers.Serializer[Any]):
    """How many rows were stored, and how many wait for an exchange rate."""

    stored = serializers.IntegerField()
    without_rate = serializers.IntegerField()
