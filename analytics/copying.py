"""Rows on their way into a guarded table, where a million of them are written: through a temporary table, because COPY
into a guarded one is refused, and as lines of COPY's text format, because `write_row` takes five times as long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django.db import IntegrityError, transaction
from django.db.backends.utils import CursorWrapper

NULL: Final = "\\N"
LINES_A_WRITE: Final = 5_000
MANY_LINES: Final = 1_000
"""From here on a stage is truncated: rows deleted one by one stay in it until the commit, and are read again."""

_QUOTES: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Row = TypeVar("Row")


def text_field(value: str | None) -> str:
    """A text, or null, as a field of a line."""
    return NULL if value is None else value.translate(_ESCAPES)


def bytes_field(value: bytes | None) -> str:
    """A bytea, or null, as a field of a line."""
    return NULL if value is None else f"\\\\x{value.hex()}"


def array_text(values: Iterable[str]) -> str:
    """An array of texts as PostgreSQL writes it: one parameter, where psycopg binds each element of a list alone."""
    return "{" + ",".join(f'"{value.translate(_QUOTES)}"' for value in values) + "}"


@dataclass(frozen=True, slots=True)
class Stage:
    """A temporary table: its name, and its columns as they are declared."""

    name: str
    columns: str

    @contextmanager
    def holding(
        self, cursor: CursorWrapper, rows: Sequence[Row], lines: Callable[[Sequence[Row]], str]
    ) -> Iterator[None]:
        """With the rows in it; empty afterwards. `lines` gives the lines of some rows, each with its line feed."""
        cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.name} ({self.columns}) ON COMMIT DELETE ROWS")
        with cursor.copy(f"COPY {self.name} FROM STDIN") as copy:
            for at in range(0, len(rows), LINES_A_WRITE):
                copy.write(lines(rows[at : at + LINES_A_WRITE]))
        yield
        cursor.execute(f"TRUNCATE {self.name}" if len(rows) >= MANY_LINES else f"DELETE FROM {self.name}")


def insert_new(cursor: CursorWrapper, insert: str, upsert: str, params: dict[str, Any]) -> None:
    """`insert` rows that are not known yet: two thirds of the time of an upsert, which looks for each row before it
    writes it. Where somebody else was quicker with some of them, `upsert` instead.
    """
    try:
        with transaction.atomic(using=cursor.db.alias):
            cursor.execute(insert, params)
    except IntegrityError:
        cursor.execute(upsert, params)
