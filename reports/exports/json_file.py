"""JSON: the same rows with the names of their columns, and what they stand on under `about`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from reports.exports.sheet import Cell, Sheet


def json_lines(sheet: Sheet) -> Iterator[bytes]:
    """One object, row after row. Money is a decimal string, as in the API; instants are ISO 8601 with their offset."""
    names = [column.name for column in sheet.columns]
    yield f'{{"name":{_text(sheet.name)},"rows":[\n'.encode()
    for place, row in enumerate(sheet.rows):
        cells = dict(zip(names, map(_cell, row), strict=True))
        yield f"{',' if place else ''}{_text(cells)}\n".encode()
    yield f'],"about":{_text(dict(sheet.footer))}}}\n'.encode()


def _text(value: Any) -> str:
    """As ASCII, so that no line separator of another program's cuts it."""
    return json.dumps(value)


def _cell(value: Cell) -> str | int | float | bool | None:
    match value:
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return value.isoformat()
        case _:
            return value
