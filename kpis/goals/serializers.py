"""The JSON of goals, for the schema and for bodies that are sent. `goals/plain.py` writes the answers."""

from __future__ import annotations

from typing import Any, get_args

from rest_framework import serializers

from analytics.serializers.paging import Counted
from kpis.goals.contracts import Method, Shape, Status
from kpis.goals.models import Period
from kpis.serializers import ConditionSerializer, DailyVisitorsSerializer, NumberField, StampSerializer

AMOUNT: dict[str, Any] = {"max_digits": 30, "decimal_places": 6}


class ChanceSerializer(serializers.Serializer[Any]):
    """The share of simulated paths that reach the target; `words` say how they were drawn, or why none were."""

    probability = serializers.FloatField(allow_null=True)
    error = serializers.FloatField(allow_null=True, help_text="standard error that comes from the number of paths")
    paths = serializers.IntegerField()
    history_days = serializers.IntegerField()
    method = serializers.ChoiceField(choices=get_args(Method))
    words = serializers.CharField()
    low = NumberField()
    median = NumberField()
    high = NumberField()


class StandingSerializer(serializers.Serializer[Any]):
    """How a goal stands, and by which rule."""

    status = serializers.ChoiceField(choices=[status.value for status in Status])
    rule = serializers.CharField()
    value = NumberField()
    expected = NumberField()
    pace = serializers.FloatField(allow_null=True, help_text="1 is as planned, more is better")
    progress = serializers.FloatField(allow_null=True)
    elapsed = serializers.FloatField()
    shape = serializers.ChoiceField(choices=[shape.value for shape in Shape])
    shape_note = serializers.CharField()
    chance = ChanceSerializer()
    is_complete = serializers.BooleanField()
    as_of = serializers.DateTimeField()
    data_through = serializers.DateTimeField()
    daily_visitors = DailyVisitorsSerializer(required=False, help_text="there when `value` counts them over days")


class FrozenSerializer(serializers.Serializer[Any]):
    """What was written down at the end; `known_now` is null while it is still the same."""

    value = NumberField()
    status = serializers.ChoiceField(choices=[status.value for status in Status])
    frozen_at = serializers.DateTimeField()
    known_now = NumberField()


class PacePointSerializer(serializers.Serializer[Any]):
    """The end of a local day; `low` and `high` bound 80 % of the paths of days to come."""

    day = serializers.DateField()
    start = serializers.DateTimeField()
    actual = NumberField()
    expected = NumberField()
    low = NumberField()
    high = NumberField()


class CheckInSerializer(serializers.Serializer[Any]):
    """How sure a person is, beside what the arithmetic said then."""

    id = serializers.UUIDField(read_only=True)
    at = serializers.DateTimeField(read_only=True)
    author = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    confidence = serializers.FloatField(min_value=0, max_value=1)
    note = serializers.CharField(max_length=10_000, required=False, allow_blank=True, default="")
    probability = serializers.FloatField(allow_null=True, read_only=True)
    value = NumberField(read_only=True)


def _all_optional(
    found: dict[str, serializers.Field[Any, Any, Any, Any]],
) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    for field in found.values():
        field.required = False
        field.default = serializers.empty
    return found


class GoalDraftSerializer(serializers.Serializer[Any]):
    """A goal as it is made. `first` may be any day of the month, quarter or year that is meant."""

    name = serializers.CharField(max_length=200)
    metric = serializers.CharField(max_length=100)
    target = serializers.DecimalField(**AMOUNT)
    first = serializers.DateField()
    end = serializers.DateField(required=False, allow_null=True, help_text="of custom periods: the day after the last")
    period = serializers.ChoiceField(choices=Period.values, default="month")
    shape = serializers.ChoiceField(choices=[shape.value for shape in Shape], default="linear")
    baseline = serializers.DecimalField(**AMOUNT, required=False, allow_null=True)
    stretch = serializers.DecimalField(**AMOUNT, required=False, allow_null=True)
    filters = ConditionSerializer(many=True, required=False)
    owner = serializers.CharField(max_length=200, required=False, allow_blank=True)
    objective = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="its name; one of a new name is made"
    )
    weight = serializers.DecimalField(max_digits=6, decimal_places=2, min_value=0, required=False)
    note = serializers.CharField(max_length=10_000, required=False, allow_blank=True)


class GoalChangeSerializer(GoalDraftSerializer):
    """Some of it."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return _all_optional(super().get_fields())


class GoalSerializer(StampSerializer):
    """A goal with its standing."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    metric = serializers.CharField()
    metric_name = serializers.CharField()
    unit = serializers.CharField()
    currency = serializers.CharField(allow_null=True)
    better = serializers.ChoiceField(choices=["up", "down"])
    owner = serializers.CharField()
    objective = serializers.CharField()
    objective_id = serializers.UUIDField(allow_null=True)
    weight = serializers.FloatField()
    baseline = NumberField()
    target = NumberField()
    stretch = NumberField()
    period = serializers.ChoiceField(choices=Period.values)
    first = serializers.DateField()
    end = serializers.DateField()
    shape = serializers.ChoiceField(choices=[shape.value for shape in Shape])
    note = serializers.CharField()
    standing = StandingSerializer()
    frozen = FrozenSerializer(allow_null=True)
    check_ins = CheckInSerializer(many=True)
    points = PacePointSerializer(many=True)


class FrozenObjectiveSerializer(serializers.Serializer[Any]):
    """What was written down at the end; `known_now` is null while it is still the same."""

    progress = serializers.FloatField(allow_null=True)
    status = serializers.ChoiceField(choices=[status.value for status in Status])
    frozen_at = serializers.DateTimeField()
    known_now = serializers.FloatField(allow_null=True)


class ObjectiveSerializer(serializers.Serializer[Any]):
    """What goals come to: progress, chance and confidence are means by weight; it stands as the worst of them."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    owner = serializers.CharField()
    note = serializers.CharField()
    period = serializers.ChoiceField(choices=Period.values)
    first = serializers.DateField()
    end = serializers.DateField()
    elapsed = serializers.FloatField()
    progress = serializers.FloatField(allow_null=True)
    status = serializers.ChoiceField(choices=[status.value for status in Status])
    rule = serializers.CharField()
    chance = serializers.FloatField(allow_null=True, help_text="mean of the goals' probabilities by weight")
    confidence = serializers.FloatField(allow_null=True, help_text="mean of the newest check-ins by weight")
    goals = serializers.ListField(child=serializers.UUIDField())
    frozen = FrozenObjectiveSerializer(allow_null=True)


class ObjectiveDraftSerializer(serializers.Serializer[Any]):
    """An objective as it is made. `first` may be any day of the month, quarter or year that is meant."""

    name = serializers.CharField(max_length=200)
    first = serializers.DateField()
    end = serializers.DateField(required=False, allow_null=True, help_text="of custom periods: the day after the last")
    period = serializers.ChoiceField(choices=Period.values, default="quarter")
    owner = serializers.CharField(max_length=200, required=False, allow_blank=True)
    note = serializers.CharField(max_length=10_000, required=False, allow_blank=True)


class ObjectiveChangeSerializer(ObjectiveDraftSerializer):
    """Some of it."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return _all_optional(super().get_fields())


class ObjectiveReadSerializer(ObjectiveSerializer):
    """With its goals as they stand, in `key_results`."""

    key_results = GoalSerializer(many=True)


class ObjectivesSerializer(Counted):
    """A page of objectives, those that end last first."""

    results = ObjectiveSerializer(many=True)


class GoalsSerializer(Counted):
    """A page of goals, those that end last first, and the objectives that those of the page add up to."""

    results = GoalSerializer(many=True)
    objectives = ObjectiveSerializer(many=True)


class CheckInsSerializer(Counted):
    """A page of what was said of a goal, newest first."""

    results = CheckInSerializer(many=True)
