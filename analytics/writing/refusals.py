"""What is not stored: kept whole in quarantine, or only counted; and the ledger in which everything adds up."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import psycopg

from analytics.capture.parse import INT64
from analytics.contracts import CapturedEvent, Outcome, Refusal, Verdict
from analytics.ids import uuid7
from analytics.sealing import keyring
from analytics.writing import wire

# Rejected events are only counted; this many of each reason are kept, per process and hour, so that one can look at
# them.
SAMPLES: Final = 10
MAX_LABEL: Final = 400
CAPTURED: Final = "$captured"

HOLD: Final = """
INSERT INTO bw_quarantine (id, tenant_id, received_at, outcome, reason, detail, event_id, name, subject_id,
                           payload_hash, payload, state)
SELECT id, tenant_id, received_at, outcome, reason, detail, event_id, name, subject_id, payload_hash, payload, 'held'
  FROM unnest(%s::uuid[], %s::int4[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
              %s::int8[], %s::int8[], %s::bytea[])
       AS q (id, tenant_id, received_at, outcome, reason, detail, event_id, name, subject_id, payload_hash, payload)
 ORDER BY id
    ON CONFLICT DO NOTHING
"""

COUNT: Final = """
INSERT INTO bw_outcome (tenant_id, hour, outcome, reason, n)
SELECT * FROM unnest(%s::int4[], %s::timestamptz[], %s::text[], %s::text[], %s::int8[])
"""

# (tenant, hour of receipt, outcome, reason)
Tally = tuple[int, datetime, str, str]


class Held(msgspec.Struct, frozen=True):
    """A row of quarantine. `id` is made of the content when the event has an id, so that a repetition is held once."""

    id: bytes
    tenant_id: int
    received_at: datetime
    outcome: str
    reason: str
    detail: str
    event_id: str | None
    name: str | None
    subject_id: int | None
    payload_hash: int | None
    payload: bytes


def held_event(event: CapturedEvent, outcome: Outcome, reason: str, detail: str, subject_id: int | None) -> Held:
    """An event that passed its door but is not stored."""
    content = b"%d:%d:%s" % (event.tenant_id, event.payload_hash, reason.encode())
    return Held(
        id=_held_id(event.event_id, content),
        tenant_id=event.tenant_id,
        received_at=event.received_at,
        outcome=outcome,
        reason=reason,
        detail=detail,
        event_id=_label(event.event_id),
        name=_label(event.name),
        subject_id=subject_id,
        payload_hash=event.payload_hash if -INT64 <= event.payload_hash < INT64 else None,
        payload=_captured_json(event),
    )


def refusal_of(event: CapturedEvent, detail: str) -> Refusal:
    """An event that cannot even be written down, in a form that can."""
    return Refusal(
        tenant_id=event.tenant_id,
        outcome=Outcome.QUARANTINED,
        reason="unstorable",
        received_at=event.received_at,
        detail=_label(detail) or "",
        event_id=_label(event.event_id),
        name=_label(event.name),
        payload=_captured_json(event),
    )


def held_refusal(refusal: Refusal) -> Held | None:
    """A refusal of a door; of rejected ones only the first few."""
    if refusal.outcome is not Outcome.QUARANTINED and not _samples.wants(refusal):
        return None
    content = b"%d:%s:%s" % (refusal.tenant_id, refusal.reason.encode(), refusal.payload)
    return Held(
        id=_held_id(refusal.event_id, content),
        tenant_id=refusal.tenant_id,
        received_at=refusal.received_at,
        outcome=refusal.outcome,
        reason=refusal.reason,
        detail=(_label(refusal.detail) or ""),
        event_id=_label(refusal.event_id),
        name=_label(refusal.name),
        subject_id=None,
        payload_hash=None,
        payload=refusal.payload,
    )


def hold(cursor: psycopg.Cursor[Any], held: Sequence[Held]) -> None:
    """Keep these, encrypted; what is held already stays as it is."""
    if not held:
        return
    sealed = keyring().seal
    cursor.execute(
        HOLD,
        [
            wire.uuids(h.id for h in held), wire.int4s(h.tenant_id for h in held),
            wire.times(h.received_at for h in held),
            wire.texts(h.outcome for h in held), wire.texts(h.reason for h in held), wire.texts(h.detail for h in held),
            wire.texts(h.event_id for h in held), wire.texts(h.name for h in held),
            wire.int8s(h.subject_id for h in held), wire.int8s(h.payload_hash for h in held),
            wire.byteas(sealed(h.tenant_id, h.payload, context=b"quarantine") for h in held),
        ],
    )  # fmt: skip


def record_outcomes(
    cursor: psycopg.Cursor[Any],
    events: Sequence[CapturedEvent],
    verdicts: Sequence[Verdict],
    refusals: Sequence[Refusal],
) -> None:
    """Count every event of the batch once, by hour of receipt."""
    tally: Counter[Tally] = Counter()
    hours = _Hours()
    for event, verdict in zip(events, verdicts, strict=True):
        tally[event.tenant_id, hours[event.received_at], verdict.outcome, verdict.reason] += 1
    for refusal in refusals:
        tally[refusal.tenant_id, hours[refusal.received_at], refusal.outcome, refusal.reason] += 1
    add_outcomes(cursor, tally)


def add_outcomes(cursor: psycopg.Cursor[Any], tally: dict[Tally, int]) -> None:
    """Append to the ledger; numbers may be negative when an event moves from one outcome to another."""
    if not tally:
        return
    keys = sorted(tally)
    cursor.execute(
        COUNT,
        [
            wire.int4s(key[0] for key in keys), wire.times(key[1] for key in keys), wire.texts(key[2] for key in keys),
            wire.texts(key[3] for key in keys), wire.int8s(tally[key] for key in keys),
        ],
    )  # fmt: skip


def hour_of(moment: datetime) -> datetime:
    """The UTC hour of an instant, by which outcomes are counted."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


class _Hours(dict[datetime, datetime]):
    def __missing__(self, moment: datetime) -> datetime:
        found = self[moment] = hour_of(moment)
        return found


class _Samples:
    """Which rejected events to keep a copy of."""

    def __init__(self) -> None:
        self._hour: datetime | None = None
        self._kept: Counter[tuple[int, str]] = Counter()

    def wants(self, refusal: Refusal) -> bool:
        hour = hour_of(refusal.received_at)
        if hour != self._hour:
            self._hour, self._kept = hour, Counter()
        self._kept[refusal.tenant_id, refusal.reason] += 1
        return bool(refusal.payload) and self._kept[refusal.tenant_id, refusal.reason] <= SAMPLES


_samples = _Samples()


def _held_id(event_id: str | None, content: bytes) -> bytes:
    if not event_id:
        return uuid7().bytes
    digest = bytearray(hashlib.blake2b(content, digest_size=16, key=event_id.encode("utf-8", "replace")[:64]).digest())
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def _label(text: str | None) -> str | None:
    """A text that PostgreSQL takes whatever it was."""
    if text is None:
        return None
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:MAX_LABEL]


def _captured_json(event: CapturedEvent) -> bytes:
    """The event as replay reads it again. Lone surrogates survive as escapes, which msgspec refuses to write."""
    plain = msgspec.to_builtins(event, str_keys=True, enc_hook=str)
    try:
        return msgspec.json.encode({CAPTURED: plain})
    except (UnicodeEncodeError, RecursionError):
        return json.dumps({CAPTURED: plain}, default=str).encode()
