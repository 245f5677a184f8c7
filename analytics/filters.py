"""Query parameters, read once at the edge: ranges, limits, choices; each refusal names the field and what would do."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from django.db.models import Q
from rest_framework.exceptions import ValidationError

from analytics.contracts import TenantInfo
from analytics.periods import Calendar, Period, RangeError, parse_instant, parse_range, period_between

Parameters = Mapping[str, str]

# Query parameter → column of the event, for exact filters; several values are separated by commas.
EVENT_FILTERS: Final = {
    "name": "name",
    "type": "type",
    "source": "source",
    "platform": "platform",
    "country": "country",
    "campaign": "campaign",
    "channel": "channel",
    "content_type": "content_type",
    "object_type": "object_type",
    "object": "object_id",
    "method": "method",
    "tier": "tier",
    "reason": "reason",
    "session": "session_id",
    "event_id": "event_id",
}
MAX_VALUES: Final = 100
# Events before 1970 are never stored; arithmetic with later centuries overflows somewhere.
EARLIEST: Final = datetime(1969, 12, 31, tzinfo=UTC)  # 1970-01-01 of every zone
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
MAX_TEXT: Final = 400


def refuse(field: str, code: str, message: str) -> NoReturn:
    """Raise the 400 of one field."""
    raise ValidationError({field: [message]}, code=code)


def nearest(word: str, known: Iterable[str]) -> str:
    """The ending of a refusal: what was probably meant, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def only_known(parameters: Parameters, known: Collection[str]) -> None:
    """Refuse parameters that nobody reads: a misspelt filter must not look like an answer."""
    for name in parameters:
        if name not in known:
            refuse(name, "unknown_parameter", f"There is no parameter {name!r} here.{nearest(name, known)}")


def text_parameter(parameters: Parameters, name: str, default: str = "") -> str:
    """A short text without NUL."""
    text = parameters.get(name, default).strip()
    if len(text) > MAX_TEXT or "\x00" in text:
        refuse(name, "invalid_text", f"`{name}` is at most {MAX_TEXT} characters and has no NUL.")
    return text


def choice_parameter(parameters: Parameters, name: str, choices: Collection[str], default: str = "") -> str:
    """One of `choices`, or the default."""
    text = text_parameter(parameters, name) or default
    if text and text not in choices:
        listed = ", ".join(sorted(choices))
        refuse(name, "invalid_choice", f"`{name}` is one of {listed}, not {text!r}.{nearest(text, choices)}")
    return text


def list_parameter(parameters: Parameters, name: str) -> tuple[str, ...]:
    """Values separated by commas, without empty ones."""
    values = tuple(filter(None, (part.strip() for part in parameters.get(name, "").split(","))))
    if len(values) > MAX_VALUES or any(len(value) > MAX_TEXT or "\x00" in value for value in values):
        refuse(name, "invalid_text", f"`{name}` takes at most {MAX_VALUES} values of {MAX_TEXT} characters.")
    return values


def number_parameter(parameters: Parameters, name: str, *, default: int, least: int = 1, most: int) -> int:
    """A whole number between two bounds, both included."""
    text = parameters.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 12 or not least <= int(text) <= most:
        refuse(name, "invalid_number", f"`{name}` is a whole number from {least} to {most}, not {text[:40]!r}.")
    return int(text)


def flag_parameter(parameters: Parameters, name: str) -> bool | None:
    """true or false; None when left out."""
    text = parameters.get(name, "").strip().lower()
    if text not in ("", "true", "false", "1", "0"):
        refuse(name, "invalid_flag", f"`{name}` is true or false, not {text[:40]!r}.")
    return {"": None, "true": True, "1": True}.get(text, False)


def instant_parameter(parameters: Parameters, name: str, calendar: Calendar) -> datetime | None:
    """A date (the tenant's midnight) or an instant; None when left out."""
    text = text_parameter(parameters, name)
    if not text:
        return None
    try:
        # A plus of an offset that nobody escaped has become a blank on its way.
        instant = parse_instant(text.replace(" ", "+") if "T" in text else text, calendar)
    except RangeError as error:
        refuse(name, "invalid_instant", _sentence(error))
    except OverflowError:
        _out_of_range(name)
    if not EARLIEST <= instant < LATEST:
        _out_of_range(name)
    return instant


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range either end of which may be left out."""

    start: datetime | None
    end: datetime | None

    def condition(self, column: str) -> Q:
        """As a filter on a column of instants."""
        lower = Q(**{f"{column}__gte": self.start}) if self.start else Q()
        return lower & Q(**{f"{column}__lt": self.end}) if self.end else lower


def span_parameters(parameters: Parameters, calendar: Calendar) -> Span:
    """`from` and `to` of a list, both optional. A reversed range is refused."""
    span = Span(instant_parameter(parameters, "from", calendar), instant_parameter(parameters, "to", calendar))
    if span.start and span.end and span.end < span.start:
        _reversed()
    return span


def period_parameters(parameters: Parameters, calendar: Calendar, now: datetime, *, default: str) -> Period:
    """`from` and `to` (half open, dates are the tenant's midnights), or `period`, or the default range."""
    start, end = text_parameter(parameters, "from"), text_parameter(parameters, "to")
    if start or end:
        return _between(parameters, start, end, calendar, now)
    text = text_parameter(parameters, "period") or default
    return named_period(text, "period", calendar, now)


def named_period(text: str, name: str, calendar: Calendar, now: datetime) -> Period:
    """A range by its name, within what the calendar of computers holds."""
    try:
        period = parse_range(period_name(text), calendar, now)
    except RangeError as error:
        refuse(name, f"invalid_{name}", _sentence(error))
    except OverflowError:
        _out_of_range(name)
    if not EARLIEST <= period.start <= period.end < LATEST:
        _out_of_range(name)
    return period


def _between(parameters: Parameters, start: str, end: str, calendar: Calendar, now: datetime) -> Period:
    if text_parameter(parameters, "period"):
        refuse("period", "ambiguous_range", "Give either `period`, or `from` and `to`.")
    first, last = instant_parameter(parameters, "from", calendar), instant_parameter(parameters, "to", calendar)
    if first is None:
        refuse("from", "missing_from", "`to` needs a `from`: write both, or `period=30d`.")
    if last is None:
        last = max(now, first)
        return Period(first, last)
    if last <= first:
        _reversed()
    try:
        return period_between(start.replace(" ", "+"), end.replace(" ", "+"), calendar)
    except RangeError as error:
        refuse("from", "invalid_range", _sentence(error))


def period_name(text: str) -> str:
    """`30d` is short for `last_30d`: that many complete days before today."""
    return f"last_{text}" if text[:1].isdigit() and text[-1:] in "hdwm" else text


def calendar_of(tenant: TenantInfo) -> Calendar:
    """How the tenant cuts time."""
    return Calendar(zone=tenant.zone, week_start=tenant.week_start, base_currency=tenant.base_currency)


def event_condition(parameters: Parameters) -> Q:
    """The exact filters of the event list."""
    condition = Q()
    for name, column in EVENT_FILTERS.items():
        if values := list_parameter(parameters, name):
            condition &= Q(**{f"{column}__in": values})
    for name in ("is_bot", "is_internal", "is_historical"):
        if (flag := flag_parameter(parameters, name)) is not None:
            condition &= Q(**{name: flag})
    return condition


def body(serializer: Any, data: Any) -> dict[str, Any]:
    """A JSON body as its serializer reads it; refused field by field. Unknown fields are refused, not ignored."""
    checked = serializer(data=data)
    checked.is_valid(raise_exception=True)
    only_known(data, list(checked.fields))
    valid: dict[str, Any] = checked.validated_data
    return valid


def _out_of_range(name: str) -> NoReturn:
    refuse(name, "out_of_range", f"`{name}` lies between the years 1970 and {LATEST.year}.")


def _reversed() -> NoReturn:
    refuse("to", "reversed_range", "`to` is exclusive and must be later than `from`.")


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
