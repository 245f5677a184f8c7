"""The JSON of events, their outcomes and the quarantine. Money is a decimal string beside its currency."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from analytics.capture.money import exponents
from analytics.models import Event, Quarantine

PLAIN_COLUMNS = [
    "event_id",
    "name",
    "type",
    "action",
    "source",
    "session_id",
    "parent_id",
    "platform",
    "country",
    "campaign",
    "channel",
    "content_type",
    "object_type",
    "object_id",
    "method",
    "tier",
    "reason",
    "value",
    "duration_ms",
]
FLAGS = ["is_bot", "bot_reason", "is_internal", "is_historical", "is_clamped"]


def money_text(minor: int | None, currency: str | None) -> str | None:
    """Minor units as a decimal string with the currency's own number of digits: 1990 EUR is 19.90."""
    if minor is None or currency is None:
        return None
    return str(Decimal(minor).scaleb(-exponents().get(currency, 2)))


class EventSerializer(serializers.ModelSerializer[Event]):
    """A stored event. `timestamp` is when it happened, corrected for the clock of the device."""

    timestamp = serializers.DateTimeField(source="ts")
    subject = serializers.IntegerField(
        source="subject_id", allow_null=True, help_text="dense number of the person's id"
    )
    amount = serializers.SerializerMethodField(help_text="decimal string in `currency`")
    amount_base = serializers.SerializerMethodField(help_text="in the tenant's base currency; null without a rate")

    class Meta:
        model = Event
        fields = [
            "id",
            "timestamp",
            "received_at",
            "sent_at",
            "client_timestamp",
            "subject",
            *PLAIN_COLUMNS,
            "amount",
            "currency",
            "amount_base",
            "sentiment",
            "engagement",
            *FLAGS,
            "properties",
        ]
        read_only_fields = fields

    def get_amount(self, event: Event) -> str | None:
        return money_text(event.amount, event.currency)

    def get_amount_base(self, event: Event) -> str | None:
        return money_text(event.amount_base, self.context["base_currency"])


class EventPageSerializer(serializers.Serializer[Any]):
    """A page of events, newest first; `next` is the address of the following page."""

    next = serializers.URLField(allow_null=True)
    results = EventSerializer(many=True)


class OutcomesSerializer(serializers.Serializer[Any]):
    """How many received events came to each end, counted by the hour (UTC) of receipt."""

    stored = serializers.IntegerField()
    duplicate = serializers.IntegerField()
    conflict = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    rejected = serializers.IntegerField()


class ObjectSerializer(serializers.Serializer[Any]):
    """What an event is about: a product, a listing, a stream."""

    type = serializers.CharField(max_length=200)
    id = serializers.CharField(max_length=200)


class IncomingEventSerializer(serializers.Serializer[Any]):
    """One event as a client writes it. Whatever is not listed here is taken for one of its `properties`."""

    event = serializers.CharField(max_length=200, help_text="what happened, for example order_completed")
    user = serializers.CharField(max_length=400, required=False, help_text="who did it; `distinct_id` is the same")
    anonymous_id = serializers.CharField(max_length=400, required=False, help_text="who it was before a log-in")
    id = serializers.CharField(
        max_length=400, required=False, help_text="your id: the same one is stored once, however often it is sent"
    )
    timestamp = serializers.DateTimeField(required=False, help_text="when it happened; receipt when left out")
    type = serializers.CharField(
        required=False, help_text="page_view, api_call, user_action, system, payment …; told by the name when left out"
    )
    action = serializers.CharField(required=False, help_text="what was done with the object: like, share, remove …")
    value = serializers.FloatField(required=False, help_text="a number; money in whole units beside a `currency`")
    amount = serializers.DecimalField(
        required=False, max_digits=24, decimal_places=12, help_text="money in whole units, 19.90"
    )
    currency = serializers.CharField(required=False, help_text="ISO 4217; the tenant's own when left out")
    object = ObjectSerializer(required=False)
    parent_id = serializers.CharField(required=False, help_text="the id of the event that this one belongs to")
    session_id = serializers.CharField(required=False)
    platform = serializers.CharField(required=False)
    country = serializers.CharField(required=False)
    campaign = serializers.CharField(required=False)
    channel = serializers.CharField(required=False)
    content_type = serializers.CharField(required=False)
    method = serializers.CharField(required=False, help_text="of payment")
    tier = serializers.CharField(required=False)
    reason = serializers.CharField(required=False, help_text="why it failed or was cancelled")
    duration_ms = serializers.FloatField(required=False)
    sentiment = serializers.FloatField(required=False, min_value=-1, max_value=1)
    engagement = serializers.CharField(required=False, help_text="low, medium, high, very_high")
    properties = serializers.DictField(required=False, help_text="everything else; e-mails, names … are encrypted")


class IncomingBatchSerializer(serializers.Serializer[Any]):
    """Up to 20 MiB of events; a single event or a list of them is fine, too."""

    events = IncomingEventSerializer(many=True)
    sent_at = serializers.DateTimeField(required=False, help_text="the device's clock at sending, to correct it")
    is_historical = serializers.BooleanField(required=False, help_text="migrated history: it counts, but never alerts")


class VerdictSerializer(serializers.Serializer[Any]):
    """What became of one event."""

    id = serializers.CharField(allow_null=True, help_text="the one that was sent, or made; `GET events/{id}/` takes it")
    outcome = serializers.ChoiceField(choices=["stored", "duplicate", "conflict", "quarantined", "rejected"])
    reason = serializers.CharField(help_text="a stable code, empty when the event is stored")
    detail = serializers.CharField(help_text="what to change")


class VerdictsSerializer(OutcomesSerializer):
    """One verdict for each event, in the order of the request, and how many came to each outcome."""

    results = VerdictSerializer(many=True)


class QuarantineSerializer(serializers.ModelSerializer[Quarantine]):
    """An event that could not be stored, with the reason. Its payload stays sealed."""

    class Meta:
        model = Quarantine
        fields = ["id", "received_at", "outcome", "reason", "detail", "event_id", "name", "state", "replayed_at"]
        read_only_fields = fields


class QuarantinePageSerializer(serializers.Serializer[Any]):
    """A page of held events, newest first."""

    next = serializers.URLField(allow_null=True)
    results = QuarantineSerializer(many=True)


class ReplaySerializer(serializers.Serializer[Any]):
    """Which held events to try again: these ids, or all of a reason, or (neither) all."""

    ids = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1000)
    reason = serializers.CharField(required=False, max_length=100)
    dry_run = serializers.BooleanField(default=False)


class ReplayedSerializer(serializers.Serializer[Any]):
    """How many of the tried events came to each outcome now."""

    tried = serializers.IntegerField()
    dry_run = serializers.BooleanField()
    outcomes = serializers.DictField(child=serializers.IntegerField())
    still_held = serializers.DictField(child=serializers.IntegerField(), help_text="by reason")


class DiscardSerializer(serializers.Serializer[Any]):
    """Which held events to give up."""

    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=1000)


class DiscardedSerializer(serializers.Serializer[Any]):
    """How many were held and are no more."""

    discarded = serializers.IntegerField()
