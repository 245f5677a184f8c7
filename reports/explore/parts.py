"""Parts of questions as fields of forms: events, conditions, ranges. Reading is lenient; the question's kind checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from django.http import QueryDict

from kpis.explore.picks import FLAGS, NUMBERS, TEXTS

OPERATORS: Final = (
    ("eq", "is"),
    ("ne", "is not"),
    ("in", "is one of"),
    ("gt", "is above"),
    ("lt", "is below"),
    ("is_null", "is empty"),
    ("not_null", "is not empty"),
)
PERIODS: Final = (
    ("last_7d", "Last 7 days"),
    ("last_30d", "Last 30 days"),
    ("last_90d", "Last 90 days"),
    ("last_12m", "Last 12 months"),
    ("mtd", "This month"),
    ("last_month", "Last month"),
    ("ytd", "This year"),
    ("custom", "Custom range"),
)
COMPARISONS: Final = (("", "Nothing"), ("previous", "The period before"), ("year_ago", "A year ago"))
COLUMNS: Final = tuple(sorted(TEXTS | NUMBERS | FLAGS))
DIMENSIONS: Final = tuple(sorted(TEXTS - {"session_id"}))
MOST_FIELDS: Final = 60
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,9})?")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Test:
    """A condition as a row of fields."""

    field: str = ""
    op: str = "eq"
    value: str = ""


@dataclass(frozen=True, slots=True)
class Pick:
    """Which events: names and conditions, as fields. `key` tells the fields of one pick from those of another."""

    key: str
    events: tuple[str, ...] = ()
    tests: tuple[Test, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """The range as fields; `first` and `last` are days, both included."""

    period: str = "last_30d"
    first: str = ""
    last: str = ""
    compare: str = ""

    @property
    def is_other(self) -> bool:
        """A period that the list does not offer, such as 2026-10."""
        return self.period not in dict(PERIODS)

    @property
    def is_other_comparison(self) -> bool:
        return self.compare not in dict(COMPARISONS)


@dataclass(frozen=True, slots=True)
class Known:
    """What the fields suggest: names with how often they were sent, columns and dimensions."""

    names: Sequence[tuple[str, str]] = ()
    columns: Sequence[str] = COLUMNS
    dimensions: Sequence[str] = DIMENSIONS
    operators: Sequence[tuple[str, str]] = OPERATORS
    periods: Sequence[tuple[str, str]] = PERIODS
    comparisons: Sequence[tuple[str, str]] = COMPARISONS


@dataclass
class Reader:
    """A form that was sent, read part by part."""

    data: QueryDict
    prefix: str = field(default="")

    def text(self, name: str, default: str = "") -> str:
        return str(self.data.get(name, default)).strip()

    def texts(self, name: str) -> list[str]:
        return [text.strip() for text in self.data.getlist(name)[:MOST_FIELDS] if text.strip()]

    def pick(self, key: str) -> dict[str, Any]:
        """`events` and, if there are any, `where`."""
        found: dict[str, Any] = {"events": list(dict.fromkeys(self.texts(f"{key}.event")))}
        if where := self.tests(f"{key}."):
            found["where"] = where
        return found

    def tests(self, prefix: str = "") -> list[dict[str, Any]]:
        """Conditions; rows without a column say nothing."""
        columns = [self.data.getlist(f"{prefix}{name}")[:MOST_FIELDS] for name in ("field", "op", "value")]
        return [_condition(name.strip(), op, value) for name, op, value in zip(*columns, strict=False) if name.strip()]

    def range(self) -> dict[str, Any]:
        """`period`, or `from` and `to` (which is exclusive), and `compare`."""
        found: dict[str, Any] = {}
        period = self.text("period", "last_30d")
        if period == "custom":
            found |= {
                name: day for name, day in (("from", self.text("first")), ("to", _day_after(self.text("last")))) if day
            }
        elif period:
            found["period"] = period
        if compare := self.text("compare"):
            found["compare"] = compare
        return found | self.segment()

    def segment(self) -> dict[str, Any]:
        """The kept segment whose people alone are asked about, if any."""
        chosen = self.text("segment")[:40]
        return {"segment": chosen} if chosen else {}

    def number(self, name: str) -> int | str | None:
        """A whole number; what is none stays as it was written, so that it is refused in words."""
        text = self.text(name)
        if not text:
            return None
        return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text


def _day_after(text: str) -> str:
    if not _DAY.fullmatch(text):
        return text
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return text


def _day_before(text: str) -> str:
    if not _DAY.fullmatch(text):
        return ""
    try:
        return (date.fromisoformat(text) - timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return ""


def _condition(name: str, op: str, value: str) -> dict[str, Any]:
    if op in ("is_null", "not_null"):
        return {"field": name, "op": "is_null", "value": op == "is_null"}
    if op == "in":
        return {"field": name, "op": "in", "value": [part.strip() for part in value.split(",") if part.strip()]}
    return {"field": name, "op": op, "value": _value(name, op, value.strip())}


def _value(name: str, op: str, text: str) -> str | int | float | bool:
    if name in FLAGS and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if (name in NUMBERS or op in ("gt", "lt")) and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


# --- From the question to the fields ----------------------------------------------------------------------------------


def pick_of(key: str, wanted: Any) -> Pick:
    """Whatever is there, as far as it can be shown."""
    if not isinstance(wanted, Mapping):
        return Pick(key)
    return Pick(key, tuple(texts_of(wanted.get("events"))), tests_of(wanted.get("where")))


def tests_of(wanted: Any) -> tuple[Test, ...]:
    """Conditions as rows."""
    rows = [row for row in _list(wanted) if isinstance(row, Mapping)]
    return tuple(_test(row) for row in rows[:MOST_FIELDS])


def _test(row: Mapping[str, Any]) -> Test:
    op, value = str(row.get("op", "eq")), row.get("value", "")
    if op == "is_null":
        return Test(str(row.get("field", "")), "is_null" if value else "not_null")
    if isinstance(value, bool):
        return Test(str(row.get("field", "")), op, str(value).lower())
    return Test(str(row.get("field", "")), op, ", ".join(map(str, value)) if isinstance(value, list) else str(value))


def range_of(wanted: Mapping[str, Any], default: str = "last_30d") -> Range:
    """The range as fields."""
    first, to = (str(wanted.get(name) or "") for name in ("from", "to"))
    compare = str(wanted.get("compare") or "")
    if first or to:
        return Range("custom", first[:10], _day_before(to), compare)
    return Range(str(wanted.get("period") or default), "", "", compare)


def texts_of(wanted: Any) -> list[str]:
    """A list of texts; anything else is none."""
    return [str(each) for each in _list(wanted) if isinstance(each, str | int | float)][:MOST_FIELDS]


def text_of(wanted: Mapping[str, Any], name: str, default: str = "") -> str:
    """A field as text; lengths of time that came as seconds too."""
    value = wanted.get(name)
    return default if value is None or isinstance(value, list | dict) else str(value)


def _list(wanted: Any) -> Iterable[Any]:
    return wanted if isinstance(wanted, list | tuple) else ()


def without_nothing(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The question without fields that say nothing, so that addresses stay short."""
    return {name: value for name, value in wanted.items() if value not in (None, "", [], {})}
