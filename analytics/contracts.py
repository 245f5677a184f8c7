"""What leaves `analytics`: the values that capture, writer, roll-ups and screens exchange.

Structs are msgspec structs because a busy process makes a hundred thousand of them a second.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

import msgspec


class Outcome(StrEnum):
    """The one end that every received event comes to."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"


class Source(StrEnum):
    """The door that an event came through."""

    API = "api"
    SIGNAL = "signal"
    MIDDLEWARE = "middleware"
    MANUAL = "manual"
    IMPORT = "import"
    AI = "ai"


class Grain(IntEnum):
    """Widths of a stored bucket. Weeks are kept for sets of people only; everything else that is wide is added up."""

    MINUTE = 1
    HOUR = 2
    DAY = 3
    WEEK = 4


class LinkKind(StrEnum):
    """Why two distinct ids are said to be one person."""

    IDENTIFY = "identify"
    ALIAS = "alias"
    MERGE = "merge"
    MANUAL = "manual"


class TenantInfo(msgspec.Struct, frozen=True, gc=False):
    """What capture has to know of a tenant; it comes from the verified key, never from the request."""

    id: int
    slug: str
    zone: str
    base_currency: str
    week_start: int = 0
    sensitive_fields: frozenset[str] = frozenset()
    internal_domains: frozenset[str] = frozenset()


class IdentityLink(msgspec.Struct, frozen=True, gc=False):
    """A claim that `other` is the same person as the event's distinct id."""

    kind: LinkKind
    other: str


class PersonChange(msgspec.Struct, frozen=True):
    """Changes of traits, as PostHog defines them: set overwrites, set_once fills gaps, unset removes."""

    set: dict[str, Any] = {}
    set_once: dict[str, Any] = {}
    unset: tuple[str, ...] = ()


class GroupChange(msgspec.Struct, frozen=True):
    """Traits of a group (company, team …), merged into what is known."""

    type: str
    key: str
    set: dict[str, Any] = {}


class CapturedEvent(msgspec.Struct, kw_only=True):
    """One event after its door: cleaned, clock-corrected, columns promoted, ready to be written.

    `timestamp`, `received_at` and `sent_at` are aware datetimes in UTC. `amount` is in minor units of `currency`.
    `payload_hash` is a signed 64-bit hash of (name, distinct id, client timestamp, properties): two events with
    one id and two hashes are a conflict.
    """

    tenant_id: int
    event_id: str
    name: str
    timestamp: datetime
    received_at: datetime
    payload_hash: int
    distinct_id: str | None = None
    sent_at: datetime | None = None
    client_timestamp: str | None = None
    type: str = "user_action"
    action: str | None = None
    source: str = Source.API
    session_id: str | None = None
    parent_id: str | None = None
    platform: str | None = None
    country: str | None = None
    campaign: str | None = None
    channel: str | None = None
    content_type: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    method: str | None = None
    tier: str | None = None
    reason: str | None = None
    value: float | None = None
    duration_ms: float | None = None
    amount: int | None = None
    currency: str | None = None
    sentiment: float | None = None
    engagement: str | None = None
    is_bot: bool = False
    bot_reason: str | None = None
    is_internal: bool = False
    is_historical: bool = False
    is_clamped: bool = False
    properties: dict[str, Any] = {}
    sensitive: dict[str, Any] = {}
    person: PersonChange | None = None
    group: GroupChange | None = None
    links: tuple[IdentityLink, ...] = ()
    identifies: bool = False


class Refusal(msgspec.Struct, kw_only=True):
    """An event that is not stored, with the reason in words a developer can act on.

    `outcome` is quarantined (kept whole, may be replayed) or rejected (only counted, with a sample).
    """

    tenant_id: int
    outcome: Outcome
    reason: str
    received_at: datetime
    detail: str = ""
    event_id: str | None = None
    name: str | None = None
    payload: bytes = b""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What became of one event. `reason` is a stable code, empty when the event is stored."""

    event_id: str | None
    outcome: Outcome
    reason: str = ""
    detail: str = ""
