"""Questions as JSON: the bodies of `POST /api/v1/explore/…/`, and what `?q=` of a page holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from kpis.attribution.question import DIMENSIONS, MODELS, TOUCHES
from kpis.explore.fields import MomentField, SpanField, Strict, conditions, texts
from kpis.funnels.question import ENTRIES, MAX_EXCLUSIONS, MAX_STEPS, ORDERS
from kpis.paths import MAX_DEPTH, MAX_TOP
from kpis.retention import MAX_PERIODS
from kpis.retention_clock import CLOCKS, COHORTS, MODES, MOST_SIZE, UNITS
from kpis.serializers import StampSerializer
from kpis.series.question import INCLUDABLE


class SegmentField(serializers.CharField):
    """Read before the body is (`selectors.asked_of`), for all kinds alike; here so that it is described."""

    def __init__(self) -> None:
        text = "Id of a kept segment: only its people's events are asked about."
        super().__init__(required=False, allow_null=True, max_length=40, help_text=text)


class Ranged(Strict):
    """`period`, or `from` and `to`, as everywhere; the last 30 days when left out."""

    period = serializers.CharField(required=False, max_length=100)
    filters = conditions()
    include = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(INCLUDABLE)), required=False, default=list
    )
    segment = SegmentField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `from` is a word of Python, so it cannot be declared as an attribute.
        span = {name: serializers.CharField(required=False, max_length=40) for name in ("from", "to")}
        return {**super().get_fields(), **span}


class PickBody(Strict):
    """Events of any of these names that pass every condition."""

    events = texts()
    where = conditions()


class StepBody(PickBody):
    """One step of a funnel. `within` is its own window, from the nearest earlier step that is not optional."""

    label = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)  # type: ignore[assignment]
    optional = serializers.BooleanField(required=False, default=False)
    within = SpanField(required=False, default=None)


class ExclusionBody(PickBody):
    """What drops a person between two steps, by index from 0; `before` left out: the last step."""

    after = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_STEPS)
    before = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=0, max_value=MAX_STEPS)


class FunnelBody(Ranged):
    """Who passes a series of steps. A step that is named twice needs a second event.

    `entry`: of several attempts the one that gets furthest, the first, or every one, one after the other (then attempts
    are counted). `session`: all steps in one visit. `group`: count groups of this type (of the property `$groups`)
    instead of people. `curve`: with the conversion curve (Kaplan–Meier, 95 % band) and how long it took. `compare`:
    another range, with the change of the conversion split by step."""

    steps = StepBody(many=True, max_length=MAX_STEPS)  # type: ignore[call-arg]
    window = SpanField(required=False, default=timedelta(days=7))
    order = serializers.ChoiceField(choices=ORDERS, required=False, default="ordered")
    entry = serializers.ChoiceField(choices=ENTRIES, required=False, default="best")
    session = serializers.BooleanField(required=False, default=False)
    group = serializers.CharField(required=False, allow_null=True, default=None, allow_blank=True, max_length=200)
    exclusions = ExclusionBody(many=True, required=False, default=list, max_length=MAX_EXCLUSIONS)  # type: ignore[call-arg]
    hold = serializers.CharField(required=False, allow_null=True, default=None, max_length=220)
    by = serializers.CharField(required=False, allow_null=True, default=None, max_length=220)
    at = MomentField(required=False, default="first")
    limit = serializers.IntegerField(required=False, default=10, min_value=1, max_value=100)
    curve = serializers.BooleanField(required=False, default=True)
    compare = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)


class AttributionBody(Ranged):
    """Which channels sales came from. `compare`: another range, with the difference of every share of the conversions
    and of every revenue, and its 95 % interval."""

    conversion = PickBody(required=False)
    touches = PickBody(required=False)
    touch = serializers.ChoiceField(choices=TOUCHES, required=False, default="session")
    lookback = SpanField(required=False, default=timedelta(days=30))
    half_life = SpanField(required=False, default=timedelta(days=7))
    models = serializers.ListField(child=serializers.ChoiceField(choices=MODELS), required=False, default=list(MODELS))
    by = serializers.ChoiceField(choices=DIMENSIONS, required=False, default="channel")
    refunds = serializers.ChoiceField(choices=("on_their_day", "restated"), required=False, default="on_their_day")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)
    compare = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)


class RetentionBody(Strict):
    """Of those who came in one period, how many came again. `from`: any moment of the first one (`periods` ago when
    left out). Without events of its own, revenue and filters, calendar retention is read from bitmaps.

    `days`: single days (1, 3, 7, 14, 28), `brackets`: days between which to look, both by the 24-hour clock.
    `min_size`: smaller cohorts are marked. `versus`: two rows of the table, from 0; is the first better?

    `by`: a table for each value of a column or `properties.<key>`, for the `limit` largest and all others as one. The
    value is that of the event by which a person came into the cohort (their first one in it; of several at one
    microsecond the one received first), whatever they come back with. Such a question is answered from events."""

    periods = serializers.IntegerField(required=False, default=13, min_value=1, max_value=MAX_PERIODS)
    unit = serializers.ChoiceField(choices=list(UNITS), required=False, default="week")
    clock = serializers.ChoiceField(choices=CLOCKS, required=False, default="calendar")
    cohort = serializers.ChoiceField(choices=COHORTS, required=False, default="first_ever")
    mode = serializers.ChoiceField(choices=MODES, required=False, default="on")
    first = PickBody(required=False)
    returning = PickBody(required=False)
    days = serializers.ListField(child=serializers.IntegerField(min_value=0), required=False, default=list)
    brackets = serializers.ListField(child=serializers.IntegerField(min_value=0), required=False, default=list)
    min_size = serializers.IntegerField(required=False, default=30, min_value=0, max_value=MOST_SIZE)
    versus = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=MAX_PERIODS), required=False, default=list, max_length=2
    )
    revenue = serializers.BooleanField(required=False, default=False)
    by = serializers.CharField(required=False, allow_null=True, default=None, max_length=220)
    limit = serializers.IntegerField(required=False, default=10, min_value=1, max_value=100)
    segment = SegmentField()
    filters = conditions()
    include = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(INCLUDABLE)), required=False, default=list
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {**super().get_fields(), "from": serializers.CharField(required=False, max_length=40)}


class LifecycleBody(Ranged):
    """Who is new, stayed, came back or fell asleep. Read from bitmaps, so without filters."""

    unit = serializers.ChoiceField(choices=list(UNITS), required=False, default="week")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        left_out = ("filters", "include", "segment")
        return {name: field for name, field in super().get_fields().items() if name not in left_out}


class PathsBody(Ranged):
    """What people do after an event, or before it. `compare`: another range, with the difference of every share of the
    paths and its 95 % interval."""

    anchor = PickBody()
    direction = serializers.ChoiceField(choices=("after", "before"), required=False, default="after")
    depth = serializers.IntegerField(required=False, default=3, min_value=1, max_value=MAX_DEPTH)
    top = serializers.IntegerField(required=False, default=5, min_value=1, max_value=MAX_TOP)
    within = SpanField(required=False, default=None)
    entry = serializers.ChoiceField(choices=("first", "each"), required=False, default="first")
    by = serializers.CharField(required=False, default="name", max_length=220)
    compare = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)


class WhoBody(Strict):
    """Whose people: the kind of question, the question, and the place in its answer."""

    kind = serializers.CharField(max_length=40)
    question = serializers.DictField()
    place = serializers.DictField()


class ExploreAnswer(StampSerializer):
    """What every answer carries, beside the question's own tables."""

    reading = serializers.CharField(required=False)
    events_from = serializers.DateTimeField(
        required=False, help_text="there when events before it were asked for, which are not kept any more"
    )
