"""Held events: read one, try them again, give them up. The ledger keeps adding up to what was received."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from django.db import connections, transaction
from django.db.models import QuerySet

from analytics.capture.normalise import replayed
from analytics.contracts import CapturedEvent, Outcome, TenantInfo, Verdict
from analytics.models import Quarantine
from analytics.sealing import keyring
from analytics.tenancy import tenant_context
from analytics.writing import staging
from analytics.writing.batch import write_batch
from analytics.writing.refusals import CAPTURED, add_outcomes, hour_of

CHUNK: Final = 500
# Ends that a replay may come to; with any other the event stays where it is.
SETTLED: Final = frozenset({Outcome.STORED, Outcome.DUPLICATE, Outcome.CONFLICT, Outcome.REJECTED})

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Replay:
    """What a replay came to: events by outcome, and why the rest is still held."""

    tried: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    still_held: Counter[str] = field(default_factory=Counter)
    is_dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "tried": self.tried,
            "outcomes": dict(self.outcomes),
            "still_held": dict(self.still_held),
            "dry_run": self.is_dry_run,
        }


def quarantine_held(
    *, tenant_id: int, reason: str = "", ids: Sequence[UUID] | None = None, using: str = "default"
) -> QuerySet[Quarantine]:
    """Held events of the tenant, oldest first; samples of rejected ones only when they are named. Needs its context."""
    rows = Quarantine.objects.using(using).filter(tenant_id=tenant_id, state=Quarantine.State.HELD)
    rows = rows.filter(pk__in=ids) if ids is not None else rows.exclude(outcome=Outcome.REJECTED)
    if reason:
        rows = rows.filter(reason=reason)
    return rows.order_by("received_at", "pk")


def quarantine_payload(row: Quarantine) -> dict[str, Any]:
    """The held message in plain text; for people who may see it."""
    plain = keyring().unseal(row.tenant_id, bytes(row.payload), context=b"quarantine")
    found = json.loads(plain) if plain else {}
    return found if isinstance(found, dict) else {"value": found}


def quarantine_replay(
    *,
    tenant: TenantInfo,
    now: datetime,
    reason: str = "",
    ids: Sequence[UUID] | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    using: str = "default",
) -> Replay:
    """Send held events through their door again, as of their first receipt.

    What is stored now moves from its former outcome to the new one in the ledger, at the hour of its receipt. A
    conflict is stored as an event of its own, under an id made of its id and content. A dry run changes nothing and
    tells the same.
    """
    report = Replay(is_dry_run=dry_run)
    with tenant_context(tenant.id, using=using):
        waiting = list(
            quarantine_held(tenant_id=tenant.id, reason=reason, ids=ids, using=using).values_list("pk", flat=True)
        )
    for start in range(0, len(waiting), CHUNK):
        with tenant_context(tenant.id, using=using), transaction.atomic(using=using):
            _replay_chunk(tenant, waiting[start : start + CHUNK], now, report, using)
            if dry_run:
                transaction.set_rollback(True, using=using)
        if progress is not None:
            progress(min(start + CHUNK, len(waiting)), len(waiting))
    return report


def quarantine_discard(*, tenant_id: int, ids: Sequence[UUID], now: datetime, using: str = "default") -> int:
    """Give events up: their content is deleted, the count stays. Returns how many."""
    with tenant_context(tenant_id, using=using):
        return quarantine_held(tenant_id=tenant_id, ids=ids, using=using).update(
            state=Quarantine.State.DISCARDED, payload=b"", replayed_at=now
        )


def _replay_chunk(tenant: TenantInfo, ids: Sequence[UUID], now: datetime, report: Replay, using: str) -> None:
    rows = list(
        Quarantine.objects.using(using)
        .filter(tenant_id=tenant.id, pk__in=ids, state=Quarantine.State.HELD)
        .select_for_update(skip_locked=True)
        .order_by("received_at", "pk")
    )
    report.tried += len(rows)
    ready: list[tuple[Quarantine, CapturedEvent]] = []
    for row in rows:
        event = _reread(row, tenant)
        if isinstance(event, CapturedEvent):
            ready.append((row, event))
        else:
            report.still_held[event] += 1
    if ready and not _store(ready, now, report, using):
        for item in ready:
            if not _store([item], now, report, using):
                report.still_held[item[0].reason] += 1


def _store(ready: Sequence[tuple[Quarantine, CapturedEvent]], now: datetime, report: Replay, using: str) -> bool:
    """Store all of these or none."""
    try:
        with transaction.atomic(using=using):
            verdicts = write_batch(connections[using], [event for _, event in ready], now=now)
            if any(verdict.outcome not in SETTLED for verdict in verdicts):
                raise _Unsettled
            _move([row for row, _ in ready], now, using)
    except (_Unsettled, psycopg.DataError):
        return False
    report.outcomes.update(_named(verdict) for verdict in verdicts)
    return True


class _Unsettled(Exception):
    """Some event of the chunk would be quarantined again."""


def _move(rows: Sequence[Quarantine], now: datetime, using: str) -> None:
    """Take rows out of their former outcome; `write_batch` has counted the new one."""
    Quarantine.objects.using(using).filter(pk__in=[row.pk for row in rows]).update(
        state=Quarantine.State.REPLAYED, payload=b"", replayed_at=now
    )
    left: Counter[tuple[int, datetime, str, str]] = Counter()
    for row in rows:
        left[row.tenant_id, hour_of(row.received_at), row.outcome, row.reason] -= 1
    add_outcomes(staging.writing_cursor(connections[using]), left)


def _reread(row: Quarantine, tenant: TenantInfo) -> CapturedEvent | str:
    """The event a row holds, or the reason why it is none yet."""
    payload = keyring().unseal(row.tenant_id, bytes(row.payload), context=b"quarantine")
    try:
        event = _captured(payload) or replayed(payload, tenant=tenant)
    except (msgspec.MsgspecError, ValueError):
        return "unreadable"
    if not isinstance(event, CapturedEvent):
        return event.reason
    event.received_at = row.received_at
    if row.outcome == Outcome.CONFLICT:
        event.event_id = f"{event.event_id}#{event.payload_hash & 0xFFFF_FFFF_FFFF_FFFF:016x}"
    return event


def _captured(payload: bytes) -> CapturedEvent | None:
    """An event that had passed its door; lone surrogates and NUL, which no database takes, are replaced."""
    if not payload.startswith(b'{"' + CAPTURED.encode()):
        return None
    plain = json.loads(payload)[CAPTURED]
    return msgspec.convert(_clean(plain), CapturedEvent, strict=False)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _named(verdict: Verdict) -> str:
    return verdict.outcome.value
