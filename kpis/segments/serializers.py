"""Shapes of segments."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from analytics.serializers.paging import Counted
from kpis.serializers import DailyVisitorsSerializer


class SegmentDraftSerializer(serializers.Serializer[Any]):
    """What a segment is made of."""

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)
    source = serializers.CharField(max_length=40)  # type: ignore[assignment]
    definition = serializers.DictField()
    is_fixed = serializers.BooleanField(required=False, default=False)


class PeopleSegmentSerializer(serializers.Serializer[Any]):
    """A kept segment: its size and when it held, never its people."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    definition = serializers.JSONField()
    is_fixed = serializers.BooleanField()
    size = serializers.IntegerField()
    sizes = serializers.ListField(
        child=serializers.ListField(), help_text="[day, people] of each day it was asked, oldest first"
    )
    as_of = serializers.DateTimeField()
    refreshed_at = serializers.DateTimeField()
    error = serializers.CharField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    daily_visitors = DailyVisitorsSerializer(
        required=False, help_text="of one segment, not in the list of all: there when some of its people are"
    )


class PeopleSegmentsSerializer(Counted):
    """A page of segments by name, and what one can come from: an id, and its words."""

    results = PeopleSegmentSerializer(many=True)
    sources = serializers.DictField(child=serializers.CharField())


class OverlapSerializer(serializers.Serializer[Any]):
    first = serializers.IntegerField()
    second = serializers.IntegerField()
    both = serializers.IntegerField()
    only_first = serializers.IntegerField()
    only_second = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True)


class SegmentPeopleSerializer(serializers.Serializer[Any]):
    people = serializers.ListField(child=serializers.IntegerField())
    next_after = serializers.IntegerField(allow_null=True)
    size = serializers.IntegerField()
    as_of = serializers.DateTimeField()
