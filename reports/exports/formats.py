"""The formats of an export. One more is one more entry: a name, its media type, and a function of the sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse

from reports.exports.csv_file import csv_lines
from reports.exports.json_file import json_lines
from reports.exports.sheet import Sheet
from reports.exports.xlsx_file import xlsx_file


@dataclass(frozen=True, slots=True)
class Format:
    """`respond` makes the answer; a streamed one is written while it is sent."""

    name: str
    media_type: str
    respond: Callable[[Sheet], HttpResponseBase]


def _csv(sheet: Sheet) -> HttpResponseBase:
    lines: Iterable[bytes] = csv_lines(sheet)
    return StreamingHttpResponse(lines)


def _json(sheet: Sheet) -> HttpResponseBase:
    lines: Iterable[bytes] = json_lines(sheet)
    return StreamingHttpResponse(lines)


def _xlsx(sheet: Sheet) -> HttpResponseBase:
    return FileResponse(xlsx_file(sheet))


FORMATS: Final = {
    each.name: each
    for each in (
        Format("csv", "text/csv; charset=utf-8", _csv),
        Format("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _xlsx),
        Format("json", "application/json", _json),
    )
}


def answer(sheet: Sheet, kind: Format, filename: str) -> HttpResponseBase:
    """The sheet as a download."""
    response = kind.respond(sheet)
    response["Content-Type"] = kind.media_type
    response["Content-Disposition"] = f'attachment; filename="{filename}.{kind.name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
