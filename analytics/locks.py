"""Advisory locks of a tenant that more than one app takes, always in this order. All but the third are held until the
transaction ends."""

from __future__ import annotations

from typing import Final

from django.db import connections

COUNTING: Final = 0x42570001
"""Exclusive for one refresh of the tenant's roll-ups, and while it is moved from when on its events are kept; shared by
parts of a backfill."""

KEEPING: Final = 0x42570002
"""Shared by writers of events that are days old, exclusive while it is moved from when on events are kept: so no
writer in flight knows a former answer."""

LOADING: Final = 0x42570003
"""Shared by whoever loads much history, as long as it takes; nobody ever waits for it, see `loading.py`."""

REPLACING: Final = 0x42570004
"""Exclusive while a table of the tenant's own is checked and written as a whole: its metrics, its channel rules, the
table of its segments. Each change is fine alone; two at once would be stored as a mixture that nobody sent."""


def one_at_a_time(lock: int, tenant_id: int, *, using: str = "default") -> None:
    """Wait for the lock, and hold it until the open transaction ends."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [lock, tenant_id])
