"""Names of events that a tenant has ever sent, to tell a slip of the pen from an answer of zero."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from django.db import connection

from analytics.filters import refuse
from analytics.tenancy import tenant_context
from kpis.contracts import OTHER
from kpis.explore.picks import names_of
from kpis.taxonomy import STANDARD_EVENTS

# Every count of events is rolled up by name; the fold keeps it to one row a name.
_NAMES = """
SELECT DISTINCT key FROM bw_bucket
 WHERE tenant_id = %s AND measure = 'events.count' AND dimension = 'name' AND grain = 3"""


def names_seen(*, tenant_id: int) -> frozenset[str] | None:
    """All of them; None where nothing was counted yet, or more than can be known from the counts."""
    with tenant_context(tenant_id), connection.cursor() as cursor:
        cursor.execute(_NAMES, [tenant_id])
        found = frozenset(row[0] for row in cursor.fetchall())
    return None if not found or OTHER in found else found


def names_check(names: Iterable[str], *, tenant_id: int) -> None:
    """Refuse names that are neither standard nor were ever sent, with the nearest that were."""
    asked = [name for name in dict.fromkeys(names) if name not in STANDARD_EVENTS]
    if not asked:
        return
    seen = names_seen(tenant_id=tenant_id)
    if seen is None:
        return
    known = seen | set(names_of(STANDARD_EVENTS))
    for name in asked:
        if name not in known:
            close = get_close_matches(name, sorted(known), n=3, cutoff=0.5)
            hint = f" Did you mean {' or '.join(close)}?" if close else " GET /api/v1/events/ shows what you send."
            refuse("events", "unknown_event", f"You never sent an event {name[:100]!r}.{hint}")
