"""What PostgreSQL's planner knows of the data."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connections

logger = logging.getLogger("bellwether.statistics")

TABLES = ("bw_event", "bw_event_key", "bw_subject", "bw_identity", "bw_session", "bw_dirty_mark")


def statistics_refresh(*, using: str = "owner") -> bool:
    """Have the planner look at the event tables again; False when the role may not. Call it after a bulk load.

    Autovacuum comes by once a minute. Until then the planner takes a tenant that was just filled to have one row, and
    reads that join its people and its events take minutes instead of seconds.
    """
    if using not in connections.settings:
        return False
    try:
        with connections[using].cursor() as cursor:
            cursor.execute(f"ANALYZE {', '.join(TABLES)}")
    except DatabaseError:
        logger.warning("the planner's statistics were not refreshed; autovacuum will do it within a minute")
        return False
    return True
