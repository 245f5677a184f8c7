"""Who an event is about, and what it says of people and groups (PostHog's rules, INGEST.md section 11)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

from analytics.capture.limits import MAX_DISTINCT_ID, Unfit, check_key, check_tree
from analytics.contracts import GroupChange, IdentityLink, LinkKind, PersonChange
from analytics.daily_visitors import OF_BROWSERS

ILLEGAL_IDS: Final = frozenset(
    {
        "", "anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email", "undefined",
        "true", "false", "null", "none", "nan", "0", "[object object]", "00000000-0000-0000-0000-000000000000",
    }
)  # fmt: skip
NIL: Final = str(UUID(int=0))
COOKIELESS: Final = "$posthog_cookieless"
NO_PERSON_EVENTS: Final = frozenset({"$exception", "$$heatmap"})
LINKING: Final = {
    "$identify": ("$anon_distinct_id", LinkKind.IDENTIFY),
    "$create_alias": ("alias", LinkKind.ALIAS),
    "$merge_dangerously": ("alias", LinkKind.MERGE),
}
CHANGES: Final = ("$set", "$set_once", "$unset")


def distinct_id(raw: Mapping[str, Any], properties: Mapping[str, Any]) -> str | None:
    """The distinct id of a message, None when it has none. Raises `Unfit` when it is too long to keep whole."""
    found = raw.get("distinct_id")
    if found is None or found == "":
        found = raw.get("$distinct_id")
        if found is None or found == "":
            found = properties.get("distinct_id")
            if found is None or found == "":
                return None
    return id_text(found)


def id_text(value: Any) -> str:
    """An id as text: numbers and containers become their JSON. Raises `Unfit` over 400 characters."""
    if type(value) is not str:
        value = msgspec.json.encode(value).decode() if isinstance(value, dict | list | bool) else str(value)
    if len(value) > MAX_DISTINCT_ID:
        # Cutting would make one person of many.
        raise Unfit(
            "distinct_id_too_long",
            f"distinct id {value[:40]!r}… is longer than {MAX_DISTINCT_ID} characters",
        )
    return str(value)


def is_legal(text: str) -> bool:
    """Whether an id may stand for one person. "guest" or "null" would make everybody one."""
    return text.strip().strip("\"'").lower() not in ILLEGAL_IDS


def cookieless_id(*, day: str, address: str, agent: str, host: str, tenant_id: int, secret: bytes) -> str:
    """A distinct id that holds for one day and one visitor, and that nobody can turn back (S35)."""
    visitor = "\n".join((day, str(tenant_id), host, address, agent)).encode()
    return OF_BROWSERS + blake2b(visitor, key=blake2b(secret).digest()[:32], digest_size=16).hexdigest()


def links(name: str, subject: str, properties: Mapping[str, Any], also: Any = None) -> tuple[IdentityLink, ...]:
    """The links that an event claims. `also` is a second id of the same visitor, as Segment's browsers send it."""
    kind = LINKING.get(name)
    found = () if kind is None else _link(kind[1], subject, properties.get(kind[0]))
    return found or (() if also is None else _link(LinkKind.IDENTIFY, subject, also))


def _link(kind: LinkKind, subject: str, other: Any) -> tuple[IdentityLink, ...]:
    if other is None or other == "" or isinstance(other, dict | list | bool):
        return ()
    text = id_text(other)
    if text == subject or not is_legal(text) or not is_legal(subject):
        return ()
    return (IdentityLink(kind, text),)


def person_change(raw: Mapping[str, Any], properties: Mapping[str, Any]) -> PersonChange | None:
    """The changes of traits that a message carries, at its top or in its properties; the top wins."""
    said = [name for name in CHANGES if name in raw or name in properties]
    if not said:
        return None
    found = {name: _said(name, raw, properties) for name in said}
    if not any(found.values()):
        return None
    unset = found.get("$unset")
    return PersonChange(
        set=_traits("$set", found.get("$set")),
        set_once=_traits("$set_once", found.get("$set_once")),
        unset=tuple(str(key) for key in unset) if isinstance(unset, dict | list) else (),
    )


def _said(name: str, raw: Mapping[str, Any], properties: Mapping[str, Any]) -> Any:
    top = raw.get(name)
    inner = properties.get(name)
    if isinstance(top, dict) and isinstance(inner, dict):
        return {**inner, **top}
    return inner if top is None else top


def _traits(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    check_tree(name, value)
    return {key: item for key, item in value.items() if item is not None}


def group_change(properties: Mapping[str, Any]) -> GroupChange | None:
    """What `$groupidentify` says of a group; None without type or key."""
    kind, key = properties.get("$group_type"), properties.get("$group_key")
    if kind in (None, "") or key in (None, ""):
        return None
    check_key(str(kind))
    return GroupChange(str(kind), id_text(key), _traits("$group_set", properties.get("$group_set")))


def usable_uuid(text: str) -> bool:
    """Whether a client's id can tell events apart; the nil UUID cannot."""
    return bool(text) and text != NIL
