"""What PostgreSQL's planner knows of the data."""

from __future__ import annotations

from django.db import connections


def statistics_refresh(*, using: str = "default") -> None:
    """Have the planner look at the event tables again. Call it after a bulk load.

    Autovacuum comes by once a minute. Until then the planner takes a tenant that was just filled to have one row, and
    reads that join its people and its events take minutes instead of seconds. Only the owner may ANALYZE, so a function
    of the owner does it.
    """
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT bw_statistics_refresh()")
