"""One batch, one transaction: store what is new, say what became of everything, isolate what cannot be stored."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from struct import error as StructError
from typing import Any, Final

import msgspec
import psycopg
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from analytics.contracts import CapturedEvent, Outcome, Refusal, Verdict
from analytics.sealing import keyring, seal
from analytics.writing import rows, staging
from analytics.writing.lateness import TOO_OLD, kept_from_of
from analytics.writing.merging import merge_identities
from analytics.writing.profiles import change_groups, change_profiles
from analytics.writing.refusals import Held, held_event, held_refusal, hold, record_outcomes
from analytics.writing.subjects import ERASED, Person, data_keys, subjects_of
from analytics.writing.worth import base_amounts

Placed = tuple[int, CapturedEvent]

# What PostgreSQL says of data it will never take: bad values, broken constraints, limits of the program.
_POISON_CLASSES: Final = ("22", "23", "54")


@dataclass(slots=True)
class Batch:
    """What is found out about a batch on the way."""

    now: datetime
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)


def write_batch(
    connection: BaseDatabaseWrapper | psycopg.Connection[Any],
    events: Sequence[CapturedEvent],
    refusals: Sequence[Refusal] = (),
    *,
    now: datetime,
) -> list[Verdict]:
    """Store events in the open transaction of `connection`, account for `refusals`; verdicts in the order of `events`.

    The role is ingest (any tenants), or app with the tenant set. An event that PostgreSQL refuses is quarantined and
    its neighbours are stored. Other database errors pass through, and nothing of the batch stays.
    """
    cursor = staging.writing_cursor(connection)
    batch = Batch(now=now)
    if events:
        _store_isolating(cursor, list(enumerate(events)), batch)
    verdicts = [batch.verdicts[place] for place in range(len(events))]
    batch.held.extend(held for refusal in refusals if (held := held_refusal(refusal)) is not None)
    hold(cursor, batch.held)
    record_outcomes(cursor, events, verdicts, refusals)
    return verdicts


def _store_isolating(cursor: psycopg.Cursor[Any], placed: Sequence[Placed], batch: Batch) -> None:
    """Store; when the data is refused, halve until the culprit stands alone."""
    trial = Batch(now=batch.now)
    cursor.execute("SAVEPOINT bellwether_write")
    try:
        _store(cursor, placed, trial)
    except psycopg.Error as error:
        cursor.execute("ROLLBACK TO SAVEPOINT bellwether_write")
        cursor.execute("RELEASE SAVEPOINT bellwether_write")
        if (error.sqlstate or "")[:2] not in _POISON_CLASSES:
            raise
        if len(placed) == 1:
            _refuse(placed[0], f"{error.sqlstate}: {_first_line(error)}", batch)
            return
        middle = len(placed) // 2
        _store_isolating(cursor, placed[:middle], batch)
        _store_isolating(cursor, placed[middle:], batch)
        return
    cursor.execute("RELEASE SAVEPOINT bellwether_write")
    batch.verdicts.update(trial.verdicts)
    batch.held.extend(trial.held)


def _store(cursor: psycopg.Cursor[Any], placed: Sequence[Placed], batch: Batch) -> None:
    placed = _young_enough(cursor, placed, batch)
    subjects = _subjects(cursor, placed)
    welcome = [item for item in placed if not _is_erased(item, subjects, batch)]
    encoded = _encode(cursor, welcome, subjects, batch)
    if not encoded:
        return
    staging.stage(cursor, b"".join(encoded.values()))
    cursor.execute(staging.STORE, {"now": batch.now})
    refused = {place for (place,) in cursor.fetchall()}
    if refused:
        _tell_apart(cursor, [item for item in welcome if item[0] in refused], subjects, batch)
    stored = [item for item in welcome if item[0] in encoded and item[0] not in refused]
    for place, event in stored:
        batch.verdicts[place] = Verdict(event.event_id, Outcome.STORED)
    _follow_up(cursor, [event for _, event in stored], subjects, batch.now)


def _follow_up(
    cursor: psycopg.Cursor[Any], stored: Sequence[CapturedEvent], subjects: dict[Person, int], now: datetime
) -> None:
    """What a stored event changes beside itself. Always in this order, so that writers never wait in a circle."""
    if getattr(settings, "POSTHOG_API_KEY", ""):  # a host project need not know of it
        cursor.execute(staging.FORWARD, {"now": now})
    change_profiles(cursor, [event for event in stored if event.person is not None], subjects, now=now)
    change_groups(cursor, [event for event in stored if event.group is not None], now=now)
    merge_identities(cursor, [event for event in stored if event.links or event.identifies], subjects, now=now)


def _subjects(cursor: psycopg.Cursor[Any], placed: Sequence[Placed]) -> dict[Person, int]:
    seen: dict[Person, datetime] = {}
    for _, event in placed:
        if event.distinct_id is not None:
            person = (event.tenant_id, event.distinct_id)
            known = seen.get(person)
            if known is None or event.timestamp < known:
                seen[person] = event.timestamp
        for link in event.links:
            seen.setdefault((event.tenant_id, link.other), event.timestamp)
    return subjects_of(cursor, seen)


def _young_enough(cursor: psycopg.Cursor[Any], placed: Sequence[Placed], batch: Batch) -> Sequence[Placed]:
    """Without those of days that are gone: their hours cannot be counted any more."""
    floors = kept_from_of(cursor, [event for _, event in placed], batch.now)
    if not floors:
        return placed
    young: list[Placed] = []
    for place, event in placed:
        floor = floors.get(event.tenant_id)
        if floor is None or event.timestamp >= floor:
            young.append((place, event))
            continue
        detail = f"events before {floor.isoformat()} are not kept any more"
        batch.verdicts[place] = Verdict(event.event_id, Outcome.REJECTED, TOO_OLD, detail)
    return young


def _is_erased(item: Placed, subjects: dict[Person, int], batch: Batch) -> bool:
    place, event = item
    if event.distinct_id is None or subjects[event.tenant_id, event.distinct_id] != ERASED:
        return False
    batch.verdicts[place] = Verdict(event.event_id, Outcome.REJECTED, "erased_subject")
    return True


def _encode(
    cursor: psycopg.Cursor[Any], placed: Sequence[Placed], subjects: dict[Person, int], batch: Batch
) -> dict[int, bytes]:
    """Rows by place; what cannot even be written down goes to quarantine at once."""
    worth = base_amounts(cursor, placed)
    keys = _keys(cursor, placed, subjects)
    uuids, instant = rows.event_uuids(), rows.Instants()
    encoded: dict[int, bytes] = {}
    for place, event in placed:
        tenant = event.tenant_id
        subject = subjects[tenant, event.distinct_id] if event.distinct_id is not None else None
        try:
            key = rows.dedupe_key(event.event_id)
            properties = _sealed(event, key, keys.get((tenant, subject or 0))) if event.sensitive else event.properties
            encoded[place] = rows.encode_row(
                place, event, next(uuids), key=key, subject_id=subject, amount_base=worth.get(place),
                properties=properties, instant=instant,
            )  # fmt: skip
        except (TypeError, ValueError, OverflowError, RecursionError, StructError) as error:
            _refuse((place, event), f"{type(error).__name__}: {_first_line(error)}", batch)
    return encoded


def _keys(
    cursor: psycopg.Cursor[Any], placed: Sequence[Placed], subjects: dict[Person, int]
) -> dict[tuple[int, int], bytes]:
    secretive = [event for _, event in placed if event.sensitive and event.distinct_id is not None]
    return data_keys(cursor, [(e.tenant_id, subjects[e.tenant_id, e.distinct_id or ""]) for e in secretive])


def _sealed(event: CapturedEvent, key: bytes, data_key: bytes | None) -> dict[str, Any]:
    """Properties with the sensitive ones as one token. An event of nobody is sealed with its tenant's key."""
    plain, context = msgspec.json.encode(event.sensitive), b"event:" + key
    token = (
        seal(data_key, plain, context=context) if data_key else keyring().seal(event.tenant_id, plain, context=context)
    )
    return {**event.properties, "$sealed": base64.b64encode(token).decode()}


def _tell_apart(
    cursor: psycopg.Cursor[Any], refused: Sequence[Placed], subjects: dict[Person, int], batch: Batch
) -> None:
    """A key that was taken: the same event again, or another event under its id."""
    cursor.execute(staging.COMPARE)
    is_same: dict[int, bool] = dict(cursor.fetchall())
    for place, event in refused:
        if is_same[place]:
            batch.verdicts[place] = Verdict(event.event_id, Outcome.DUPLICATE)
            continue
        detail = "another event with this id and other content is stored already; send a new id"
        batch.verdicts[place] = Verdict(event.event_id, Outcome.CONFLICT, "id_taken", detail)
        subject = subjects[event.tenant_id, event.distinct_id] if event.distinct_id is not None else None
        batch.held.append(held_event(event, Outcome.CONFLICT, "id_taken", detail, subject))


def _refuse(item: Placed, detail: str, batch: Batch) -> None:
    place, event = item
    batch.verdicts[place] = Verdict(event.event_id, Outcome.QUARANTINED, "unstorable", detail)
    batch.held.append(held_event(event, Outcome.QUARANTINED, "unstorable", detail, None))


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200].replace("\0", "")
