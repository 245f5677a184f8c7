"""Our own `POST /api/v1/events/`: one event, a list, or `{"events": […]}`, and a verdict for each.

{"events": [{"id": "…", "event": "order_completed", "user": "42", "timestamp": "2026-11-21T10:00:00Z",
             "value": 19.9, "currency": "EUR", "object": {"type": "product", "id": "7"}, "properties": {}}]}
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from analytics.capture.decode import UnreadableBody
from analytics.capture.http import Request
from analytics.capture.posthog import Delivery, checked_batch
from analytics.contracts import Outcome, Verdict

# Members of an event that are columns; a property of the same name does not override them.
MEMBERS: Final = (
    "value",
    "currency",
    "amount",
    "duration_ms",
    "session_id",
    "parent_id",
    "action",
    "platform",
    "country",
    "campaign",
    "channel",
    "content_type",
    "method",
    "tier",
    "reason",
    "sentiment",
    "engagement",
)
TRAITS: Final = ("$set", "$set_once", "$unset")
# Members with a meaning of their own. Any other one is a property that was put in the wrong place.
TOLD: Final = frozenset(
    {
        "id", "uuid", "event", "user", "distinct_id", "anonymous_id", "timestamp", "type", "object", "properties",
        *MEMBERS, *TRAITS,
    }
)  # fmt: skip


def delivery(value: Any, request: Request) -> Delivery:
    """What a decoded body holds. Raises `UnreadableBody`, `Fault` 413."""
    envelope = value if isinstance(value, dict) else {}
    if "events" in envelope:
        events = checked_batch(envelope["events"])
    elif isinstance(value, list):
        events = checked_batch(value)
    elif isinstance(value, dict):
        events = [value]
    else:
        raise UnreadableBody("send an event, a list of events, or an object with `events`")
    return Delivery(
        token=request.bearer or request.headers.get("x-api-key", ""),
        messages=[message_of(event) for event in events],
        sent=envelope.get("sent_at"),
        is_historical=envelope.get("is_historical") is True,
    )


def message_of(event: Any) -> Any:
    """An event in PostHog's shape; what is no object comes back as it is and is refused later."""
    if not isinstance(event, dict):
        return event
    told = event.get("properties")
    if told is not None and not isinstance(told, dict):
        return {"uuid": event.get("id"), "event": event.get("event"), "properties": told}
    properties = {name: value for name, value in event.items() if name not in TOLD} | (told or {})
    for name in MEMBERS:
        if event.get(name) is not None:
            properties[name] = event[name]
    thing = event.get("object")
    if isinstance(thing, dict):
        properties["object_type"], properties["object_id"] = thing.get("type"), thing.get("id")
    user = event.get("user", event.get("distinct_id"))
    anonymous = event.get("anonymous_id")
    message: dict[str, Any] = {
        "uuid": event.get("id", event.get("uuid")),
        "event": event.get("event"),
        "distinct_id": anonymous if user in (None, "") else user,
        "timestamp": event.get("timestamp"),
        "type": event.get("type"),
        "properties": properties,
    }
    if user not in (None, "") and anonymous not in (None, ""):
        message["$other_id"] = anonymous
    for name in TRAITS:
        if name in event:
            message[name] = event[name]
    return message


def answer(verdicts: list[Verdict]) -> dict[str, Any]:
    """A verdict for each event in the order they came, and how many came to each end."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    results = [
        {"id": verdict.event_id, "outcome": verdict.outcome, "reason": verdict.reason, "detail": verdict.detail}
        for verdict in verdicts
    ]
    return {"results": results, **{outcome.value: counts[outcome] for outcome in Outcome}}
