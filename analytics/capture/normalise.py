"""The only place that turns a message (PostHog's shape) into an event: every door leads through here.

A message is a mapping with `event`, and what it has of `uuid`, `distinct_id`, `timestamp`, `offset`, `type`,
`properties`, `$set`, `$set_once`, `$unset`. The result is a `CapturedEvent`, or a `Refusal` with the reason in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

from analytics.capture import bots, columns, people
from analytics.capture.clocks import event_time
from analytics.capture.columns import Fate
from analytics.capture.kinds import type_of
from analytics.capture.limits import (
    MAX_EVENT_BYTES,
    MAX_EVENT_ID,
    MAX_NAME,
    MAX_PROPERTIES,
    PLAIN,
    Unfit,
    check_integer,
    check_tree,
    tidy,
)
from analytics.capture.sensitive import EMAIL, holds_sensitive, is_sensitive
from analytics.capture.watch import Watch
from analytics.contracts import CapturedEvent, Outcome, Refusal, Source, TenantInfo
from analytics.daily_visitors import is_daily_id
from analytics.ids import uuid7

# The keys in order, so that the same event gives the same hash whatever order its sender used.
ORDERED: Final = msgspec.json.Encoder(order="sorted")
MAX_TYPE: Final = 40


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What all messages of one request share. `agent` and `address` are the sender's own.

    `is_clean` says that no string holds NUL or a lone surrogate. `seen` counts equal messages without an id, so that
    equal ones in one request stay apart while a retry of the request gives the same ids. `sent_text` is the raw time
    of sending, which tells a retry of a message without id and time from a new one.
    """

    tenant: TenantInfo
    received_at: datetime
    source: str = Source.API
    sent_at: datetime | None = None
    sent_text: str | None = None
    agent: str = ""
    address: str = ""
    host: str = ""
    secret: bytes = b""
    is_prefetch: bool = False
    watch: Watch | None = None
    is_historical: bool = False
    is_clean: bool = False
    seen: dict[bytes, int] = {}


def normalise(
    raw: Mapping[str, Any],
    *,
    tenant: TenantInfo,
    received_at: datetime,
    source: str = Source.API,
    sent_at: datetime | None = None,
    agent: str = "",
    is_historical: bool = False,
) -> CapturedEvent | Refusal:
    """The event that a message of Python values stands for. Never raises for what a message holds."""
    arrival = Arrival(
        tenant=tenant,
        received_at=received_at,
        source=source,
        sent_at=sent_at,
        agent=agent,
        is_historical=is_historical,
    )
    return event_of(raw, arrival)


def event_of(raw: Any, arrival: Arrival) -> CapturedEvent | Refusal:
    """The event that a message stands for, as part of its request."""
    try:
        return _event(raw if arrival.is_clean else tidy(raw), arrival)
    except Unfit as unfit:
        return refusal(raw, arrival, unfit)


def refusal(raw: Any, arrival: Arrival, unfit: Unfit) -> Refusal:
    """The refusal of a message. A quarantined one is kept whole, in a form that `replayed` reads."""
    payload = _held(raw, arrival) if unfit.outcome is Outcome.QUARANTINED else b""
    outcome, reason, detail = unfit.outcome, unfit.reason, unfit.detail
    if len(payload) > MAX_EVENT_BYTES:
        outcome, reason, detail, payload = (
            Outcome.REJECTED,
            "too_large",
            _too_large().detail,
            b"",
        )
    message = tidy({"uuid": raw.get("uuid"), "event": raw.get("event")}) if isinstance(raw, Mapping) else {}
    uuid, name = message.get("uuid"), message.get("event")
    return Refusal(
        tenant_id=arrival.tenant.id,
        outcome=outcome,
        reason=reason,
        received_at=arrival.received_at,
        detail=tidy(detail),
        event_id=uuid[:MAX_EVENT_ID] if isinstance(uuid, str) and uuid else None,
        name=name[:MAX_NAME] if isinstance(name, str) and name else None,
        payload=payload,
    )


def replayed(payload: bytes, *, tenant: TenantInfo) -> CapturedEvent | Refusal:
    """Another try of a quarantined message, as of its first receipt. Raises `msgspec.DecodeError` for others."""
    held = msgspec.json.decode(payload, type=Held)
    return normalise(
        held.message,
        tenant=tenant,
        received_at=held.received_at,
        source=held.source,
        sent_at=held.sent_at,
        is_historical=held.is_historical,
    )


class Held(msgspec.Struct, frozen=True):
    """A quarantined message with what its request said. Numbers that could not be kept are texts here."""

    message: dict[str, Any]
    received_at: datetime
    source: str
    sent_at: datetime | None = None
    is_historical: bool = False


def _held(raw: Any, arrival: Arrival) -> bytes:
    message = _encodable(tidy(raw)) if isinstance(raw, Mapping) else {"value": _encodable(tidy(raw))}
    return msgspec.json.encode(
        Held(message, arrival.received_at, arrival.source, arrival.sent_at, arrival.is_historical)
    )


def _encodable(value: Any) -> Any:
    """The value with every number that JSON or PostgreSQL cannot keep as a text."""
    kind = type(value)
    if kind is dict:
        return {key: _encodable(item) for key, item in value.items()}
    if kind is list:
        return [_encodable(item) for item in value]
    if kind is int or kind is float or kind is Decimal:
        try:
            check_tree("", value if kind is not Decimal else float(value))
        except (Unfit, OverflowError):
            return _digits(value)
    return str(value) if isinstance(value, str) else value


def _digits(value: Any) -> str:
    try:
        return str(value)[:100]
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        return hex(value)[:100]


def _event(raw: Any, arrival: Arrival) -> CapturedEvent:
    if not isinstance(raw, Mapping):
        raise Unfit("not_an_object", "an event must be a JSON object", outcome=Outcome.REJECTED)
    name = _name(raw.get("event"))
    properties = raw.get("properties")
    if type(properties) is not dict:
        properties = _no_properties(properties)
    time = event_time(
        raw.get("timestamp"),
        received_at=arrival.received_at,
        sent_at=None if properties.get("$ignore_sent_at") else arrival.sent_at,
        offset=raw.get("offset"),
    )
    subject = people.distinct_id(raw, properties)
    if subject == people.COOKIELESS:
        subject = _cookieless(arrival, time.timestamp, properties)
    kept, sealed, found = _sorted_out(properties, arrival.tenant.sensitive_fields)
    filled = columns.promote(found, kept, arrival.tenant.base_currency) if found else {}
    event = CapturedEvent(
        tenant_id=arrival.tenant.id,
        event_id="",
        name=name,
        timestamp=time.timestamp,
        received_at=arrival.received_at,
        payload_hash=0,
        distinct_id=subject,
        sent_at=arrival.sent_at,
        client_timestamp=time.client,
        type=_type(raw, name),
        source=arrival.source,
        is_historical=arrival.is_historical,
        is_clamped=time.is_clamped,
        properties=kept,
        sensitive=sealed,
        **filled,
    )
    _tell_machine(event, properties, arrival)
    _tell_people(event, raw, properties, arrival)
    if arrival.tenant.internal_domains or "$internal" in properties:
        event.is_internal = _is_internal(event, properties, arrival.tenant.internal_domains)
    _sign(event, raw, properties, arrival)
    return event


def _name(value: Any) -> str:
    if type(value) is not str or not value:
        raise Unfit("no_event_name", "every event needs a name in `event`")
    if len(value) > MAX_NAME:
        raise Unfit(
            "name_too_long",
            f"event name {value[:40]!r}… is longer than {MAX_NAME} characters",
        )
    return value


def _no_properties(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    raise Unfit("properties_not_object", "`properties` must be a JSON object")


def _sorted_out(
    properties: dict[str, Any], declared: frozenset[str]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The properties as (kept, sensitive, columns to fill). Raises `Unfit` for what cannot be stored."""
    if len(properties) > MAX_PROPERTIES:
        raise Unfit("too_many_properties", f"an event has more than {MAX_PROPERTIES} properties")
    kept: dict[str, Any] = {}
    sealed: dict[str, Any] = {}
    found: dict[str, Any] = {}
    fates = columns.known_fates
    for key, value in properties.items():
        fate = fates.get(key)
        if fate is None:
            fate = columns.fate(key)
        if fate is Fate.DROP or value is None:
            continue
        kind = type(value)
        if kind is str:
            if ("@" in value or "%40" in value) and key not in columns.IDS and EMAIL.search(value):
                fate = Fate.SEAL
        elif kind is int:
            check_integer(key, value)
        elif kind not in PLAIN:
            value, fate = _checked(key, value, fate, declared)
        if fate is Fate.KEEP:
            kept[key] = value
        elif fate is Fate.COLUMN:
            found[key] = value
        else:
            sealed[key] = value
    if declared:
        _seal_declared(kept, sealed, found, declared)
    return kept, sealed, found


def _checked(key: str, value: Any, fate: Fate, declared: frozenset[str]) -> tuple[Any, Fate]:
    """A number or container that may be stored, and where it belongs."""
    if type(value) is Decimal:
        if not value.is_finite():
            check_tree(key, float("nan"))
        return (value if fate is Fate.COLUMN else float(value)), fate
    check_tree(key, value)
    if fate is Fate.KEEP and type(value) is not float and holds_sensitive(value, declared):
        return value, Fate.SEAL
    return value, fate


def _seal_declared(
    kept: dict[str, Any],
    sealed: dict[str, Any],
    found: dict[str, Any],
    declared: frozenset[str],
) -> None:
    for place in (kept, found):
        for key in [key for key in place if is_sensitive(key, declared)]:
            sealed[key] = place.pop(key)


def _type(raw: Mapping[str, Any], name: str) -> str:
    said = raw.get("type")
    if type(said) is str and 0 < len(said) <= MAX_TYPE:
        return said
    return type_of(name)


def _cookieless(arrival: Arrival, timestamp: datetime, properties: Mapping[str, Any]) -> str:
    return people.cookieless_id(
        day=timestamp.date().isoformat(),
        address=arrival.address,
        agent=str(properties.get("$raw_user_agent") or arrival.agent),
        host=str(properties.get("$host") or arrival.host),
        tenant_id=arrival.tenant.id,
        secret=arrival.secret,
    )


SERVER_LIBRARIES: Final = (
    "python",
    "node",
    "go",
    "ruby",
    "php",
    "java",
    "dotnet",
    "elixir",
    "server",
    "rust",
)
MOBILE_LIBRARIES: Final = {
    "posthog-ios": "ios",
    "posthog-android": "android",
    "analytics-ios": "ios",
}


def _tell_machine(event: CapturedEvent, properties: Mapping[str, Any], arrival: Arrival) -> None:
    """Platform, browser and bot, from what the client says of itself, else from its User-Agent."""
    library = properties.get("$lib")
    own = properties.get("$raw_user_agent") or properties.get("$user_agent")
    told = bots.agent(own if type(own) is str else arrival.agent)
    if event.platform is None:
        event.platform = _platform(library, properties) or told.platform
    if told.bot_reason is not None or arrival.is_prefetch:
        event.is_bot, event.bot_reason = True, told.bot_reason or "prefetch"
    elif told.browser is not None and arrival.watch is not None and not arrival.is_historical:
        _watch(event, arrival, arrival.watch)
    if told.browser is not None and "$browser" not in properties:
        event.properties["$browser"] = told.browser
        event.properties.setdefault("$os", told.os or "Other")
        event.properties.setdefault("$device_type", told.device_type)


def _watch(event: CapturedEvent, arrival: Arrival, watch: Watch) -> None:
    reason = watch.reason(event.tenant_id, event.distinct_id, arrival.address, event.timestamp, arrival.received_at)
    if reason is not None:
        event.is_bot, event.bot_reason = True, reason


def _platform(library: Any, properties: Mapping[str, Any]) -> str | None:
    if type(library) is str:
        if library in ("web", "analytics.js", "js"):
            return "web"
        if library in MOBILE_LIBRARIES:
            return MOBILE_LIBRARIES[library]
        if library.endswith(SERVER_LIBRARIES):
            return "server"
    if properties.get("$is_server") is True:
        return "server"
    system = properties.get("$os_name") or properties.get("$os")
    return {"iOS": "ios", "iPadOS": "ios", "Android": "android"}.get(system) if type(system) is str else None


def _tell_people(event: CapturedEvent, raw: Mapping[str, Any], properties: Mapping[str, Any], arrival: Arrival) -> None:
    """Links, traits and groups. Without a distinct id, or when the client wants no profile, there are none."""
    name, subject = event.name, event.distinct_id
    if name == "$groupidentify":
        event.group = people.group_change(properties)
    if subject is None or name in people.NO_PERSON_EVENTS:
        return
    also = raw.get("$other_id")
    if name in people.LINKING or also is not None:
        event.links = people.links(name, subject, _of_today(event, properties, arrival), also)
        event.identifies = name in people.LINKING and people.is_legal(subject) and not is_daily_id(subject)
    if properties.get("$process_person_profile") is not False:
        event.person = people.person_change(raw, properties)


def _of_today(event: CapturedEvent, properties: Mapping[str, Any], arrival: Arrival) -> Mapping[str, Any]:
    """The properties of a claim that names the visitor without a cookie: by the id that they have on that day."""
    other = people.LINKING.get(event.name, ("",))[0]
    if properties.get(other) != people.COOKIELESS:
        return properties
    return {**properties, other: _cookieless(arrival, event.timestamp, properties)}


def _is_internal(event: CapturedEvent, properties: Mapping[str, Any], domains: frozenset[str]) -> bool:
    if properties.get("$internal") is True:
        return True
    said = [
        event.distinct_id,
        event.sensitive.get("email"),
        event.sensitive.get("$user_email"),
    ]
    if event.person is not None:
        said.append(event.person.set.get("email"))
    return any(isinstance(text, str) and text.rpartition("@")[2].lower() in domains for text in said if text)


def _sign(
    event: CapturedEvent,
    raw: Mapping[str, Any],
    properties: Mapping[str, Any],
    arrival: Arrival,
) -> None:
    """Sets the hash that tells a retry from a conflict, and the id. Raises `Unfit` when the event is too large."""
    person = event.person
    text = ORDERED.encode(
        (
            event.name,
            event.distinct_id,
            raw.get("timestamp"),
            properties,
            None if person is None else (person.set, person.set_once, person.unset),
        )
    )
    if len(text) > MAX_EVENT_BYTES:
        raise _too_large()
    digest = blake2b(text, digest_size=16).digest()
    event.payload_hash = int.from_bytes(digest[:8], "big", signed=True)
    event.event_id = _client_id(raw.get("uuid") or properties.get("$insert_id")) or _made_id(digest, raw, arrival)


def _client_id(value: Any) -> str | None:
    if type(value) is not str:
        if type(value) is not int:
            return None
        value = str(value)
    if len(value) > MAX_EVENT_ID:
        return blake2b(value.encode(), digest_size=16).hexdigest()
    return value if people.usable_uuid(value) else None


def _made_id(digest: bytes, raw: Mapping[str, Any], arrival: Arrival) -> str:
    """An id for a message that has none: the same for a retry when anything at all tells a retry from a new event."""
    if raw.get("timestamp") is None:
        if arrival.sent_text is None:
            return str(uuid7())
        digest = blake2b(digest + arrival.sent_text.encode(), digest_size=16).digest()
    n = arrival.seen[digest] = arrival.seen.get(digest, 0) + 1
    if n > 1:
        digest = blake2b(digest + n.to_bytes(4, "big"), digest_size=16).digest()
    return str(UUID(bytes=digest, version=5))


def _too_large() -> Unfit:
    return Unfit(
        "too_large",
        f"an event is larger than {MAX_EVENT_BYTES} bytes",
        outcome=Outcome.REJECTED,
    )
