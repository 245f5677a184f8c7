"""The JSON of people and of what joins and erases them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from analytics.models import IdentityEdge


class EdgeSerializer(serializers.ModelSerializer[IdentityEdge]):
    """Why two distinct ids are one person, or were."""

    class Meta:
        model = IdentityEdge
        fields = [
            "id",
            "left_subject",
            "right_subject",
            "kind",
            "ts",
            "actor",
            "reason",
            "verdict",
            "undone_at",
            "undone_by",
        ]
        read_only_fields = fields


class MergeSerializer(serializers.Serializer[Any]):
    """`other` is the same person as `distinct_id`."""

    distinct_id = serializers.CharField(max_length=400)
    other = serializers.CharField(max_length=400)
    reason = serializers.CharField(max_length=400, required=False, default="", allow_blank=True)


class UnmergeSerializer(serializers.Serializer[Any]):
    """Take back one merge, by the id of its edge."""

    edge = serializers.UUIDField()
    reason = serializers.CharField(max_length=400, required=False, default="", allow_blank=True)


class PersonSerializer(serializers.Serializer[Any]):
    """A person: all its subjects (the lowest is its id), distinct ids and traits in plain text."""

    person_id = serializers.IntegerField()
    subjects = serializers.ListField(child=serializers.IntegerField())
    is_identified = serializers.BooleanField()
    distinct_ids = serializers.ListField(child=serializers.CharField())
    traits = serializers.DictField()
    edges = EdgeSerializer(many=True)


class EraseSerializer(serializers.Serializer[Any]):
    """Erase a person from every store."""

    dry_run = serializers.BooleanField(default=False)


class ReceiptSerializer(serializers.Serializer[Any]):
    """What was erased (or, as a dry run, would be): rows by store, and what a scan afterwards still found."""

    subjects = serializers.IntegerField()
    rows = serializers.DictField(child=serializers.IntegerField())
    traces = serializers.DictField(child=serializers.IntegerField())
    is_dry_run = serializers.BooleanField()
    is_settled = serializers.BooleanField(help_text="false: writers were still open, erase once more")
    is_complete = serializers.BooleanField()
    failed = serializers.ListField(
        child=serializers.CharField(), help_text="parts that still hold something; a job tries them again"
    )
    erased_at = serializers.DateTimeField()
