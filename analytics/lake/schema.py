"""Which columns a piece has, in which of its files, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

VERSION: Final = 2
"""Of the layout. A piece of another version is sealed again before it is read."""

File = Literal["events", "ids", "properties"]
FILES: Final[tuple[File, ...]] = ("events", "ids", "properties")

ROW_GROUP: Final = 122_880
"""Rows that are skipped or read together; DuckDB gives each to one thread."""
OWN_GROUP: Final = 4_096
"""Events of one name that are worth row groups of their own; the names that have fewer share theirs."""

FEW_TEXTS: Final = (
    "type", "action", "source", "platform", "country", "campaign", "channel", "content_type", "object_type",
    "object_id", "method", "tier", "reason", "currency", "engagement",
)  # fmt: skip
PROMOTED: Final = {"utm_medium": "medium", "$referring_domain": "referrer"}
"""Properties with typed columns of their own: every question of where people came from reads them."""
FLOATS: Final = ("value", "duration_ms", "sentiment")
AMOUNTS: Final = ("amount", "amount_base")
FLAGS: Final = ("is_bot", "is_internal", "is_historical")
ID_TEXTS: Final = ("event_id", "session_id", "parent_id")

HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True)
class LakeColumn:
    """`delta`: values of neighbours are close, so their differences are what is stored."""

    name: str
    type: pa.DataType
    file: File
    delta: bool = False


# `piece` (its first hour since 1970) and `line` align the three files; `name` in the properties lets row groups of
# other events be skipped there too. They cost next to nothing: within a file they are constant or count upward.
COLUMNS: Final[tuple[LakeColumn, ...]] = (
    LakeColumn("name", pa.string(), "events"),
    LakeColumn("person_id", pa.int32(), "events", delta=True),
    LakeColumn("ts", pa.int64(), "events", delta=True),
    LakeColumn("seq", pa.int64(), "events"),
    *(LakeColumn(name, pa.string(), "events") for name in (*FEW_TEXTS, *PROMOTED.values())),
    *(LakeColumn(name, pa.float64(), "events") for name in FLOATS),
    *(LakeColumn(name, pa.int64(), "events") for name in AMOUNTS),
    *(LakeColumn(name, pa.bool_(), "events") for name in FLAGS),
    LakeColumn("piece", pa.int32(), "events"),
    LakeColumn("line", pa.int32(), "events", delta=True),
    *(LakeColumn(name, pa.string(), "ids") for name in ID_TEXTS),
    LakeColumn("piece", pa.int32(), "ids"),
    LakeColumn("line", pa.int32(), "ids", delta=True),
    LakeColumn("properties", pa.string(), "properties"),
    LakeColumn("name", pa.string(), "properties"),
    LakeColumn("piece", pa.int32(), "properties"),
    LakeColumn("line", pa.int32(), "properties", delta=True),
)


def columns_of(file: File) -> tuple[LakeColumn, ...]:
    return tuple(column for column in COLUMNS if column.file == file)


def arrow_schema(file: File) -> pa.Schema:
    return pa.schema([(column.name, column.type) for column in columns_of(file)])


TYPED: Final = tuple(column.name for column in columns_of("events"))
