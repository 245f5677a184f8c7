"""Events of days that are gone by the tenant's retention are refused: their hours cannot be counted any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from analytics.contracts import CapturedEvent
from analytics.locks import KEEPING, hold
from analytics.models.tenants import SHORTEST_DAYS
from analytics.writing import wire

TOO_OLD: Final = "older_than_kept"

MARGIN: Final = timedelta(days=SHORTEST_DAYS - 2)
"""Events that are younger are kept by every rule, whatever the zone; nobody has to ask."""

KEPT_FROM: Final = """
SELECT id, events_kept_from FROM bw_tenant WHERE id = ANY (%s::int4[]) AND events_kept_from IS NOT NULL"""


def kept_from_of(cursor: psycopg.Cursor[Any], events: Sequence[CapturedEvent], now: datetime) -> dict[int, datetime]:
    """For the tenants of whom a batch has old events: from when on theirs are kept, where some are gone.

    A batch of young events asks nothing. The answer holds until the writer's transaction ends, by a shared lock.
    """
    limit = now - MARGIN
    asked = sorted({event.tenant_id for event in events if event.timestamp < limit})
    if not asked:
        return {}
    for tenant_id in asked:
        hold(KEEPING, tenant_id, shared=True, cursor=cursor)
    cursor.execute(KEPT_FROM, [wire.int4s(asked)])
    return dict(cursor.fetchall())
