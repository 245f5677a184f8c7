"""Whether an answer could have changed: a fingerprint of data and definitions that is cheaper than the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import connection

from analytics.periods import floor_minute
from kpis.catalogue import Catalogue, definition_version

# Every refresh of a bucket refreshes that of all events too, so that these rows tell of all others. The closed days
# are one row each; younger changes show in the hours and minutes of the last two days.
_DATA: Final = """
SELECT concat_ws('/', c.id, b.cells, b.events, b.at, d.oldest, d.newest)
  FROM bw_calendar c
 CROSS JOIN LATERAL (
       SELECT count(*) AS cells, sum(n) AS events, max(computed_at) AS at FROM bw_bucket
        WHERE tenant_id = c.tenant_id AND calendar_id = c.id AND measure = 'events.count' AND dimension = ''
          AND (grain = 3 OR start >= %(recent)s)
       ) b
 CROSS JOIN LATERAL (
       SELECT min(minute) AS oldest, max(minute) AS newest FROM bw_dirty_mark WHERE tenant_id = c.tenant_id
       ) d
 WHERE c.tenant_id = %(tenant)s AND c.state = 'live'
"""
RECENT: Final = timedelta(days=2)


def data_version(*, tenant_id: int, now: datetime) -> str:
    """Changes whenever a bucket of the tenant did, or waits to."""
    with connection.cursor() as cursor:
        cursor.execute(_DATA, {"tenant": tenant_id, "recent": now - RECENT})
        row = cursor.fetchone()
    return str(row[0]) if row else ""


def answer_tag(*, tenant_id: int, metrics: Iterable[str], question: str, end: datetime, now: datetime) -> str:
    """The ETag of an answer about metrics; weak, because `computed_at` may differ under the same numbers.

    A range that is not over changes with the clock too (`is_complete`), by the minute; others by the hour at most.
    Raises UnknownName.
    """
    catalogue = Catalogue(tenant_id)
    definitions = [definition_version(catalogue[name], catalogue) for name in metrics]
    clock = floor_minute(now) if end > now else floor_minute(now).replace(minute=0)
    parts = [str(tenant_id), question, *definitions, data_version(tenant_id=tenant_id, now=now), clock.isoformat()]
    return f'W/"{hashlib.blake2b(chr(0).join(parts).encode(), digest_size=12).hexdigest()}"'
