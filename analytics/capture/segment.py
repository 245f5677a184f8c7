"""Segment's and RudderStack's family: their messages told in PostHog's shape, and their start-up answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from analytics.capture.decode import UnreadableBody
from analytics.capture.http import Fault, Request
from analytics.capture.posthog import Delivery, checked_batch

ACCEPTED: Final = {"success": True}
LETTERS: Final = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias"}
CAMPAIGN: Final = {
    "source": "utm_source",
    "medium": "utm_medium",
    "name": "utm_campaign",
    "term": "utm_term",
    "content": "utm_content",
}
PAGE: Final = {
    "url": "$current_url",
    "path": "$pathname",
    "referrer": "$referrer",
    "title": "title",
    "referring_domain": "$referring_domain",
}


def delivery(value: Any, request: Request, *, kind: str = "") -> Delivery:
    """What a decoded body holds. `kind` is the type that the path names. Raises `Fault` 401, `UnreadableBody`."""
    if not isinstance(value, dict):
        raise UnreadableBody("the body is no object")
    batch = checked_batch(value["batch"]) if "batch" in value else [value]
    return Delivery(
        token=write_key(request, value.get("writeKey")),
        messages=[message_of(message, kind) for message in batch],
        sent=value.get("sentAt"),
    )


def write_key(request: Request, inner: Any = None) -> str:
    """The one key of a request: Basic user, query or body. Raises `Fault` 401 when they differ."""
    outer = request.basic or request.bearer or request.query.get("writeKey", "")
    if isinstance(inner, str) and inner and outer and inner != outer:
        raise Fault(401, "mixed_api_keys", "The key in the header and the one in the body differ.")
    return outer or (inner if isinstance(inner, str) else "")


def message_of(message: Any, kind: str = "") -> Any:
    """A message in PostHog's shape; what is no object comes back as it is and is refused later."""
    if not isinstance(message, dict):
        return message
    context = _object(message.get("context"))
    user, anonymous = _id(message.get("userId")), _id(message.get("anonymousId"))
    told: dict[str, Any] = {
        "uuid": message.get("messageId"),
        "distinct_id": user or anonymous,
        "timestamp": message.get("originalTimestamp") or message.get("timestamp"),
        "properties": _surroundings(context, message),
    }
    if user and anonymous and user != anonymous:
        told["$other_id"] = anonymous
    shape = SHAPES.get(str(message.get("type") or kind or "track"), _track)
    shape(told, message, context)
    return told


def settings_answer(key: str, host: str) -> dict[str, Any]:
    """What analytics-next needs to send here: only its `cdnURL` has to be set."""
    scheme, _, address = host.partition("://")
    return {
        "integrations": {"Segment.io": {"apiKey": key, "apiHost": f"{address}/v1", "protocol": scheme}},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "metrics": {"sampleRate": 0},
        "remotePlugins": [],
    }


def source_config(key: str, now: str) -> dict[str, Any]:
    """What RudderStack's browser SDK needs to send here."""
    off = {"errors": {"enabled": False}, "metrics": {"enabled": False}}
    return {
        "source": {
            "id": "s",
            "name": "s",
            "writeKey": key,
            "enabled": True,
            "workspaceId": "w",
            "config": {"statsCollection": off},
            "connections": [],
            "destinations": [],
            "dataplanes": {},
        },
        "updatedAt": now,
    }


def _surroundings(context: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    """The context as PostHog's properties, then the message's own, which win."""
    told: dict[str, Any] = {}
    for names, part in ((CAMPAIGN, context.get("campaign")), (PAGE, context.get("page"))):
        for name, value in _object(part).items():
            if value not in (None, "") and name in names:
                told[names[name]] = value
    library = _object(context.get("library"))
    if library.get("name"):
        told["$lib"], told["$lib_version"] = library["name"], library.get("version")
    if context.get("userAgent"):
        told["$raw_user_agent"] = context["userAgent"]
    for name, ours in (("locale", "$browser_language"), ("timezone", "$timezone")):
        if context.get(name):
            told[ours] = context[name]
    system = _object(context.get("os")).get("name")
    if system:
        told["$os"] = system
    session = context.get("sessionId")
    if session not in (None, ""):
        told["$session_id"] = str(session)
    if context.get("groupId"):
        told["$groups"] = {"group": context["groupId"]}
    own = message.get("properties")
    return {**told, **own} if isinstance(own, dict) else told


def _track(told: dict[str, Any], message: Mapping[str, Any], _context: Mapping[str, Any]) -> None:
    name, properties = message.get("event"), told["properties"]
    told["event"] = name
    # Of the e-commerce names those about one product say which.
    product = properties.get("product_id") or properties.get("sku")
    if product and isinstance(name, str) and name.startswith("Product ") and "object_id" not in properties:
        told["properties"] = {**properties, "object_type": "product", "object_id": product}


def _page(told: dict[str, Any], message: Mapping[str, Any], _context: Mapping[str, Any]) -> None:
    told["event"] = "$pageview"
    properties = told["properties"]
    for name, ours in PAGE.items():
        if properties.get(name) not in (None, "") and name != ours:
            properties[ours] = properties.pop(name)
    for name in ("name", "category"):
        if message.get(name):
            properties.setdefault(name, message[name])


def _screen(told: dict[str, Any], message: Mapping[str, Any], _context: Mapping[str, Any]) -> None:
    told["event"] = "$screen"
    if message.get("name"):
        told["properties"]["$screen_name"] = message["name"]


def _identify(told: dict[str, Any], message: Mapping[str, Any], context: Mapping[str, Any]) -> None:
    # RudderStack's browser SDK puts the traits of an identify into the context only.
    traits = _object(message.get("traits")) or _object(context.get("traits"))
    told["event"] = "$identify" if _id(message.get("userId")) else "$set"
    if "$other_id" in told:
        told["properties"]["$anon_distinct_id"] = told.pop("$other_id")
    if traits:
        told["$set"] = traits


def _group(told: dict[str, Any], message: Mapping[str, Any], _context: Mapping[str, Any]) -> None:
    told["event"] = "$groupidentify"
    told["properties"] |= {
        "$group_type": "group",
        "$group_key": message.get("groupId"),
        "$group_set": _object(message.get("traits")),
        "$groups": {"group": message.get("groupId")},
    }


def _alias(told: dict[str, Any], message: Mapping[str, Any], _context: Mapping[str, Any]) -> None:
    told["event"] = "$create_alias"
    told["properties"]["alias"] = _id(message.get("previousId"))


SHAPES: Final[dict[str, Callable[[dict[str, Any], Mapping[str, Any], Mapping[str, Any]], None]]] = {
    "track": _track,
    "page": _page,
    "screen": _screen,
    "identify": _identify,
    "group": _group,
    "alias": _alias,
}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> Any:
    """An id, None for an empty one. Some SDKs store ids as JSON and send the quotes along."""
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 2 and text[0] == text[-1] == '"':
            text = text[1:-1]
        return text or None
    return None if isinstance(value, bool) else value
