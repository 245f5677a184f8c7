"""How tests of the roll-ups tell a story: events by name, person and minute, written as capture writes them."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db import connections

from analytics.contracts import CapturedEvent, Outcome
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from analytics.writer import write_batch


def event(tenant: Tenant, name: str, at: datetime, who: str | None = None, **columns: Any) -> CapturedEvent:
    """An event whose id follows from what it says, so that the same one twice is a duplicate."""
    text = f"{name}|{at.isoformat()}|{who}|{sorted(columns.items())}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    values: dict[str, Any] = {
        "event_id": digest.hex(),
        "payload_hash": int.from_bytes(digest, "big", signed=True),
        "received_at": at + timedelta(seconds=1),
        "distinct_id": who,
    }
    return CapturedEvent(tenant_id=tenant.pk, name=name, timestamp=at, **{**values, **columns})


def store(*events: CapturedEvent) -> None:
    """Write the events of one tenant in one transaction; all must be stored."""
    with tenant_context(events[0].tenant_id):
        verdicts = write_batch(connections["default"], list(events), now=events[-1].received_at)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.STORED] * len(events)
