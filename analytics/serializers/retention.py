"""The JSON of how long events are kept, and of the audit trail."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from analytics.models import AuditEntry
from analytics.models.tenants import LONGEST_DAYS, SHORTEST_DAYS

MAX_NAMES = 100
DAYS: dict[str, Any] = {"min_value": SHORTEST_DAYS, "max_value": LONGEST_DAYS}


class RetentionSerializer(serializers.Serializer[Any]):
    """For how long events are kept: none of before `events_gone_before`, all from `events_kept_from` on."""

    days = serializers.IntegerField(allow_null=True, help_text="null: as long as the platform keeps them")
    platform_days = serializers.IntegerField(allow_null=True, help_text="null: for ever")
    events = serializers.DictField(child=serializers.IntegerField(), help_text="by name, those that go sooner")
    events_gone_before = serializers.DateTimeField(allow_null=True)
    events_kept_from = serializers.DateTimeField(allow_null=True)


class RetentionChangeSerializer(serializers.Serializer[Any]):
    """The whole rule. What was left out of `events` goes with the others."""

    days = serializers.IntegerField(allow_null=True, **DAYS)
    events = serializers.DictField(child=serializers.IntegerField(**DAYS), required=False, default=dict)
    dry_run = serializers.BooleanField(default=False)

    def validate_events(self, events: dict[str, int]) -> dict[str, int]:
        """Names that events can have."""
        if len(events) > MAX_NAMES:
            raise serializers.ValidationError(f"At most {MAX_NAMES} events have days of their own.")
        for name in events:
            if not name.strip() or len(name) > 200 or "\x00" in name:
                raise serializers.ValidationError("The name of an event has 1 to 200 characters and no NUL.")
        return events


class RetentionPlanSerializer(serializers.Serializer[Any]):
    """What a clean-up by this rule would remove now: rows by store, whole months, pieces of the lake."""

    gone_before = serializers.DateTimeField(allow_null=True)
    kept_from = serializers.DateTimeField(allow_null=True)
    rows = serializers.DictField(child=serializers.IntegerField())
    months = serializers.ListField(child=serializers.CharField())
    lake_pieces = serializers.IntegerField()


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    """One change, and who made it."""

    detail = serializers.DictField()

    class Meta:
        model = AuditEntry
        fields = ["id", "at", "actor", "action", "what", "detail"]
        read_only_fields = fields


class AuditPageSerializer(serializers.Serializer[Any]):
    """A page of the audit trail, newest first."""

    next = serializers.URLField(allow_null=True)
    results = AuditEntrySerializer(many=True)
