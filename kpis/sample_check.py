"""A closed day, picked by chance, counted again from its events and compared: what the quality page shows."""

from __future__ import annotations

import random
import time
from datetime import date, datetime, timedelta

from analytics.models import DirtyMark
from analytics.retention import day_from, floors_read
from analytics.tenancy import tenant_context
from kpis.models import RollupCheck
from kpis.series.context import context_read

SHOWN = 20
KEPT = timedelta(days=90)


def sample_check(*, tenant_id: int, now: datetime, seed: int | None = None) -> RollupCheck | None:
    """Check one day with data that is over and has nothing waiting; None when there is none.

    `seed` makes the choice repeatable. Checks older than KEPT are let go.
    """
    from kpis.rollup.check import check_buckets

    with tenant_context(tenant_id):
        day = _chosen(tenant_id, now, seed)
        if day is None:
            return None
        began = time.monotonic()
        found = [str(difference) for difference in check_buckets(tenant_id, day, day + timedelta(days=1), now=now)]
        took = int((time.monotonic() - began) * 1000)
        RollupCheck.objects.filter(tenant_id=tenant_id, checked_at__lt=now - KEPT).delete()
        return RollupCheck.objects.create(
            tenant_id=tenant_id, day=day, differences=len(found), samples=found[:SHOWN], took_ms=took, checked_at=now
        )


def _chosen(tenant_id: int, now: datetime, seed: int | None) -> date | None:
    context = context_read(tenant_id=tenant_id, now=now)
    if context.first_day is None:
        return None
    calendar = context.calendar
    first, end = calendar.local_date(context.first_day), calendar.local_date(min(now, context.known_until))
    floor = floors_read(tenant_id).kept_from
    if floor is not None:
        first = max(first, calendar.local_date(day_from(calendar, floor)))
    marks = DirtyMark.objects.filter(tenant_id=tenant_id)
    if marks.filter(minute__isnull=True).exists():
        return None  # a person's minutes are not known before they are expanded
    waiting = {calendar.local_date(minute) for minute in marks.values_list("minute", flat=True).distinct() if minute}
    days = [first + timedelta(days=number) for number in range((end - first).days)]
    return random.Random(seed).choice([day for day in days if day not in waiting] or [None])
