"""The ledger of outcomes: every event that was received came to exactly one, counted by hour of receipt."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connections
from django.db.models import Sum

from analytics.contracts import Outcome
from analytics.models import OutcomeCount
from analytics.tenancy import tenant_context, tenant_ids
from analytics.writing.refusals import hour_of

COMPACT = """
WITH crowded AS (
    SELECT hour, outcome, reason FROM bw_outcome
     WHERE tenant_id = %(tenant)s AND hour < %(before)s GROUP BY hour, outcome, reason HAVING count(*) > 1
), gone AS (
    DELETE FROM bw_outcome o USING crowded c
     WHERE o.tenant_id = %(tenant)s AND (o.hour, o.outcome, o.reason) = (c.hour, c.outcome, c.reason)
    RETURNING o.hour, o.outcome, o.reason, o.n
), merged AS (
    INSERT INTO bw_outcome (tenant_id, hour, outcome, reason, n)
    SELECT %(tenant)s, hour, outcome, reason, sum(n) FROM gone GROUP BY hour, outcome, reason
     ORDER BY hour, outcome, reason
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM merged)
"""


def outcomes_between(*, tenant_id: int, start: datetime, end: datetime, using: str = "default") -> dict[Outcome, int]:
    """Events received in [start, end) by outcome; `start` and `end` are taken down to their UTC hour."""
    rows = _between(tenant_id, start, end, using, "outcome")
    return {outcome: rows.get((outcome.value,), 0) for outcome in Outcome}


def outcome_reasons(
    *, tenant_id: int, start: datetime, end: datetime, using: str = "default"
) -> dict[tuple[Outcome, str], int]:
    """The same by outcome and reason; what moved away again is left out."""
    rows = _between(tenant_id, start, end, using, "outcome", "reason")
    return {(Outcome(outcome), reason): n for (outcome, reason), n in sorted(rows.items()) if n}


def outcomes_compact(*, now: datetime, tenant_id: int | None = None, using: str = "default") -> int:
    """Merge the rows of hours that are over; the sums stay. Returns how many rows fewer there are."""
    chosen = tenant_ids(using=using) if tenant_id is None else [tenant_id]
    # An hour's rows trickle in for a while after it (spools, slow transactions); merging them early is only waste.
    return sum(_compact(tenant, hour_of(now) - timedelta(hours=1), using) for tenant in chosen)


def _compact(tenant_id: int, before: datetime, using: str) -> int:
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        cursor.execute(COMPACT, {"tenant": tenant_id, "before": before})
        return int(cursor.fetchone()[0])


def _between(tenant_id: int, start: datetime, end: datetime, using: str, *by: str) -> dict[tuple[str, ...], int]:
    with tenant_context(tenant_id, using=using):
        found = (
            OutcomeCount.objects.using(using)
            .filter(tenant_id=tenant_id, hour__gte=hour_of(start), hour__lt=end)
            .values_list(*by)
            .annotate(sum=Sum("n"))
        )
        return {tuple(row[:-1]): int(row[-1]) for row in found}
