"""Visitors without a cookie, told through the door that gives them their ids of the day."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from analytics.capture.normalise import Arrival, event_of
from analytics.contracts import CapturedEvent, TenantInfo
from analytics.models import Tenant
from tests.analytics.events import write

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
COOKIELESS = "$posthog_cookieless"
ADDRESSES = {"cleo": "203.0.113.1", "dora": "203.0.113.2", "ezra": "203.0.113.3", "ann": "203.0.113.4"}


def seen(
    tenant: Tenant, who: str, at: datetime, name: str = "$pageview", *, by: str = COOKIELESS, **properties: Any
) -> CapturedEvent:
    """What a visitor did at that time: from an address of their own, under the id that their browser sends."""
    arrival = Arrival(
        tenant=TenantInfo(id=tenant.pk, slug=tenant.slug, zone=tenant.zone, base_currency=tenant.base_currency),
        received_at=at,
        agent=CHROME,
        address=ADDRESSES[who],
        host="shop.example",
        secret=b"a secret of the installation",
        is_clean=True,
    )
    message = {"event": name, "distinct_id": by, "timestamp": at.isoformat(), "properties": properties}
    found = event_of(message, arrival)
    assert isinstance(found, CapturedEvent)
    return found


def tell(tenant: Tenant, *events: CapturedEvent) -> None:
    """Store them."""
    verdicts = write(tenant, events, now=max(each.timestamp for each in events))
    assert {str(verdict.outcome) for verdict in verdicts} == {"stored"}
