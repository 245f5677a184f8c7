"""Answers as JSON-ready values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any


def plain(value: Any) -> Any:
    """Dataclasses as objects, tuples as lists, instants in ISO 8601, spans in seconds, decimals as numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, Decimal) else value


def money(minor: int | Decimal | None, exponent: int) -> str | None:
    """Minor units as a decimal string, rounded half up to whole ones (S16)."""
    if minor is None:
        return None
    whole = Decimal(minor).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return str(whole.scaleb(-exponent).quantize(Decimal(1).scaleb(-exponent)))
