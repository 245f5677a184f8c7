"""How the machine does, published as data points once a minute into one tenant: the one that ANALYTICS_TENANT names.

A beat carries the time since the one before (`duration_ms`) and how much of it counts as up (`value`, milliseconds): a
gap wider than BEAT_AT_MOST was time down, which nobody could tell of while it lasted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import psutil
from django.conf import settings
from django.db import connection

from analytics.capture.tracking import track
from analytics.jobs import ringable
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenant_context

BEAT_AT_MOST: Final = timedelta(seconds=90)
LOOKED_BACK: Final = timedelta(days=7)
CPU_SECONDS: Final = 0.5
HEARTBEAT: Final = "system.heartbeat"

_LAST: Final = """
SELECT ts FROM bw_event
 WHERE tenant_id = %s AND ts >= %s AND ts < %s AND name = 'data_point' AND object_id = %s
 ORDER BY ts DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU and memory as shares of all there is; `queue` is the number of jobs that wait for a worker."""

    cpu: float
    memory: float
    queue: int


def machine_read(*, now: datetime) -> Reading:
    """The machine at this moment; takes half a second, because use of a CPU is known over a stretch only."""
    return Reading(
        cpu=psutil.cpu_percent(interval=CPU_SECONDS) / 100,
        memory=psutil.virtual_memory().percent / 100,
        queue=len(ringable(now=now)),
    )


def machine_publish(*, now: datetime, reading: Reading | None = None) -> bool:
    """Publish the machine's numbers; False when no tenant is named to take them."""
    slug = settings.ANALYTICS_TENANT
    if not isinstance(slug, str) or not slug:
        return False
    try:
        tenant = tenant_by_slug(slug)
    except UnknownTenant:
        return False
    found = reading or machine_read(now=now)
    with tenant_context(tenant.id):
        gap = now - (_last_beat(tenant.id, now) or now)
        numbers = {"system.cpu": found.cpu, "system.memory": found.memory, "system.queue_depth": float(found.queue)}
        for name, value in numbers.items():
            _publish(slug, name, value, now)
        up = min(gap, BEAT_AT_MOST)
        _publish(slug, HEARTBEAT, _milliseconds(up), now, duration_ms=_milliseconds(gap))
    return True


def _publish(slug: str, name: str, value: float, now: datetime, **properties: float) -> None:
    track("data_point", value=value, object=("metric", name), properties=properties, timestamp=now, tenant=slug)


def _last_beat(tenant_id: int, now: datetime) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [tenant_id, now - LOOKED_BACK, now, HEARTBEAT])
        row = cursor.fetchone()
    return row[0] if row else None


def _milliseconds(span: timedelta) -> float:
    return span / timedelta(milliseconds=1)
