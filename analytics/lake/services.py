"""What the schedule and the commands do with the lake."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import connections

from analytics.lake import marks
from analytics.lake.check import EVER
from analytics.lake.garbage import Collected, collect
from analytics.lake.sealing import Sealed, seal_tenant
from analytics.tenancy import tenant_context, tenant_ids

logger = logging.getLogger("bellwether.lake")

TICK_SECONDS: Final = 60.0
"""After so long a tick begins no new day; what is left waits for the next."""

DUE: Final = """
SELECT count(*) FROM bw_event e JOIN unnest(%(hours)s::timestamptz[]) AS h (hour)
    ON e.ts >= h.hour AND e.ts < h.hour + interval '1 hour'
 WHERE e.tenant_id = %(tenant)s"""


def lake_tick(*, now: datetime, using: str = "default") -> Sealed:
    """Seal what is due of every tenant. One tenant's failure leaves its marks and never stops its neighbours."""
    total = Sealed()
    for tenant_id in tenant_ids(using=using):
        try:
            total += seal_tenant(tenant_id, now=now, only_due=True, seconds=TICK_SECONDS, using=using)
        except Exception:
            logger.exception("the lake of tenant %s could not be sealed", tenant_id)
    return total


def lake_collect(*, now: datetime, using: str = "default") -> Collected:
    """Remove files whose time has come, of every tenant."""
    total = Collected()
    for tenant_id in tenant_ids(using=using):
        try:
            total += collect(tenant_id, now=now, using=using)
        except Exception:
            logger.exception("files of the lake of tenant %s could not be removed", tenant_id)
    return total


def lake_mark(
    *, tenant_id: int, start: datetime, end: datetime, reason: str, now: datetime, using: str = "default"
) -> None:
    """Have the hours of [start, end) sealed anew."""
    with tenant_context(tenant_id, using=using):
        marks.mark_range(tenant_id, start, end, reason=reason, now=now, using=using)


def lake_due(
    *, tenant_id: int, now: datetime, span: tuple[datetime, datetime] | None = None, using: str = "default"
) -> tuple[int, int]:
    """Hours that a seal of the marks (or of this range) would read at least, and their events."""
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        marks.expand_subjects(tenant_id, using=using)
        if span is not None:
            marks.mark_range(tenant_id, *span, reason="command", now=now, using=using)
        start, end = span or (EVER[0], EVER[1] - timedelta(days=1))
        hours = [each.hour for each in marks.marked_hours(tenant_id, using=using) if start <= each.hour < end]
        cursor.execute(DUE, {"hours": hours, "tenant": tenant_id})
        events = int(cursor.fetchone()[0])
        connections[using].set_rollback(True)
    return len(hours), events
