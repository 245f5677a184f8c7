"""What can be wrong with a file, a mapping or one row, always with the place and the remedy."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ImportProblem(Exception):
    """The file or its mapping cannot be used at all. Trying again helps only after the remedy."""

    def __init__(self, message: str, *, remedy: str, line: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message, self.remedy, self.line, self.field = message, remedy, line, field

    def __str__(self) -> str:
        return describe(self.message, self.remedy, self.line, self.field)


class StoreAway(ImportProblem):
    """PostgreSQL was away for longer than an import waits. Trying again later is the remedy."""


class RowProblem(Exception):
    """One row does not fit. `reason` is a stable code; its neighbours are not touched."""

    def __init__(
        self, reason: str, message: str, *, remedy: str, field: str | None = None, row: Sequence[object] = ()
    ) -> None:
        super().__init__(message)
        self.reason, self.message, self.remedy, self.field = reason, message, remedy, field
        # What could be read of a row that was refused by its reader.
        self.row = row

    def at(self, line: int) -> str:
        """The problem in one sentence, with the line of the file it stands on."""
        return describe(self.message, self.remedy, line, self.field)


def describe(message: str, remedy: str, line: int | None, field: str | None) -> str:
    """`line 17, field Quantity: "x" is not a number. Remedy: …`, leaving out what is not known."""
    place = ", ".join(part for part in (f"line {line:,}" if line else "", f"field {field}" if field else "") if part)
    return f"{place}: {message}. Remedy: {remedy}." if place else f"{message}. Remedy: {remedy}."


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean "Quantity"? known: …` for a name that is not known."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:30]) + (" …" if len(names) > 30 else "")
    return (f'use "{close[0]}" if that was meant; ' if close else "") + f"known are: {listed or 'none'}"


def shown(value: object, *, width: int = 60) -> str:
    """A value from the file as it may be printed: quoted, shortened, harmless on a terminal."""
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else f'"{value}"'
    return text if len(text) <= width else text[:width] + "…"
