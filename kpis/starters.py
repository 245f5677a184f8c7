"""The counting that people may order: a roll-up of what is dirty or of some days, and a backfill from all events.

Roll-ups are imported where they run: they bring numpy and Arrow, which web processes need not hold.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from django.utils import timezone

from analytics.jobs import PermanentFailure, RunningJob, enqueue, job_kind
from analytics.models import Job
from analytics.periods import Calendar
from analytics.registry import UnknownName
from analytics.starters import NothingToDo, Order, Starter, starters

REFRESH: Final = "rollup.refresh"


@job_kind(REFRESH)
def refresh(job: RunningJob) -> dict[str, Any]:
    """Params: `from` and `to` (local dates to mark first), or neither. Safe to repeat."""
    from kpis.rollup.refresh import refresh_tenant
    from kpis.rollup.services import days_mark

    if job.tenant_id is None:
        raise PermanentFailure("a roll-up needs a tenant")
    now = timezone.now()
    if "from" in job.params and not job.cursor.get("is_marked"):
        first, end = (date.fromisoformat(job.params[name]) for name in ("from", "to"))
        days_mark(tenant_id=job.tenant_id, first=first, end=end, now=now)
        job.checkpoint({"is_marked": True})
    done = refresh_tenant(job.tenant_id, now=now)
    return {"days": done.days, "minutes": done.minutes}


def rollup_plan(order: Order) -> dict[str, Any]:
    """How many minutes would be counted again."""
    _refuse_metrics(order)
    from kpis.rollup.services import minutes_dirty

    first, end = _days(order) if order.first else (None, None)
    return {"minutes": minutes_dirty(tenant_id=order.tenant.id, first=first, end=end)}


def rollup_start(order: Order) -> Job:
    """A job that counts what is dirty, or all of some days."""
    _refuse_metrics(order)
    first, end = _days(order) if order.first else (None, None)
    params = {"from": first.isoformat(), "to": end.isoformat()} if first and end else {}
    key = f"{params.get('from', '')}:{params.get('to', '')}"
    return enqueue(kind=REFRESH, tenant_id=order.tenant.id, params=params, dedupe_key=key, created_by=order.actor)


def backfill_plan(order: Order) -> dict[str, Any]:
    """Days, events and parts that would be counted."""
    from kpis.rollup.backfill import Backfill, plan_parts

    first, end = _span(order)
    parts = plan_parts(Backfill(order.tenant.id, first, end, with_sessions=False))
    return {
        "from": first.isoformat(),
        "to": end.isoformat(),
        "days": (end - first).days,
        "events": sum(part.events for part in parts),
        "parts": len(parts),
        "measures": list(_measures(order)),
    }


def backfill_start(order: Order) -> Job:
    """The backfill job of these days; an unfinished one goes on."""
    from kpis.rollup.services import backfill_enqueue

    first, end = _span(order)
    _measures(order)
    return backfill_enqueue(
        tenant_id=order.tenant.id, first=first, end=end, workers=1, metrics=order.metrics, created_by=order.actor
    )


def _measures(order: Order) -> tuple[str, ...]:
    """What the metrics of the order are made of; empty for everything. Raises NothingToDo for an unknown one."""
    from kpis.rollup.services import measures_behind

    try:
        return measures_behind(tenant_id=order.tenant.id, metrics=order.metrics)
    except UnknownName as error:
        raise NothingToDo(str(error), "metrics") from None


def _refuse_metrics(order: Order) -> None:
    if order.metrics:
        raise NothingToDo("A roll-up counts whatever is dirty; `metrics` limits a backfill.", "metrics")


def _span(order: Order) -> tuple[date, date]:
    """The days of the order, those of all events where it leaves them open. Raises NothingToDo."""
    from kpis.rollup.backfill import bounds

    known = bounds(order.tenant.id)
    if known is None:
        raise NothingToDo("There are no events to count.")
    first, end = order.first or known[0], order.end or known[1]
    _refuse_gone(order)
    if end <= first:
        raise NothingToDo(f"There are no events between {first} and {end}.")
    return first, end


def _refuse_gone(order: Order) -> None:
    """Raises NothingToDo when the order begins with days of which events are not kept any more."""
    from kpis.rollup.frozen import DaysGone, days_check

    try:
        days_check(tenant_id=order.tenant.id, first=order.first)
    except DaysGone as error:
        raise NothingToDo(str(error)) from None


def _days(order: Order) -> tuple[date, date]:
    today = Calendar(order.tenant.zone).local_date(order.now)
    first, end = order.first or today, order.end or today
    _refuse_gone(order)
    if end <= first:
        raise NothingToDo("`to` is exclusive and must be later than `from`.")
    return first, end


starters.register(
    Starter("rollup", "Count what is dirty again, or all of some days.", rollup_plan, rollup_start),
)
starters.register(
    Starter("backfill", "Count days from all their events.", backfill_plan, backfill_start),
)
