"""Cells of a file as typed values: text, whole numbers, exact decimals, instants; None where nothing stands."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from analytics.capture.parse import clean_text

from .mapping import Column, FileFormat
from .problems import RowProblem, shown
from .times import time_reader

# Beyond this no amount of money and no 64-bit number goes; it keeps 1e131071 from filling the memory.
MAX_DIGITS = 30
MEMORY = 50_000

Cell = Callable[[Any], Any]


def cell_reader(name: str, column: Column, form: FileFormat, zone: tzinfo, zone_name: str) -> Cell:
    """A function from what the file holds to the typed value; raises RowProblem."""
    nulls = frozenset(form.nulls) | {None}
    if column.type == "text":
        return text_reader(nulls)
    readers: dict[str, Cell] = {
        "integer": integer_reader(name, column),
        "decimal": decimal_reader(name, column),
        "time": time_reader(name, column, zone, zone_name),
    }
    return remembered(readers[column.type], nulls)


def remembered(read: Cell, nulls: frozenset[str | None]) -> Cell:
    """Times and prices repeat from row to row; a bounded memory makes reading them again free."""
    memory: dict[Hashable, Any] = {}

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return None if value is None else read(value)
        if value in memory:
            return memory[value]
        if len(memory) >= MEMORY:
            memory.clear()
        found = memory[value] = None if value in nulls or value.strip() in nulls else read(value)
        return found

    return cell


def text_reader(nulls: frozenset[str | None]) -> Cell:
    """Text as it stands, cleaned of NUL and lone surrogates."""

    def cell(value: Any) -> str | None:
        if type(value) is not str:
            value = as_text(value)
        if value in nulls:
            return None
        return value if value.isascii() and "\0" not in value else clean_text(value)

    return cell


def as_text(value: Any) -> str | None:
    """What a typed cell of Parquet or JSON lines is called in text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return plain(value) if isinstance(value, Decimal) else str(value)


def number_reader(name: str, column: Column, what: str) -> Callable[[Any], Decimal]:
    """An exact number, whatever marks the file writes in it."""
    thousands, mark = column.thousands, column.decimal_mark

    def read(value: Any) -> Decimal:
        text = str(value).strip()
        if isinstance(value, str) and thousands:
            text = text.replace(thousands, "")
        if isinstance(value, str) and mark != ".":
            text = text.replace(mark, ".")
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if isinstance(value, bool) or "_" in text or not number.is_finite():
            remedy = f"correct it, or set thousands and decimal_mark of columns.{name} in the mapping"
            raise RowProblem("bad_number", f"{shown(value)} is no {what}", remedy=remedy, field=name)
        if number and (abs(number.adjusted()) > MAX_DIGITS or len(number.as_tuple().digits) > MAX_DIGITS):
            message = f"{shown(value)} has more than {MAX_DIGITS} digits"
            raise RowProblem("bad_number", message, remedy="correct it, or read the column as text", field=name)
        return number

    return read


def decimal_reader(name: str, column: Column) -> Cell:
    """Exact decimals."""
    return number_reader(name, column, "number")


def integer_reader(name: str, column: Column) -> Cell:
    """Whole numbers; `8.0` is one, as tables that passed through floats write it."""
    number = number_reader(name, column, "whole number")

    def read(value: Any) -> int:
        found = number(value)
        if found != found.to_integral_value() or not -(2**63) <= found < 2**63:
            message = f"{shown(value)} is no whole number of 64 bits"
            raise RowProblem("bad_number", message, remedy="correct it, or read it as decimal or text", field=name)
        return int(found)

    return read


def plain(number: Decimal) -> str:
    """`1E+3` as `1000`: the same number always has the same text."""
    return f"{number:f}"
