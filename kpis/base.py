"""Declarations: what is counted (`Measure`) and what is shown (`Metric`).

A measure is what a roll-up stores: one aggregate over events or sessions, as a state that adds. A metric is a number
for people, made of measures: a reading, a ratio, a formula, a trailing window. Both are values in a registry; a new
metric is a new entry in `kpis/metrics/*.py`, in a host app's `metrics.py`, or a row made in the admin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeAlias

from analytics.registry import Registry

Aggregate: TypeAlias = Literal["count", "total", "moments", "extremes", "distinct", "quantiles", "repeat", "prices"]
Operator: TypeAlias = Literal["eq", "ne", "in", "gt", "lt", "is_null"]
Scalar: TypeAlias = str | int | float | bool
Operand: TypeAlias = Scalar | tuple[str, ...] | tuple[int, ...]

ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\Z")
PROPERTY = re.compile(r"properties\.[A-Za-z_$][\w$ -]{0,99}\Z")

# fmt: off
TEXT_COLUMNS = frozenset({
    "name", "type", "action", "source", "session_id", "parent_id", "platform", "country", "campaign", "channel",
    "content_type", "object_type", "object_id", "method", "tier", "reason", "currency", "engagement", "bot_reason",
})
# fmt: on
NUMBER_COLUMNS = frozenset({"value", "duration_ms", "amount", "amount_base", "sentiment"})
BOOL_COLUMNS = frozenset({"is_bot", "is_internal", "is_historical", "is_clamped"})
EVENT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(TEXT_COLUMNS, "text"),
        **dict.fromkeys(NUMBER_COLUMNS, "number"),
        **dict.fromkeys(BOOL_COLUMNS, "bool"),
        "subject_id": "id",  # only ever tested for null: whether anybody is known to have done it
    }
)
# `duration_ms` of a session is the time from its first to its last event.
SESSION_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("platform", "country", "campaign", "channel"), "text"),
        **dict.fromkeys(("events", "pageviews", "duration_ms"), "number"),
    }
)
COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType({"events": EVENT_COLUMNS, "sessions": SESSION_COLUMNS})

FIELDLESS: frozenset[str] = frozenset({"count", "distinct", "repeat"})
"""Aggregates that look at no column: they count rows, or the members named by `Measure.over`."""
PRICE_COLUMNS: tuple[str, ...] = ("amount", "currency", "object_id")
PRICE_PROPERTIES: tuple[str, ...] = ("properties.interval", "properties.interval_count")
"""What `prices` reads besides its field: what a subscription costs from then on, in which currency, how often."""


class Unit(StrEnum):
    """How a number is written. Durations are milliseconds; money is in the tenant's base currency."""

    COUNT = "count"
    MONEY = "money"
    RATIO = "ratio"
    DURATION = "duration"
    NUMBER = "number"
    PERCENTAGE_POINTS = "percentage_points"


class Kind(StrEnum):
    """KPI: how it goes. KRI: what may go wrong. KR: what was promised."""

    KPI = "kpi"
    KRI = "kri"
    KR = "kr"


class Additivity(StrEnum):
    """Whether points may be added: always, never, or only over people-free dimensions (unions)."""

    ADDITIVE = "additive"
    UNION = "union"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Condition:
    """A test on one column of an event, or on `properties.x`. `is_null` takes True or False.

    `ne` is true for a missing value: a row without a country is not from Nepal.
    """

    field: str
    op: Operator
    value: Operand

    def __post_init__(self) -> None:
        if self.op == "in" and not isinstance(self.value, tuple):
            raise ValueError(f"{self.field}: the operand of `in` is a tuple")
        if self.op == "is_null" and not isinstance(self.value, bool):
            raise ValueError(f"{self.field}: the operand of `is_null` is True or False")
        if self.op in ("gt", "lt") and not (isinstance(self.value, int | float) and abs(self.value) < 2**62):
            raise ValueError(f"{self.field}: the operand of `{self.op}` is a number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One aggregate over events or sessions, kept as states that add.

    `events=None` means every event; `value_events_only` keeps those that make a person active (S9). `field` is the
    number to aggregate (`amount_base` is minor units of the base currency, `duration_ms` milliseconds,
    `properties.x` a numeric property); `is_magnitude` drops its sign. `over` says whose members `distinct` and `repeat`
    hold. `dimensions` are the columns whose values get buckets of their own. Bots and internal users are never in it.
    """

    id: str
    aggregate: Aggregate
    source: Literal["events", "sessions"] = "events"
    events: frozenset[str] | None = None
    value_events_only: bool = False
    where: tuple[Condition, ...] = ()
    field: str | None = None
    is_magnitude: bool = False
    over: Literal["person", "object", "session"] = "person"
    dimensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_id(self.id)
        if (self.field is None) != (self.aggregate in FIELDLESS):
            raise ValueError(f"{self.id}: `{self.aggregate}` {'takes no' if self.field else 'needs a'} field")
        if self.source == "sessions" and (self.events is not None or self.value_events_only):
            raise ValueError(f"{self.id}: sessions have no event names")
        for name in (*(condition.field for condition in self.where), *((self.field,) if self.field else ())):
            check_column(name, self.source, owner=self.id)
        for name in self.dimensions:
            check_dimension(name, self.source, owner=self.id)


@dataclass(frozen=True, slots=True)
class Value:
    """A number read off a measure's state.

    `statistic`: count, total, mean, minimum, maximum, quantile (with `q`), once (members seen at least once) or
    twice (at least twice). Left out, it is the obvious one of the aggregate.
    """

    measure: str
    statistic: str = ""
    q: float | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Σ numerator / Σ denominator at the displayed grain (S6); null when the denominator is zero or missing."""

    numerator: str
    denominator: str


@dataclass(frozen=True, slots=True)
class Formula:
    """Arithmetic over metric ids in the formula language (`kpis/formula.py`): `revenue.gross - revenue.refunds`."""

    text: str


@dataclass(frozen=True, slots=True)
class Trailing:
    """The measure over the `days` local days that end with the last day of the period (S9: WAU 7, MAU 30)."""

    measure: str
    days: int


@dataclass(frozen=True, slots=True)
class DailyMean:
    """Mean over the days of the period of numerator / denominator: the named exception to S6 (S10, stickiness)."""

    numerator: str
    denominator: str


@dataclass(frozen=True, slots=True)
class Share:
    """Persons in both measures / persons in `among`; both are `distinct` over persons.

    `of_everyone`: the denominator stays whole in a breakdown (who uses this feature / everybody); such a
    metric is not filtered.
    """

    who: str
    among: str
    of_everyone: bool = False


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Members of a `distinct` measure whose first time ever lies in the period (or, `is_returning`, before it)."""

    measure: str
    is_returning: bool = False


@dataclass(frozen=True, slots=True)
class Retained:
    """Of the persons whose first day ever lies in the period: the share active again exactly `days` days later (S12).

    Cohorts whose day has not ended yet are in neither sum.
    """

    measure: str
    days: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Of the members of a `distinct` measure in the period before: the share that is in this period too.

    Null where data begin after the start of the period before.
    """

    measure: str


@dataclass(frozen=True, slots=True)
class Growth:
    """(the metric now - in the period before) / |in the period before| over equal elapsed time (S3, S4).

    Null where the period before had nothing (growth from zero has no percentage) or began before the data did.
    """

    metric: str


@dataclass(frozen=True, slots=True)
class PerMinute:
    """The metric / the minutes of the period that have passed and that data cover."""

    metric: str


@dataclass(frozen=True, slots=True)
class Recurring:
    """One of the movements of recurring revenue between the start and the end of the period (S18, `kpis/mrr.py`).

    `part` is a field of `kpis.mrr.Movement`. Worked out customer by customer from every price since the first.
    """

    measure: str
    part: str


Form: TypeAlias = (
    Value
    | Ratio
    | Formula
    | Trailing
    | DailyMean
    | Share
    | Newcomers
    | Retained
    | Kept
    | Growth
    | PerMinute
    | Recurring
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits of good health. A value at the limit has reached it (≥ for better-down, ≤ for better-up metrics).

    `is_per_day`: they are of one local day, so a range has reached them when its value by day has.
    """

    warning: Decimal | None = None
    critical: Decimal | None = None
    is_per_day: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number for people: what it is, how it is made, which way is good, who looks after it.

    `in_words` is the formula as one would say it; `example` is a worked one. Raise `definition_version` whenever the
    same events would give another number; the ledger then says why history moved.
    """

    id: str
    name: str
    help: str
    form: Form
    unit: Unit = Unit.COUNT
    in_words: str
    example: str = ""
    kind: Kind = Kind.KPI
    better: Literal["up", "down"] = "up"
    thresholds: Thresholds = Thresholds()
    owner: str = "product"
    additivity: Additivity = Additivity.NONE
    definition_version: int = 1

    def __post_init__(self) -> None:
        check_id(self.id)

    @property
    def family(self) -> str:
        return self.id.partition(".")[0]


def check_id(value: str) -> None:
    """Raise ValueError unless it reads `family.measure`, lower case, at most 100 characters."""
    if len(value) > 100 or not ID.match(value):
        raise ValueError(f"`{value}` is no id; ids read `family.measure`, such as `revenue.gross`")


def check_column(name: str, source: str, *, owner: str) -> None:
    """Raise ValueError unless the source has the column (or, for events, it is a property)."""
    is_property = source == "events" and PROPERTY.match(name) is not None
    if name not in COLUMNS[source] and not is_property:
        raise ValueError(f"{owner}: {source} have no column `{name}`{_hint(name, COLUMNS[source])}")


def check_dimension(name: str, source: str, *, owner: str) -> None:
    """Raise ValueError unless the source can be broken down by it: a text column, or a property of events."""
    is_property = source == "events" and PROPERTY.match(name) is not None
    if COLUMNS[source].get(name) != "text" and not is_property:
        texts = [column for column, kind in COLUMNS[source].items() if kind == "text"]
        raise ValueError(f"{owner}: `{name}` is no text column of {source}, so no dimension{_hint(name, texts)}")


def _hint(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


measures: Registry[Measure] = Registry(Measure)
metrics: Registry[Metric] = Registry(Metric)


def register(*declarations: Measure | Metric) -> None:
    """Put declarations into their registries; a host app's `metrics.py` calls this."""
    for declaration in declarations:
        if isinstance(declaration, Measure):
            measures.register(declaration)
        else:
            metrics.register(declaration)


def measures_of(source: str) -> Iterator[Measure]:
    return (measure for measure in measures if measure.source == source)
