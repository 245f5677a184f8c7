"""What a question may see: a view `events` over the files of one snapshot, in the words of either engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import sqlglot.expressions as sge

from analytics.lake.errors import UnknownColumn
from analytics.lake.schema import ID_TEXTS, PROMOTED, TYPED, File, arrow_schema

EVENTS = "events"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The typed file of one piece as the engine reads it; `start` and `end` are what it covers, half open."""

    path: str
    rows: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of the view. `properties` are names as clients sent them; their columns are `property_0`, …"""

    typed: tuple[str, ...]
    ids: tuple[str, ...]
    properties: tuple[str, ...]

    @classmethod
    def of(cls, columns: Sequence[str] | None, properties: Sequence[str]) -> Shape:
        """Raises UnknownColumn."""
        wanted = TYPED if columns is None else tuple(columns)
        if unknown := [name for name in wanted if name not in TYPED and name not in ID_TEXTS]:
            raise UnknownColumn(f"the lake has no column {unknown[0]!r}; it has {', '.join((*TYPED, *ID_TEXTS))}")
        ids = tuple(name for name in wanted if name in ID_TEXTS)
        return cls(TYPED, ids, tuple(dict.fromkeys(properties)))

    @property
    def schema(self) -> pa.Schema:
        fields = list(arrow_schema("events"))
        fields += [pa.field(name, pa.string()) for name in self.ids]
        fields += [pa.field(property_column(at), pa.string()) for at in range(len(self.properties))]
        return pa.schema(fields)

    @property
    def files(self) -> tuple[File, ...]:
        """Which of the three files are needed."""
        has_apart = any(name not in PROMOTED for name in self.properties)
        return ("events", *(("ids",) if self.ids else ()), *(("properties",) if has_apart else ()))


def property_column(place: int) -> str:
    """The name of its column: what clients call a property is never an identifier."""
    return f"property_{place}"


@dataclass(frozen=True, slots=True)
class Selection:
    """`start` and `end` in microseconds since 1970; `paths` of each file in the same order; or `table` in memory."""

    shape: Shape
    start: int
    end: int
    names: tuple[str, ...] | None
    paths: Mapping[File, tuple[str, ...]]
    table: pa.Table | None = None

    @property
    def is_empty(self) -> bool:
        return self.table is None and not self.paths.get("events")


def text(value: str, dialect: str) -> str:
    """A literal of that engine."""
    return sge.Literal.string(value).sql(dialect)


def condition(selection: Selection, dialect: str, alias: str = "e") -> str:
    """The range and the names of events."""
    parts = [f"{alias}.ts >= {selection.start}", f"{alias}.ts < {selection.end}"]
    if selection.names is not None:
        parts.append(_named(selection.names, dialect, alias))
    return " AND ".join(parts)


def _named(names: Sequence[str], dialect: str, alias: str) -> str:
    if not names:
        return "1 = 0"
    return f"{alias}.name IN ({', '.join(text(name, dialect) for name in names)})"


def view(selection: Selection, dialect: str, sources: Mapping[File, str], properties: Sequence[str]) -> str:
    """The SELECT behind `events`. `sources` are relations, `properties` expressions over `p.properties`."""
    shape = selection.shape
    typed = {name: f"e.{column}" for name, column in PROMOTED.items()}
    properties = [typed.get(name, each) for name, each in zip(shape.properties, properties, strict=True)]
    columns = [f"e.{name}" for name in shape.typed] + [f"i.{name}" for name in shape.ids]
    columns += [f"{each} AS {property_column(at)}" for at, each in enumerate(properties)]
    parts = [f"SELECT {', '.join(columns)} FROM {sources['events']} AS e"]
    where = condition(selection, dialect)
    if "ids" in sources:
        parts.append(f"JOIN {sources['ids']} AS i ON i.piece = e.piece AND i.line = e.line")
    if "properties" in sources:
        parts.append(f"JOIN {sources['properties']} AS p ON p.piece = e.piece AND p.line = e.line")
        if selection.names is not None:
            where += f" AND {_named(selection.names, dialect, 'p')}"
    return " ".join([*parts, "WHERE", where])
