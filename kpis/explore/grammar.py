"""From JSON to frozen questions: relative ranges become instants, names are checked against what the tenant has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from analytics.contracts import TenantInfo
from analytics.filters import calendar_of, named_period, period_parameters, refuse
from analytics.periods import Calendar, Period, RangeError, parse_range
from kpis.compare import asked_period, range_before
from kpis.explore.fields import Strict
from kpis.explore.picks import EventPick
from kpis.parameters import AGAINST, DEFAULT_PERIOD

MAX_QUESTION: Final = 50_000
MAX_VALUES: Final = 5_000
"""Engines take a question apart value by value: 150,000 of them cost 40 s and a gigabyte."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, when."""

    tenant: TenantInfo
    now: datetime

    @property
    def calendar(self) -> Calendar:
        return calendar_of(self.tenant)


def question_of(text: str) -> dict[str, Any]:
    """The JSON object of `?q=`."""
    if not text:
        refuse("q", "required", "Give the question as JSON in `q`, or send it as the body of a POST.")
    if len(text) > MAX_QUESTION:
        refuse("q", "too_long", f"A question is at most {MAX_QUESTION} characters; send longer ones by POST.")
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        refuse("q", "invalid_json", "`q` is no JSON.")
    if not isinstance(found, dict):
        refuse("q", "invalid_json", "`q` is a JSON object.")
    return found


def checked(body: type[Strict], data: Any) -> dict[str, Any]:
    """The question as its serializer reads it; refused field by field."""
    if _is_larger(data, MAX_VALUES):
        refuse("question", "too_long", f"A question has at most {MAX_VALUES} names and values; make a segment instead.")
    serializer = body(data=data if isinstance(data, Mapping) else {})
    serializer.is_valid(raise_exception=True)
    valid: dict[str, Any] = serializer.validated_data
    if "\\u0000" in json.dumps(data, default=str):
        refuse("question", "invalid_text", "A value with a NUL character matches nothing.")
    return valid


def _is_larger(data: Any, most: int) -> bool:
    """Whether it holds more keys and values than that, at any depth."""
    waiting, count = [data], 0
    while waiting and count <= most:
        value = waiting.pop()
        count += 1
        if isinstance(value, Mapping):
            waiting.extend(value.values())
            count += len(value)
        elif isinstance(value, list | tuple):
            count += max(len(value) - most, 0)
            waiting.extend(value[: most + 1])
    return count > most


def range_of(wanted: Mapping[str, Any], asking: Asking, default: str = DEFAULT_PERIOD) -> Period:
    """The range of a question."""
    texts = {name: str(wanted[name]) for name in ("period", "from", "to") if wanted.get(name)}
    return period_parameters(texts, asking.calendar, asking.now, default=default)


def against_of(wanted: Mapping[str, Any], period: Period, asking: Asking) -> tuple[datetime, datetime] | None:
    """The range that it is compared with."""
    text = wanted.get("compare") or "none"
    if text == "none":
        return None
    asked = asked_period(period.start, period.end, asking.calendar)
    for word in AGAINST:
        if text == word:
            other = range_before(asked, word, asking.calendar, through=asking.now)
            return other.start, other.end
    try:
        parse_range(text, asking.calendar, asking.now)
    except (RangeError, OverflowError):
        refuse("compare", "invalid_compare", "`compare` is previous, year_ago, none or a range such as 2026-10.")
    other = named_period(text, "compare", asking.calendar, asking.now)
    return other.start, other.end


def pick_of(wanted: Mapping[str, Any]) -> EventPick:
    """Which events."""
    return EventPick(tuple(wanted.get("events", ())), tuple(wanted.get("where", ())))
