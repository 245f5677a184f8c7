"""Tells what happened to a tenant in a few words, stores it, and has it counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from analytics.models import DirtyMark, Event, Subject, Tenant
from analytics.periods import floor_minute
from analytics.tenancy import tenant_context
from kpis.rollup.refresh import refresh_tenant

NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
PEOPLE = {name: number for number, name in enumerate(("ann", "bob", "cyd", "dan", "eve", "fay", "gil"), start=1)}


@dataclass
class Story:
    """`story.add("order_completed", at, "ann", amount=2000)`, then `story.count(now)`. Amounts are minor units."""

    tenant: Tenant
    currency: str = "EUR"
    _events: list[Event] = field(default_factory=list)
    _told: int = 0

    def add(self, name: str, at: datetime, who: str | None = None, **columns: Any) -> None:
        if "amount" in columns:
            columns = {"currency": self.currency, "amount_base": columns["amount"], **columns}
        self._told += 1
        id_ = uuid5(NAMESPACE, f"{self.tenant.pk} {self._told}")
        person = PEOPLE.get(who) if who is not None else None
        base = {"type": "user_action", "source": "api", "received_at": at, "event_id": str(id_), "properties": {}}
        self._events.append(
            Event(id=id_, tenant_id=self.tenant.pk, name=name, ts=at, subject_id=person, **{**base, **columns})
        )

    def store(self) -> None:
        """Write what was told, with marks for its minutes, and leave the counting to others."""
        minutes = sorted({floor_minute(event.ts) for event in self._events})
        with tenant_context(self.tenant.pk):
            Subject.objects.bulk_create(
                [
                    Subject(id=number, tenant_id=self.tenant.pk, person_id=number, first_seen_at=minutes[0])
                    for number in PEOPLE.values()
                ],
                ignore_conflicts=True,
            )
            Event.objects.bulk_create(self._events)
            marks = {"tenant_id": self.tenant.pk, "reason": "event"}
            DirtyMark.objects.bulk_create([DirtyMark(minute=at, created_at=at, **marks) for at in minutes])
        self._events = []

    def count(self, now: datetime) -> None:
        """Write what was told and count it."""
        if self._events:
            self.store()
        refresh_tenant(self.tenant.pk, now=now)
