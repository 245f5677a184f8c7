"""Monthly partitions of the event store. A default partition takes what has none yet, so no event is ever refused."""

from __future__ import annotations

from datetime import date, datetime

from django.db import connections

MONTHS_AHEAD = 2


def month_after(month: date, count: int = 1) -> date:
    year, index = divmod(month.year * 12 + month.month - 1 + count, 12)
    return date(year, index + 1, 1)


def partitions_ensure(*, now: datetime, ahead: int = MONTHS_AHEAD, using: str = "default") -> list[str]:
    """Make the partitions of the current month and the next `ahead` that are missing; their months (YYYY-MM).

    Rows of such a month that lie in the default partition move into it.
    """
    first = date(now.year, now.month, 1)
    return partitions_between(first, month_after(first, ahead + 1), using=using)


def partitions_between(first: date, end: date, *, using: str = "default") -> list[str]:
    """Make the missing partitions of the months from `first` until before `end`; their months (YYYY-MM)."""
    made, month = [], date(first.year, first.month, 1)
    with connections[using].cursor() as cursor:
        while month < end:
            cursor.execute("SELECT bw_partition_ensure(%s)", [month])
            if cursor.fetchone()[0]:
                made.append(f"{month:%Y-%m}")
            month = month_after(month)
    return made


def partitions_list(*, using: str = "default") -> list[tuple[str, str, int, int]]:
    """Name, bounds, size in bytes and estimated rows of each partition."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT name, bounds, bytes, estimate FROM bw_partitions()")
        rows: list[tuple[str, str, int, int]] = cursor.fetchall()
    return rows
