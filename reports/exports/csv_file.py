"""CSV: one line after the other, texts quoted, numbers bare, and no text that a spreadsheet takes for a formula."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from reports.exports.sheet import Cell, Sheet

# What begins a formula in Excel, LibreOffice, Numbers or Google Sheets, also in full width as East Asian input has it.
STARTERS: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20"
# What has no width, and what some programs throw away before they look at the cell: marks of byte order and of
# direction, joiners, fillers, variation selectors, tags.
UNSEEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
SKIPPED: Final = rf"\s\";{UNSEEN}"
# Each run of what is skipped is looked at once, as a whole.
AHEAD: Final = re.compile(rf"(?<![{SKIPPED}])[{SKIPPED}]*+(?=[{STARTERS}])")
BREAKS: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
BYTE_ORDER_MARK: Final = "\ufeff"


def csv_lines(sheet: Sheet) -> Iterator[bytes]:
    """The file, line by line, in UTF-8 with the mark that Excel wants. Instants are ISO 8601 with their offset."""
    yield (BYTE_ORDER_MARK + _line(tuple(column.name for column in sheet.columns))).encode()
    for row in sheet.rows:
        yield _line(row).encode("utf-8", "replace")


def harmless(text: str) -> str:
    """The text as a cell that no spreadsheet computes: breaks and tabs become blanks, formulas get an apostrophe."""
    return AHEAD.sub(_guarded, BREAKS.sub(" ", text))


def _guarded(ahead: re.Match[str]) -> str:
    """A spreadsheet of a country that separates by semicolons cuts the line there, whatever the quotes say."""
    begins_cell = not ahead.start() or ";" in ahead[0]
    return f"{ahead[0]}'" if begins_cell else ahead[0]


def _line(cells: tuple[Cell, ...]) -> str:
    return ",".join(map(_cell, cells)) + "\r\n"


def _cell(value: Cell) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return f'"{value.isoformat()}"'
        case str():
            doubled = harmless(value).replace('"', '""')
            return f'"{doubled}"'
