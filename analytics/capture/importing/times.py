"""Times of a file as UTC instants. A time without an offset is local time of the tenant (or of the mapping's zone)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from .mapping import Column
from .problems import RowProblem, shown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FileTime(NamedTuple):
    """An instant and the words of the file for it."""

    at: datetime
    text: str


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises LookupError."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise LookupError(name) from error


def time_reader(name: str, column: Column, zone: tzinfo, default_name: str) -> Callable[[Any], FileTime]:
    """A function from a cell to its instant; raises RowProblem when the cell names none."""
    parse = parser_of(column.format)
    local = local_reader(name, column, zone, default_name)

    def read(value: Any) -> FileTime:
        try:
            moment = value if isinstance(value, datetime) else parse(value)
            moment = local(moment) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, TypeError, OverflowError, OSError):
            remedy = f"write it as {example_of(column.format)}, or set columns.{name}.format in the mapping"
            message = f"{shown(value)} is no time of the format {column.format}"
            raise RowProblem("bad_time", message, remedy=remedy, field=name) from None
        return FileTime(moment, str(value))

    return read


def parser_of(form: str) -> Callable[[Any], datetime]:
    """From a cell to a datetime, aware or naive; raises ValueError, TypeError or OverflowError."""
    if form == "unix":
        return lambda value: EPOCH + timedelta(seconds=float(value))
    if form == "unix_ms":
        return lambda value: EPOCH + timedelta(milliseconds=float(value))
    # What strptime says of these two, at a tenth of the time.
    if form in {"iso", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"}:
        return lambda value: datetime.fromisoformat(str(value).strip())
    return lambda value: datetime.strptime(str(value).strip(), form)  # noqa: DTZ007 - the zone comes next


def example_of(form: str) -> str:
    """How a time of that format looks."""
    moment = datetime(2026, 11, 21, 17, 5, 9, tzinfo=UTC)
    words = {"iso": "2026-11-21 17:05:09", "unix": "1795280709", "unix_ms": "1795280709000"}
    return words.get(form) or moment.strftime(form)


def local_reader(name: str, column: Column, zone: tzinfo, zone_name: str) -> Callable[[datetime], datetime]:
    """From local to UTC. Python's fold rules give both decisions: 0 reads a repeated hour as its first, and moves an
    hour that the clocks skip forward by the gap."""
    fold = 1 if column.repeated == "second" else 0
    may_repeat, may_skip = column.repeated != "refuse", column.skipped != "refuse"

    def read(moment: datetime) -> datetime:
        aware = moment.replace(tzinfo=zone, fold=0)
        other = aware.replace(fold=1)
        first, second = aware.utcoffset(), other.utcoffset()
        if first == second:
            return aware.astimezone(UTC)
        is_skipped = first is not None and second is not None and first < second
        if not (may_skip if is_skipped else may_repeat):
            what = "does not exist" if is_skipped else "exists twice"
            remedy = "write it with its offset from UTC, or choose in the mapping (columns: repeated, skipped)"
            raise RowProblem("bad_local_time", f"{moment} {what} in {zone_name}", remedy=remedy, field=name)
        return (aware if is_skipped or not fold else other).astimezone(UTC)

    return read
