"""Rows as the lines of COPY's text format, where a million of them are written: psycopg's `write_row` takes five times
as long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

NULL: Final = "\\N"
LINES_A_WRITE: Final = 5_000

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Row = TypeVar("Row")


def text_field(value: str | None) -> str:
    """A text, or null, as a field of a line."""
    return NULL if value is None else value.translate(_ESCAPES)


def bytes_field(value: bytes | None) -> str:
    """A bytea, or null, as a field of a line."""
    return NULL if value is None else f"\\\\x{value.hex()}"


def copy_rows(copy: Any, rows: Iterable[Row], lines: Callable[[Sequence[Row]], str]) -> None:
    """Write rows to an open COPY … FROM STDIN. `lines` gives the lines of some rows, each with its line feed."""
    left = iter(rows)
    while some := list(islice(left, LINES_A_WRITE)):
        copy.write(lines(some))
