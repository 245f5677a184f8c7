"""The JSON of what is recorded. Money is a decimal string beside its currency; times are ISO 8601 with offset."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from analytics.access.roles import EVERY_SCOPE
from analytics.capture.money import exponents
from analytics.filters import EARLIEST, LATEST
from analytics.models import ApiKey, Event, ExchangeRate, IdentityEdge, Job, Membership, Quarantine
from analytics.models.tenants import Tenant

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


class IncomingEventSerializer(serializers.Serializer[Any]):
    """One event as a client writes it. Unknown keys are kept as properties."""

    event = serializers.CharField(max_length=200, help_text="what happened, for example order_completed")
    distinct_id = serializers.CharField(max_length=400, required=False, help_text="who did it")
    id = serializers.CharField(required=False, help_text="your id: the same one is stored once, however often sent")
    timestamp = serializers.DateTimeField(required=False, help_text="when it happened; receipt when left out")
    properties = serializers.DictField(required=False)


class IncomingBatchSerializer(serializers.Serializer[Any]):
    """Up to 20 MiB of events."""

    events = IncomingEventSerializer(many=True)
    sent_at = serializers.DateTimeField(required=False, help_text="the device's clock at sending, to correct it")


class VerdictSerializer(serializers.Serializer[Any]):
    """What became of one event, in the order of the request."""

    id = serializers.CharField(allow_null=True)
    outcome = serializers.ChoiceField(choices=["stored", "duplicate", "conflict", "quarantined", "rejected"])
    reason = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)


class VerdictsSerializer(serializers.Serializer[Any]):
    """One verdict for each event of the batch."""

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


class JobSerializer(serializers.ModelSerializer[Job]):
    """A piece of work and how far it is. `progress` is 0 to 1, null while the size is unknown."""

    progress = serializers.SerializerMethodField()

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "params",
            "state",
            "progress",
            "done",
            "total",
            "result",
            "error",
            "attempts",
            "run_at",
            "created_at",
            "started_at",
            "finished_at",
            "created_by",
        ]
        read_only_fields = fields

    def get_progress(self, job: Job) -> float | None:
        return round(min(1.0, job.done / job.total), 4) if job.total else None


class JobRequestSerializer(serializers.Serializer[Any]):
    """Work to start. `from` and `to` are half open; dates are the tenant's midnights."""

    kind = serializers.ChoiceField(choices=["rollup", "backfill"])
    dry_run = serializers.BooleanField(default=False, help_text="say what would be done and write nothing")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `from` is a word of Python, so it cannot be declared as an attribute.
        span = {name: serializers.CharField(required=False) for name in ("from", "to")}
        return {**super().get_fields(), **span}


class JobPlanSerializer(serializers.Serializer[Any]):
    """What a dry run found that would be done."""

    kind = serializers.CharField()
    dry_run = serializers.BooleanField()
    plan = serializers.DictField()


class ScheduleSerializer(serializers.Serializer[Any]):
    """One entry of the schedule."""

    name = serializers.CharField()
    task = serializers.CharField()
    every = serializers.CharField()
    is_enabled = serializers.BooleanField()
    last_run_at = serializers.DateTimeField(allow_null=True)


class SchedulerSerializer(serializers.Serializer[Any]):
    """Whether the schedule runs: switched on, and its process alive."""

    is_enabled = serializers.BooleanField()
    is_alive = serializers.BooleanField(help_text="the scheduler was heard of within the last two minutes")
    last_heartbeat_at = serializers.DateTimeField(allow_null=True)
    entries = ScheduleSerializer(many=True)


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
    reason = serializers.CharField(max_length=400, required=False, default="")


class UnmergeSerializer(serializers.Serializer[Any]):
    """Take back one merge, by the id of its edge."""

    edge = serializers.UUIDField()
    reason = serializers.CharField(max_length=400, required=False, default="")


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
    erased_at = serializers.DateTimeField()


class ExchangeRateSerializer(serializers.ModelSerializer[ExchangeRate]):
    """On that day (in the tenant's zone) one unit of `currency` was worth `rate` units of the base currency."""

    class Meta:
        model = ExchangeRate
        fields = ["day", "currency", "rate"]

    def validate_currency(self, value: str) -> str:
        code = value.upper()
        if code not in exponents():
            raise serializers.ValidationError(f"{value!r} is no ISO 4217 code.", code="unknown_currency")
        return code

    def validate_day(self, value: date) -> date:
        if not EARLIEST.date() <= value < LATEST.date():
            message = f"A day lies between the years {EARLIEST.year} and {LATEST.year}."
            raise serializers.ValidationError(message, code="out_of_range")
        return value

    def validate_rate(self, value: Decimal) -> Decimal:
        if value <= 0:
            raise serializers.ValidationError("A rate is greater than zero.", code="not_positive")
        return value


class RatesSerializer(serializers.Serializer[Any]):
    """Rates to store; those of a day and currency that are known already are replaced."""

    rates = serializers.ListField(child=ExchangeRateSerializer(), min_length=1, max_length=5000)


class RatesImportedSerializer(serializers.Serializer[Any]):
    """Rates that are new or changed, and events whose worth changed by them."""

    rates = serializers.IntegerField()
    events = serializers.IntegerField()


class Counted(serializers.Serializer[Any]):
    """A page of a list with its count."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class RatePageSerializer(Counted):
    """A page of exchange rates."""

    results = ExchangeRateSerializer(many=True)


class JobPageSerializer(Counted):
    """A page of jobs."""

    results = JobSerializer(many=True)


class TenantSerializer(serializers.ModelSerializer[Tenant]):
    """The tenant of the credential. `week_start` counts from Monday = 0."""

    class Meta:
        model = Tenant
        fields = ["slug", "name", "zone", "base_currency", "week_start", "created_at"]
        read_only_fields = fields


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key, without its secret."""

    class Meta:
        model = ApiKey
        fields = ["id", "kind", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"]
        read_only_fields = fields


class ApiKeyRequestSerializer(serializers.Serializer[Any]):
    """A key to make. `pk` only sends events; `sk` without scopes may do all that keys can."""

    kind = serializers.ChoiceField(choices=ApiKey.Kind.choices)
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(EVERY_SCOPE)), required=False, default=list
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class NewApiKeySerializer(ApiKeySerializer):
    """A key just made, with its token: it is shown this once."""

    token = serializers.CharField(read_only=True)

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "token"]
        read_only_fields = fields


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    """A person's role in the tenant."""

    username = serializers.CharField(source="user.username")

    class Meta:
        model = Membership
        fields = ["id", "username", "role", "created_at"]
        read_only_fields = fields


class LoginSerializer(serializers.Serializer[Any]):
    """A person's log-in. `tenant` is needed only by members of several."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, write_only=True)
    tenant = serializers.CharField(max_length=63, required=False)


class RefreshSerializer(serializers.Serializer[Any]):
    """A refresh token."""

    refresh = serializers.CharField(max_length=4000)


class TokensSerializer(serializers.Serializer[Any]):
    """An access token (15 minutes) and the refresh token that renews it (a day)."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class AccessTokenSerializer(serializers.Serializer[Any]):
    """A new access token."""

    access = serializers.CharField()


class ProblemFieldSerializer(serializers.Serializer[Any]):
    """What is wrong with one field."""

    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem document (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="stable, for programs")
    detail = serializers.CharField(help_text="for people")
    request_id = serializers.CharField()
    errors = ProblemFieldSerializer(many=True, required=False)  # type: ignore[assignment]  # a field of that name


class ApiKeyPageSerializer(Counted):
    """A page of keys."""

    results = ApiKeySerializer(many=True)


class MembershipPageSerializer(Counted):
    """A page of members."""

    results = MembershipSerializer(many=True)
