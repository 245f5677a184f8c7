"""Puts a story into the store, through the same doors as everybody's events."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any

from django.db import connections

from analytics.capture.normalise import Arrival, event_of
from analytics.contracts import CapturedEvent, Refusal, Source, TenantInfo, Verdict
from analytics.demo.simulator import Told, story
from analytics.demo.world import Plan
from analytics.models import Tenant
from analytics.spool import SpooledWriter, spool_folder
from analytics.tenancy import tenant_context
from analytics.writer import EventWriter

BATCH = 5_000
IN_FLIGHT = 4
RECEIVED_AFTER = timedelta(milliseconds=300)


def plan_for(tenant: TenantInfo, *, seed: int, days: int, events: int, until: datetime) -> Plan:
    """The plan of this tenant's story: one that was begun goes on from the day on which it began."""
    name = f"{seed}/{days}/{events}"
    with tenant_context(tenant.id):
        row = Tenant.objects.select_for_update().get(pk=tenant.id)
        begun: dict[str, str] = row.settings.setdefault("demo", {})
        if name not in begun:
            begun[name] = Plan.first_day(tenant.zone, days=days, until=until).isoformat()
            row.save(update_fields=["settings"])
    start = date.fromisoformat(begun[name])
    return Plan(seed=seed, start=start, zone=tenant.zone, days=days, events=events)


def story_store(plan: Plan, tenant: TenantInfo, *, until: datetime, on_progress: Callable[[int], None]) -> Counter[str]:
    """Stores a story up to an instant; how many events came to which outcome. Storing it again changes nothing."""
    partitions_ensure(plan, until)
    outcomes: Counter[str] = Counter()
    # One worker: the same people come again and again, and two would wait for each other at their identities.
    writer = EventWriter(workers=1, max_pending_events=BATCH * (IN_FLIGHT + 2))
    waiting: deque[Future[list[Verdict]]] = deque()
    try:
        for events, refusals in _batches(story(plan, until), tenant):
            waiting.append(writer.submit(events, refusals))
            outcomes.update(refusal.outcome.value for refusal in refusals)
            while len(waiting) > IN_FLIGHT:
                _account(waiting.popleft(), outcomes, on_progress)
        while waiting:
            _account(waiting.popleft(), outcomes, on_progress)
    finally:
        writer.close()
    return outcomes


def story_live(plan: Plan, tenant: TenantInfo, *, since: datetime, on_told: Callable[[str], None]) -> None:
    """Tells the story as it happens, for ever, from an instant on."""
    writer = SpooledWriter(spool_folder())
    try:
        for at, message in chain.from_iterable(story(plan, datetime.max.replace(tzinfo=UTC) - timedelta(days=1))):
            if at < since.timestamp():
                continue
            time.sleep(max(0.0, at - time.time()))
            outcome = _captured(at, message, tenant)
            if isinstance(outcome, CapturedEvent):
                writer.put(outcome)
            on_told(message["event"])
    finally:
        writer.close()


def partitions_ensure(plan: Plan, until: datetime) -> None:
    """Makes the months of the story before its events come."""
    month = plan.start.replace(day=1)
    with connections["default"].cursor() as cursor:
        while month <= until.date():
            cursor.execute("SELECT bw_partition_ensure(%s)", [month])
            month = (month + timedelta(days=32)).replace(day=1)


def _batches(days: Iterator[Told], tenant: TenantInfo) -> Iterator[tuple[list[CapturedEvent], list[Refusal]]]:
    events: list[CapturedEvent] = []
    refusals: list[Refusal] = []
    for at, message in chain.from_iterable(days):
        outcome = _captured(at, message, tenant)
        if isinstance(outcome, CapturedEvent):
            events.append(outcome)
        else:
            refusals.append(outcome)
        if len(events) >= BATCH:
            yield events, refusals
            events, refusals = [], []
    if events or refusals:
        yield events, refusals


def _captured(at: float, message: dict[str, Any], tenant: TenantInfo) -> CapturedEvent | Refusal:
    """The event as if it had arrived a moment after it happened."""
    received = datetime.fromtimestamp(at, UTC) + RECEIVED_AFTER
    return event_of(message, Arrival(tenant=tenant, received_at=received, source=Source.API, is_clean=True))


def _account(future: Future[list[Verdict]], outcomes: Counter[str], on_progress: Callable[[int], None]) -> None:
    verdicts: Sequence[Verdict] = future.result()
    outcomes.update(verdict.outcome.value for verdict in verdicts)
    on_progress(sum(outcomes.values()))
