"""Inference that people may order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from analytics.jobs import enqueue
from analytics.models import Job
from analytics.periods import Calendar
from analytics.starters import NothingToDo, Order, Starter, starters
from insights.jobs import SNAPSHOT


def snapshot_plan(order: Order) -> dict[str, Any]:
    """The day it would be of, and how many sales there are."""
    from insights.customers.services import NobodyBought, ledger_until

    taken_on = _day(order)
    try:
        ledger = ledger_until(tenant_id=order.tenant.id, taken_on=taken_on, now=order.now)
    except NobodyBought as error:
        raise NothingToDo(str(error)) from None
    return {"taken_on": taken_on.isoformat(), "sales": len(ledger.sales.person)}


def snapshot_start(order: Order) -> Job:
    """A job that looks at all customers as of the last day asked for, else yesterday."""
    taken_on = _day(order).isoformat()
    return enqueue(
        kind=SNAPSHOT,
        tenant_id=order.tenant.id,
        params={"taken_on": taken_on},
        dedupe_key=taken_on,
        created_by=order.actor,
    )


def _day(order: Order) -> Any:
    end = order.end or Calendar(order.tenant.zone).local_date(order.now)
    return end - timedelta(days=1)


starters.register(Starter("customers", "Score and segment all customers.", snapshot_plan, snapshot_start))
