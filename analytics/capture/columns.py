"""Which properties become columns, so that hot filters never read JSON.

Several names may mean one column; the first in the list wins, a loser stays a property. A text that became a column
unchanged leaves the properties.
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

from analytics.capture import money
from analytics.capture.limits import MAX_COLUMN, Unfit, check_key
from analytics.capture.sensitive import is_sensitive


class Fate(IntEnum):
    """What becomes of a property."""

    KEEP = 0
    DROP = 1
    SEAL = 2
    COLUMN = 3


TEXT_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "session_id": ("$session_id", "session_id"),
    "parent_id": ("parent_id", "$parent_id"),
    "platform": ("platform",),
    "country": ("country", "country_code", "$geoip_country_code"),
    "campaign": ("utm_campaign", "campaign", "$session_entry_utm_campaign"),
    "channel": ("utm_source", "channel", "$session_entry_utm_source"),
    "content_type": ("content_type",),
    "object_type": ("object_type",),
    "object_id": ("object_id",),
    "method": ("method", "payment_method"),
    "tier": ("tier",),
    "reason": ("reason",),
    "engagement": ("engagement", "engagement_level"),
    "action": ("action",),
}
COLUMN_OF: Final = {name: column for column, names in TEXT_COLUMNS.items() for name in names}
# They tell which thing, and may be anything; an erasure takes out those that are the person's.
IDS: Final = frozenset(name for column in ("session_id", "parent_id", "object_id") for name in TEXT_COLUMNS[column])
RANK: Final = {name: rank for names in TEXT_COLUMNS.values() for rank, name in enumerate(names)}
MONEY_NAMES: Final = ("amount", "revenue")
TOTAL: Final = "total"
"""Segment's name for the money of a refund, and of an order that tells no `revenue`."""
NUMBER_NAMES: Final = frozenset({"value", "currency", "duration_ms", "duration", "sentiment", TOTAL, *MONEY_NAMES})
# Said elsewhere, of no use once read, or an identity in plain text.
DROPPED: Final = frozenset(
    {
        "token", "api_key", "$token", "distinct_id", "$distinct_id", "$anon_distinct_id", "$user_id",
        "$device_id", "$insert_id", "$time", "alias", "$set", "$set_once", "$unset", "$group_type",
        "$group_key", "$group_set", "$raw_user_agent", "$user_agent", "$ip", "$config_defaults",
        "$process_person_profile", "$ignore_sent_at", "$geoip_disable", "$is_server", "$internal",
        "$cookieless_mode",
    }
)  # fmt: skip
DROPPED_BEGINNINGS: Final = ("$sdk_debug_", "$lib_rate_limit_", "$geoip_")
REMEMBERED: Final = 50_000
_fates: dict[str, Fate] = {}


def fate(name: str) -> Fate:
    """What becomes of a property of this name, whatever its tenant. Raises `Unfit` for a name that is too long."""
    check_key(name)
    found = _fate(name)
    if len(_fates) < REMEMBERED:
        _fates[name] = found
    return found


known_fates: Final = _fates
"""Fates of the names seen so far, read directly where every nanosecond counts."""


def _fate(name: str) -> Fate:
    if name in COLUMN_OF or name in NUMBER_NAMES:
        return Fate.COLUMN
    if name in DROPPED or name.startswith(DROPPED_BEGINNINGS):
        return Fate.DROP
    return Fate.SEAL if is_sensitive(name) else Fate.KEEP


def promote(found: dict[str, Any], kept: dict[str, Any], base_currency: str) -> dict[str, Any]:
    """The columns that `found` properties fill; what is not (or not exactly) taken over is put into `kept`.

    Raises `Unfit` for money that cannot be counted.
    """
    columns: dict[str, Any] = {}
    taken: dict[str, int] = {}
    if not found.keys().isdisjoint(NUMBER_NAMES):
        _promote_numbers(found, kept, columns, base_currency)
    for name, value in found.items():
        column = COLUMN_OF.get(name)
        if column is None:
            continue
        text = _text(value)
        if text is None or (column in taken and taken[column] < RANK[name]):
            kept[name] = value
            continue
        if column in taken:
            loser = TEXT_COLUMNS[column][taken[column]]
            kept[loser] = found[loser]
        taken[column] = RANK[name]
        columns[column] = _country(text) if column == "country" else text
    return columns


def _text(value: Any) -> str | None:
    kind = type(value)
    text = value if kind is str else str(value) if kind is int else None
    return text if text and len(text) <= MAX_COLUMN else None


def _country(text: str) -> str:
    return text.upper() if len(text) == 2 and text.isalpha() else text


def _promote_numbers(
    found: dict[str, Any],
    kept: dict[str, Any],
    columns: dict[str, Any],
    base_currency: str,
) -> None:
    _promote_money(found, kept, columns, base_currency)
    if "value" in found:
        _promote_float("value", "value", 1.0, found, kept, columns)
    if "duration_ms" in found:
        _promote_float("duration_ms", "duration_ms", 1.0, found, kept, columns)
        if "duration" in found:
            kept["duration"] = found["duration"]
    elif "duration" in found:
        _promote_float("duration", "duration_ms", 1000.0, found, kept, columns)
    if "sentiment" in found:
        _promote_float("sentiment", "sentiment", 1.0, found, kept, columns)
        if not -1.0 <= columns.get("sentiment", 0.0) <= 1.0:
            kept["sentiment"] = columns.pop("sentiment")


def _promote_float(
    name: str,
    column: str,
    factor: float,
    found: dict[str, Any],
    kept: dict[str, Any],
    columns: dict[str, Any],
) -> None:
    value = found[name]
    kind = type(value)
    if kind is not float and kind is not int and (read := money.number(value)) is not None:
        value, kind = float(read), float
    if kind is not float and kind is not int:
        kept[name] = value
        return
    result = float(value) * factor
    if not math.isfinite(result):
        raise Unfit("bad_number", f"{name} {str(value)[:40]} is not a finite number")
    columns[column] = result


def _promote_money(found: dict[str, Any], kept: dict[str, Any], columns: dict[str, Any], base_currency: str) -> None:
    currency = found.get("currency")
    name = _money_name(found, currency)
    for spare in (*MONEY_NAMES, TOTAL):
        if spare in found and spare != name:
            kept[spare] = found[spare]
    if name is None:
        if currency is not None:
            kept["currency"] = currency
        return
    amount = money.number(found[name])
    if amount is None:
        if currency is not None:
            raise Unfit("unreadable_amount", f"{name} {str(found[name])[:40]!r} with a currency is not a number")
        kept[name] = found[name]
        return
    code = base_currency if currency is None else money.currency_code(currency)
    units = money.minor_units(amount, code)
    columns["amount"], columns["currency"] = units, code
    if name != "value" and not money.is_exact(amount, units, code):
        kept[name] = float(amount) if isinstance(found[name], Decimal) else found[name]


def _money_name(found: dict[str, Any], currency: Any) -> str | None:
    """Which property is the money; `value` and, where it surely is money, `total` only beside a currency."""
    for name in MONEY_NAMES:
        if name in found:
            return name
    if currency is not None and "value" in found:
        return "value"
    is_money = TOTAL in found and money.is_currency(currency) and money.number(found[TOTAL]) is not None
    return TOTAL if is_money else None
