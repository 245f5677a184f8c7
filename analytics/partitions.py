"""Monthly partitions of the event store. A default partition takes what has none yet, so no event is ever refused."""

from __future__ import annotations

import logging
from datetime import date, datetime

import psycopg
from django.db import OperationalError, connections, transaction

from analytics.failpoints import failpoint

logger = logging.getLogger("bellwether.retention")

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


def partitions_past(*, using: str = "default") -> list[tuple[date, bool]]:
    """Months of which no tenant keeps an event, oldest first, and whether each is still part of the event store."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT month, is_attached FROM bw_partitions_past()")
        rows: list[tuple[date, bool]] = cursor.fetchall()
    return rows


def partitions_retire(*, using: str = "default") -> list[str]:
    """Detach and drop the months of which no tenant keeps an event; the dropped ones (YYYY-MM).

    Each step is a statement of its own, so a kill leaves at worst a detached table, which the next call drops. A month
    that writers or readers hold on to for seconds waits for the next call.
    """
    for month, is_attached in partitions_past(using=using):
        if is_attached:
            _drop(month, using)  # of an earlier time, were there one, it would be in the way
            if not _detached(month, using):
                break
            failpoint("retention.after_detach")
    dropped = [f"{month:%Y-%m}" for month, is_attached in partitions_past(using=using) if not is_attached]
    for name in dropped:
        _drop(date.fromisoformat(f"{name}-01"), using)
        failpoint("retention.after_drop")
    return dropped


def _detached(month: date, using: str) -> bool:
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute("SELECT bw_partition_detach(%s)", [month])
            return bool(cursor.fetchone()[0])
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            logger.warning("the month %s is in use and is detached another time", f"{month:%Y-%m}")
            return False
        raise


def _drop(month: date, using: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT bw_partition_drop(%s)", [month])
