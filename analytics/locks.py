"""Advisory locks of a tenant that more than one module takes, always in this order. All but the third are held until
the transaction ends."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Final, Protocol

from django.db import connections


class Cursor(Protocol):
    """A cursor of Django or of psycopg."""

    def execute(self, query: Any, params: Any = None, /) -> Any: ...


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


IDENTIFYING: Final = 0x62_77_69_64
"""Exclusive while it is decided anew which subjects are one person, and while a person is erased: who comes second
sees what the first has done."""


def hold(
    lock: int, tenant_id: int, *, shared: bool = False, using: str = "default", cursor: Cursor | None = None
) -> None:
    """Wait for the lock, and hold it until the open transaction ends: that of `cursor`, else of the connection."""
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    with connections[using].cursor() if cursor is None else nullcontext(cursor) as session:
        session.execute(f"SELECT {function}(%s, %s)", [lock, tenant_id])
