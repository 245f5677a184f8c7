"""What an event may be: sizes, depths and numbers. Whatever passes here can be stored and read again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from analytics.capture.parse import INT64, MAX_DEPTH, BadNumber, clean_text
from analytics.contracts import Outcome

MAX_EVENT_BYTES: Final = 1024 * 1024
MAX_BATCH_EVENTS: Final = 10_000
MAX_PROPERTIES: Final = 1_000
MAX_KEY: Final = 200
MAX_NAME: Final = 200
MAX_DISTINCT_ID: Final = 400
MAX_EVENT_ID: Final = 400
MAX_COLUMN: Final = 200
MAX_EXPONENT: Final = 308


class Unfit(Exception):
    """An event that cannot be stored. `reason` is a stable code, `detail` says what to change."""

    def __init__(self, reason: str, detail: str, *, outcome: Outcome = Outcome.QUARANTINED) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.outcome = outcome


def bad_number(name: str, value: object) -> Unfit:
    """The refusal of a number that is not finite or beyond 64 bits."""
    return Unfit(
        "bad_number",
        f"{name[:MAX_KEY]}: {str(value)[:40]} is not finite or beyond 64 bits; send it as text",
    )


def check_key(key: str) -> None:
    """Raises `Unfit` for a property name that is too long."""
    if len(key) > MAX_KEY:
        raise Unfit(
            "key_too_long",
            f"property name {key[:40]!r}… is longer than {MAX_KEY} characters",
        )


def check_integer(name: str, value: int) -> None:
    """Raises `Unfit` beyond 64 bits: PostgreSQL would keep it, and few readers could."""
    if not -INT64 <= value < INT64:
        raise bad_number(name, value)


def check_tree(name: str, value: Any, depth: int = 3) -> None:
    """Raises `Unfit` where a container is too deep, too wide, or holds a bad key or number.

    `depth` counts from the event itself, which is 1; a value inside `properties` is therefore at 3.
    """
    kind = type(value)
    if kind is dict:
        _check_size(name, value, depth)
        for key, item in value.items():
            check_key(key)
            if type(item) not in PLAIN:
                check_tree(name, item, depth + 1)
    elif kind is list:
        _check_size(name, (), depth)
        for item in value:
            if type(item) not in PLAIN:
                check_tree(name, item, depth + 1)
    elif kind is int:
        check_integer(name, value)
    elif kind is BadNumber or (kind is float and not math.isfinite(value)):
        raise bad_number(name, value)


PLAIN: Final = frozenset({str, bool, type(None)})


def _check_size(name: str, value: Mapping[str, Any] | tuple[()], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Unfit("too_deep", f"{name[:MAX_KEY]} is nested deeper than {MAX_DEPTH} levels")
    if len(value) > MAX_PROPERTIES:
        raise Unfit(
            "too_many_properties",
            f"{name[:MAX_KEY]} has more than {MAX_PROPERTIES} keys",
        )


def tidy(value: Any, depth: int = 1) -> Any:
    """A copy fit for JSON: strings cleaned, Python's own kinds as text, nesting cut just beyond the limit.

    Decimals stay, because money reads them exactly.
    """
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if value is None or kind in KEPT:
        return value
    if depth > MAX_DEPTH + 1:
        return "…"
    if isinstance(value, Mapping):
        return {clean_text(str(key)): tidy(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [tidy(item, depth + 1) for item in value]
    return _tidy_scalar(value)


KEPT: Final = frozenset({bool, int, float, Decimal, BadNumber})


def _tidy_scalar(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return clean_text(bytes(value).decode("utf-8", errors="replace"))
    return clean_text(str(value) if isinstance(value, UUID | str) else f"{value}")
