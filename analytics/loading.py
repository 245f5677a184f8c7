"""Much history at once: whoever loads it says so, and the tick that counts leaves its days to them.

Otherwise loader and worker count the same days against each other, one day at a time, each waiting for the other's
lock. What is of today is counted within seconds all the while. The word is a lock of a connection of its own, so a
loader that is killed takes it back by dying.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
from django.db import connections

from analytics.locks import LOADING
from analytics.writing.loop import connect

# Locks of two numbers are those with objsubid 2. Everybody may look; nobody waits.
HOLDERS = """
SELECT DISTINCT objid::bigint FROM pg_locks
 WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2 AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@contextmanager
def history_loading(tenant_id: int, *, using: str = "default") -> Iterator[None]:
    """While it lasts, the tenant's days before today are counted by the caller, or afterwards.

    Raises django.db.OperationalError when PostgreSQL is away.
    """
    with connections[using].wrap_database_errors:
        session = connect(using)
    with closing(session):
        session.execute("SELECT pg_advisory_lock_shared(%s, %s)", [LOADING, tenant_id])
        try:
            yield
        finally:
            with suppress(psycopg.Error):  # a connection that is gone holds nothing
                session.execute("SELECT pg_advisory_unlock_shared(%s, %s)", [LOADING, tenant_id])


def tenants_loading(*, using: str = "default") -> frozenset[int]:
    """The tenants whose history is being loaded right now."""
    with connections[using].cursor() as cursor:
        cursor.execute(HOLDERS, [LOADING])
        return frozenset(row[0] for row in cursor.fetchall())
