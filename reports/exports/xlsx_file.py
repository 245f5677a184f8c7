"""XLSX by XlsxWriter, row after row in constant memory: texts are texts, numbers are numbers, nothing is a formula."""

from __future__ import annotations

import re
import tempfile
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any, Final

from reports.exports.sheet import Cell, Column, ColumnKind, Sheet

LONGEST_TEXT: Final = 32_767  # of a cell; longer ones would be left out without a word
WIDEST: Final = 22
FORMATS: Final = {
    ColumnKind.INSTANT: "yyyy-mm-dd hh:mm",
    ColumnKind.COUNT: "#,##0",
    ColumnKind.RATIO: "0.00%",
    ColumnKind.NUMBER: "#,##0.00",
}
OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": False,
    "remove_timezone": True,
}
FORBIDDEN_IN_NAMES: Final = re.compile(r"[\[\]:*?/\\']")


def xlsx_file(sheet: Sheet) -> IO[bytes]:
    """The finished file, at its beginning; large ones lie on disk. The caller closes it."""
    import xlsxwriter

    target = tempfile.SpooledTemporaryFile(max_size=2_000_000)  # noqa: SIM115  handed to the answer
    with xlsxwriter.Workbook(target, OPTIONS) as book:
        book.set_properties({"title": _text(sheet.name), "author": "Bellwether"})
        page = book.add_worksheet(FORBIDDEN_IN_NAMES.sub(" ", sheet.name)[:31] or "export")
        _write(book, page, sheet)
    target.seek(0)
    return target


def _write(book: Any, page: Any, sheet: Sheet) -> None:
    bold = book.add_format({"bold": True})
    formats = [_format(book, column) for column in sheet.columns]
    page.freeze_panes(1, 0)
    for index, column in enumerate(sheet.columns):
        page.set_column(index, index, WIDEST)
        page.write_string(0, index, _text(column.name), bold)
    last = 0
    for last, row in enumerate(sheet.rows, start=1):
        for index, value in enumerate(row):
            _cell(page, last, index, value, formats[index])
    for line, (word, says) in enumerate(sheet.footer, start=last + 2):
        page.write_string(line, 0, _text(word), bold)
        page.write_string(line, 1, _text(says))


def _cell(page: Any, line: int, index: int, value: Cell, look: Any) -> None:
    match value:
        case None:
            return
        case bool():
            page.write_boolean(line, index, value)
        case int() | float() | Decimal():
            page.write_number(line, index, value, look)
        case datetime():
            page.write_datetime(line, index, value.replace(tzinfo=None), look)
        case date():
            page.write_datetime(line, index, value, look)
        case str():
            page.write_string(line, index, _text(value))


def _format(book: Any, column: Column) -> Any:
    pattern = FORMATS.get(column.kind)
    if column.kind is ColumnKind.MONEY:
        pattern = "#,##0" + (f".{'0' * column.digits}" if column.digits else "")
    return book.add_format({"num_format": pattern} if pattern else {})


def _text(text: str) -> str:
    """What a cell can hold: no half of a surrogate pair, which no file in UTF-8 has."""
    return text.encode("utf-8", "replace").decode()[:LONGEST_TEXT]
