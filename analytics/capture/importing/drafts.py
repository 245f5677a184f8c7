"""From the fields of a rule to a function that makes a `CapturedEvent` of one row's cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from analytics.capture import money
from analytics.capture.clocks import EARLIEST, event_time
from analytics.capture.kinds import type_of
from analytics.capture.limits import MAX_COLUMN, MAX_DISTINCT_ID, MAX_EVENT_ID, MAX_KEY, MAX_NAME, MAX_PROPERTIES, Unfit
from analytics.capture.sensitive import holds_email, is_sensitive
from analytics.contracts import CapturedEvent, PersonChange, Source, TenantInfo

from .expressions import Cells, Compiler, Getter, Path
from .mapping import Fields
from .problems import RowProblem, shown

# Field of the mapping -> column of the event, and the longest text it takes.
TEXTS = {
    "id": ("event_id", MAX_EVENT_ID), "user": ("distinct_id", MAX_DISTINCT_ID), "session": ("session_id", MAX_COLUMN),
    "parent": ("parent_id", MAX_EVENT_ID), "type": ("type", MAX_COLUMN), "action": ("action", MAX_COLUMN),
    "platform": ("platform", MAX_COLUMN), "country": ("country", MAX_COLUMN), "campaign": ("campaign", MAX_COLUMN),
    "channel": ("channel", MAX_COLUMN), "content_type": ("content_type", MAX_COLUMN),
    "object_type": ("object_type", MAX_COLUMN), "object_id": ("object_id", MAX_COLUMN),
    "method": ("method", MAX_COLUMN), "tier": ("tier", MAX_COLUMN), "reason": ("reason", MAX_COLUMN),
}  # fmt: skip
NUMBERS = ("value", "duration_ms")
MAX_TEXT = 8_192
AGGREGATES = ("sum", "count", "first", "last", "minimum", "maximum")

_encode = msgspec.msgpack.Encoder(order="sorted").encode


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all events of one import share."""

    tenant: TenantInfo
    received_at: datetime
    currency: str

    @property
    def shared(self) -> dict[str, Any]:
        """Columns that say where the events come from; migrated history counts but never alerts."""
        return {
            "tenant_id": self.tenant.id,
            "received_at": self.received_at,
            "source": Source.IMPORT,
            "is_historical": True,
        }


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A field of a parent that sums up its lines: `combine(so far, this line's value)`."""

    column: str
    is_number: bool
    get: Getter
    combine: Callable[[Any, Any], Any]


@dataclass(kw_only=True)
class Draft:
    """The compiled fields of one rule."""

    setting: Setting
    texts: list[tuple[str, int, Getter]] = field(default_factory=list)
    numbers: list[tuple[str, Getter]] = field(default_factory=list)
    amount: Getter | None = None
    currency: Getter | None = None
    time: Getter | None = None
    flags: dict[str, Any] = field(default_factory=dict)
    properties: list[tuple[str, bool, Getter]] = field(default_factory=list)
    traits: list[tuple[str, Getter]] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)

    def build(self, name: str | None, cells: Cells) -> CapturedEvent:
        """The event of a row. Raises RowProblem."""
        if not name or len(name) > MAX_NAME:
            remedy = f"an event has a name of 1 to {MAX_NAME} characters"
            raise RowProblem("bad_name", f"{shown(name)} is no event name", remedy=remedy, field="event")
        columns: dict[str, Any] = {"name": name, "type": type_of(name), **self.flags}
        for column, longest, get in self.texts:
            text = get(cells)
            if text is not None:
                if len(text) > longest:
                    raise too_long(column, text, longest)
                columns[column] = text
        for column, get in self.numbers:
            number = get(cells)
            if number is not None:
                columns[column] = float(number)
        if self.amount is not None:
            self.set_money(columns, self.amount(cells), self.currency and self.currency(cells))
        elif self.currency is not None:
            columns["currency"] = self.currency(cells)
        self.set_time(columns, cells)
        self.set_properties(columns, cells)
        return self.sealed(columns)

    def set_money(self, columns: dict[str, Any], amount: Any, currency: str | None) -> None:
        """Exact amount to minor units, rounded half up once; without a currency of its own it is the mapping's."""
        if amount is None:
            return
        currency = currency or self.setting.currency
        try:
            code = money.currency_code(currency)
            columns["amount"], columns["currency"] = money.minor_units(money.WIDE.create_decimal(amount), code), code
        except Unfit as error:
            raise unfit(error, "amount") from None

    def set_time(self, columns: dict[str, Any], cells: Cells) -> None:
        """The instant, checked against the rules that every door has for the future and for before 1970."""
        moment = self.time(cells) if self.time else None
        if moment is None:
            raise RowProblem("no_time", "the row has no time", remedy="fill the column", field="time")
        columns["timestamp"], columns["client_timestamp"] = moment.at, moment.text[:100]
        if EARLIEST <= moment.at <= self.setting.received_at:
            return
        try:
            found = event_time(moment.at, received_at=self.setting.received_at, sent_at=None)
        except Unfit as error:
            raise unfit(error, "time") from None
        columns["timestamp"], columns["is_clamped"] = found.timestamp, found.is_clamped

    def set_properties(self, columns: dict[str, Any], cells: Cells) -> None:
        """Everything else the mapping takes along; what is sensitive goes to the encrypted part."""
        plain: dict[str, Any] = {}
        sealed: dict[str, Any] = {}
        for key, hidden, get in self.properties:
            value = get(cells)
            if value is None:
                continue
            is_text = type(value) is str
            if is_text and len(value) > MAX_TEXT:
                raise too_long(key, value, MAX_TEXT)
            (sealed if hidden or (is_text and holds_email(value)) else plain)[key] = value
        columns["properties"] = plain
        if sealed:
            columns["sensitive"] = sealed
        if self.traits and "distinct_id" in columns:
            traits = {key: value for key, get in self.traits if (value := get(cells)) is not None}
            columns["person"] = PersonChange(set=traits)

    def sealed(self, columns: dict[str, Any]) -> CapturedEvent:
        """The event with the hash of everything the file says of it: a changed row is a conflict, never silent."""
        if not columns.get("event_id"):
            remedy = "fill the columns that make up `id`, or change `id` in the mapping"
            raise RowProblem("no_id", "the row has no id", remedy=remedy, field="id")
        columns["payload_hash"] = hash_of(columns)
        return CapturedEvent(**columns, **self.setting.shared)


def hash_of(columns: Mapping[str, Any]) -> int:
    """A signed 64-bit hash of what the file says; not of when it is imported."""
    said = {name: value for name, value in columns.items() if name not in UNSAID}
    return int.from_bytes(blake2b(_encode(said), digest_size=8).digest(), "big", signed=True)


UNSAID = frozenset(
    {"event_id", "is_clamped", "parent_id", "payload_hash", "tenant_id", "received_at", "source", "is_historical"}
)


def rehashed(event: CapturedEvent, changed: Mapping[str, Any]) -> CapturedEvent:
    """The event with some columns filled in later (a parent's aggregates)."""
    columns = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None}
    columns |= {name: value for name, value in changed.items() if value is not None}
    columns["payload_hash"] = hash_of(columns)
    return CapturedEvent(**columns)


def too_long(column: str, text: str, longest: int) -> RowProblem:
    """Cutting would make one of many; so the row waits."""
    message = f"{shown(text, width=30)} is longer than {longest} characters"
    return RowProblem("too_long", message, remedy="shorten it", field=column)


def unfit(error: Unfit, name: str) -> RowProblem:
    """The refusal of a shared rule of capture, as a row's problem."""
    return RowProblem(error.reason, error.detail, remedy="correct the row or its mapping", field=name)


def compile_draft(compiler: Compiler, fields: Fields, base: Fields | None, path: Path, setting: Setting) -> Draft:
    """The fields of a rule over those of `every_row`. Raises ImportProblem."""
    draft = Draft(setting=setting)
    for name in Fields.__struct_fields__:
        own = getattr(fields, name)
        inherited = getattr(base, name) if base is not None else msgspec.UNSET
        if name in {"properties", "traits"}:
            compile_bag(compiler, draft, name, {**(inherited or {}), **own}, path)
            continue
        spec, place = (inherited, ("every_row", name)) if own is msgspec.UNSET else (own, (*path, name))
        if spec is not msgspec.UNSET and spec is not None:
            compile_field(compiler, draft, name, spec, place, may_aggregate=base is None)
    for name, getter in (("id", any(column == "event_id" for column, _, _ in draft.texts)), ("time", draft.time)):
        if not getter:
            raise compiler.problem(f"the event has no {name}", path, f"set {name} here or under every_row")
    return draft


def compile_field(compiler: Compiler, draft: Draft, name: str, spec: Any, path: Path, *, may_aggregate: bool) -> None:
    """One field into its place in the draft."""
    if isinstance(spec, dict) and len(spec) == 1 and next(iter(spec)) in AGGREGATES:
        if not may_aggregate or name in {"id", "time"}:
            remedy = "only parents sum up their lines, and not in id and time"
            raise compiler.problem(f"{next(iter(spec))} is not possible here", path, remedy)
        draft.aggregates.append(compile_aggregate(compiler, name, spec, path))
    elif name in TEXTS:
        draft.texts.append((*TEXTS[name], compiler.text(spec, path)))
    elif name in NUMBERS:
        draft.numbers.append((name, compiler.number(spec, path)))
    elif name == "amount":
        draft.amount = compiler.number(spec, path)
    elif name == "currency":
        draft.currency = compiler.text(spec, path)
    elif name == "time":
        draft.time = compiler.time(spec, path)
    elif spec is not False:
        draft.flags |= compile_flag(compiler, name, spec, path)


def compile_flag(compiler: Compiler, name: str, spec: Any, path: Path) -> dict[str, Any]:
    """`bot: true`, `bot: the reason`, `internal: true`."""
    if name == "internal" and spec is True:
        return {"is_internal": True}
    if name == "bot" and (spec is True or isinstance(spec, str)):
        return {"is_bot": True, "bot_reason": "mapping" if spec is True else spec}
    raise compiler.problem(f"{name} is true or false", path, "write true or false")


def compile_bag(compiler: Compiler, draft: Draft, name: str, bag: Mapping[str, Any], path: Path) -> None:
    """Properties of the event or traits of the person."""
    if len(bag) > MAX_PROPERTIES:
        raise compiler.problem(f"more than {MAX_PROPERTIES:,} {name}", path, "leave some out")
    declared = draft.setting.tenant.sensitive_fields
    for key, spec in bag.items():
        place = (*path, name, key)
        if not 0 < len(key) <= MAX_KEY:
            raise compiler.problem("a bad property name", place, f"1 to {MAX_KEY} characters")
        if name == "traits":
            draft.traits.append((key, compiler.json(spec, place)))
        else:
            draft.properties.append((key, is_sensitive(key, declared), compiler.json(spec, place)))


def compile_aggregate(compiler: Compiler, name: str, spec: dict[str, Any], path: Path) -> Aggregate:
    """`{sum: …}`, `{count: lines}`, `{first: …}` and their like, over the lines that make the parent."""
    word, inner = next(iter(spec.items()))
    is_number = name in NUMBERS or name == "amount"
    if word in {"first", "last"} and not is_number:
        get = compiler.text(inner, path)
    elif not is_number:
        raise compiler.problem(f"{name} takes a text", path, "use first or last")
    else:
        get = compiler.number(1 if word == "count" else inner, path)
    column = TEXTS[name][0] if name in TEXTS else name
    return Aggregate(column=column, is_number=is_number, get=get, combine=COMBINE[word])


def add(before: Any, value: Any) -> Any:
    return money.WIDE.add(before, value)


COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "sum": add,
    "count": add,
    "first": lambda before, value: before,
    "last": lambda before, value: value,
    "minimum": lambda before, value: min(before, value),
    "maximum": lambda before, value: max(before, value),
}
