"""Events for tests of the writer, made with one line each, and a look at what the store holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections

from analytics.contracts import CapturedEvent, Refusal, Verdict
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from analytics.writer import write_batch

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def event(tenant: Tenant, event_id: str, *, minute: int = 0, **fields: Any) -> CapturedEvent:
    """A page view at 12:00 plus `minute`; its hash follows from its content, as it does at the doors."""
    fields.setdefault("name", "page_viewed")
    fields.setdefault("timestamp", NOON + timedelta(minutes=minute))
    fields.setdefault("received_at", NOON + timedelta(minutes=minute))
    content = repr((fields["name"], fields.get("distinct_id"), fields.get("properties"), fields.get("sensitive")))
    hashed = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big", signed=True)
    return CapturedEvent(tenant_id=tenant.pk, event_id=event_id, **{"payload_hash": hashed, **fields})


def write(
    tenant: Tenant, events: Sequence[CapturedEvent], refusals: Sequence[Refusal] = (), *, now: datetime = NOON
) -> list[Verdict]:
    """Write as the app role in the tenant's own transaction."""
    with tenant_context(tenant.pk):
        return write_batch(connections["default"], events, refusals, now=now)


def told(verdicts: Sequence[Verdict]) -> list[str]:
    """The outcomes, with their reasons."""
    return [f"{v.outcome}/{v.reason}" if v.reason else str(v.outcome) for v in verdicts]


def rows(tenant: Tenant, query: str, using: str = "default") -> list[tuple[Any, ...]]:
    """What the tenant sees of its tables."""
    with tenant_context(tenant.pk, using=using), connections[using].cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def ledger(tenant: Tenant) -> dict[str, int]:
    """Sums of the outcome ledger."""
    query = "SELECT outcome || '/' || reason, sum(n)::int FROM bw_outcome GROUP BY 1 HAVING sum(n) <> 0 ORDER BY 1"
    return {name.removesuffix("/"): n for name, n in rows(tenant, query)}
