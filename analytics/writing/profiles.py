"""Traits of persons and groups. What identifies a person is kept only as ciphertext under that person's key."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import psycopg

from analytics.capture.sensitive import holds_sensitive, is_sensitive, split_traits
from analytics.contracts import CapturedEvent, PersonChange
from analytics.sealing import SealBroken, keyring, seal, unseal
from analytics.writing import wire
from analytics.writing.subjects import Person, data_keys
from analytics.writing.tenants import tenants_of

Subject = tuple[int, int]
Traits = dict[str, Any]

READ: Final = """
SELECT p.tenant_id, p.subject_id, p.traits::text, p.sealed_traits
  FROM bw_profile p JOIN unnest(%s::int4[], %s::int4[]) AS w (tenant_id, subject_id) USING (tenant_id, subject_id)
"""

BEGIN: Final = """
INSERT INTO bw_profile (tenant_id, subject_id, traits, updated_at)
SELECT tenant_id, subject_id, '{}', %s FROM unnest(%s::int4[], %s::int4[]) AS w (tenant_id, subject_id)
 ORDER BY tenant_id, subject_id
    ON CONFLICT DO NOTHING
"""

LOCK: Final = READ + " ORDER BY p.tenant_id, p.subject_id FOR UPDATE OF p"

WRITE: Final = """
UPDATE bw_profile p SET traits = w.traits::jsonb, sealed_traits = w.sealed_traits, updated_at = %s
  FROM unnest(%s::int4[], %s::int4[], %s::text[], %s::bytea[]) AS w (tenant_id, subject_id, traits, sealed_traits)
 WHERE p.tenant_id = w.tenant_id AND p.subject_id = w.subject_id
"""

GROUPS: Final = """
INSERT INTO bw_group AS g (tenant_id, type, key, traits, updated_at)
SELECT tenant_id, type, key, traits::jsonb, %s
  FROM unnest(%s::int4[], %s::text[], %s::text[], %s::text[]) AS w (tenant_id, type, key, traits)
 ORDER BY tenant_id, type, key
    ON CONFLICT (tenant_id, type, key)
    DO UPDATE SET traits = g.traits || excluded.traits, updated_at = excluded.updated_at
 WHERE g.traits IS DISTINCT FROM g.traits || excluded.traits
"""


def apply_change(traits: Traits, change: PersonChange) -> Traits:
    """PostHog's rules: set overwrites, set_once fills what is absent or null, unset removes."""
    changed = dict(traits)
    for name, value in change.set_once.items():
        if value is not None and changed.get(name) is None:
            changed[name] = value
    changed.update(change.set)
    for name in change.unset:
        changed.pop(name, None)
    return changed


def change_profiles(
    cursor: psycopg.Cursor[Any], events: Sequence[CapturedEvent], subjects: dict[Person, int], *, now: datetime
) -> None:
    """Apply the trait changes of stored events, oldest first. Profiles that stay as they are are not written."""
    changes: dict[Subject, list[PersonChange]] = {}
    for event in sorted(events, key=lambda event: event.timestamp):
        if event.distinct_id is not None and event.person is not None:
            subject = (event.tenant_id, subjects[event.tenant_id, event.distinct_id])
            changes.setdefault(subject, []).append(event.person)
    if not changes:
        return
    keys = data_keys(cursor, changes)
    known = _read(cursor, READ, sorted(changes), keys)
    wanted = sorted(subject for subject in changes if _folded(known.get(subject, {}), changes[subject]) is not None)
    if not wanted:
        return
    cursor.execute(BEGIN, [now, *_both(wanted)])
    known = _read(cursor, LOCK, wanted, keys)
    news = {subject: _folded(known[subject], changes[subject]) for subject in wanted}
    _write(cursor, {subject: traits for subject, traits in news.items() if traits is not None}, keys, now)


def change_groups(cursor: psycopg.Cursor[Any], events: Sequence[CapturedEvent], *, now: datetime) -> None:
    """Merge the traits of groups, oldest first. A group is nobody's own, so its secrets are under the tenant's key."""
    if not events:
        return
    tenants = tenants_of(cursor, (event.tenant_id for event in events))
    groups: dict[tuple[int, str, str], Traits] = {}
    for event in sorted(events, key=lambda event: event.timestamp):
        if event.group is not None:
            named = groups.setdefault((event.tenant_id, event.group.type, event.group.key), {})
            named.update(event.group.set)
    keys = sorted(groups)
    bodies = [_group_traits(key[0], groups[key], tenants[key[0]].sensitive_fields) for key in keys]
    parameters = [wire.int4s(k[0] for k in keys), wire.texts(k[1] for k in keys), wire.texts(k[2] for k in keys)]
    cursor.execute(GROUPS, [now, *parameters, wire.texts(bodies)])


def open_traits(plain: Traits, sealed: bytes | memoryview | None, key: bytes | None) -> Traits:
    """All traits of one profile row; the sealed ones are left out when their key is gone."""
    if sealed is None or key is None:
        return plain
    try:
        return {**plain, **json.loads(unseal(key, bytes(sealed), context=b"traits"))}
    except SealBroken:
        return plain


def _folded(traits: Traits, changes: list[PersonChange]) -> Traits | None:
    """The traits after all changes; None when nothing changes."""
    changed = traits
    for change in changes:
        changed = apply_change(changed, change)
    return None if changed == traits else changed


def _read(
    cursor: psycopg.Cursor[Any], statement: str, subjects: list[Subject], keys: dict[Subject, bytes]
) -> dict[Subject, Traits]:
    cursor.execute(statement, _both(subjects))
    return {
        (tenant, subject): open_traits(json.loads(plain), sealed, keys.get((tenant, subject)))
        for tenant, subject, plain, sealed in cursor.fetchall()
    }


def _write(cursor: psycopg.Cursor[Any], news: dict[Subject, Traits], keys: dict[Subject, bytes], now: datetime) -> None:
    if not news:
        return
    declared = {t.id: t.sensitive_fields for t in tenants_of(cursor, (tenant for tenant, _ in news)).values()}
    plain: list[str] = []
    sealed: list[bytes | None] = []
    for subject, traits in news.items():
        shown, secret = split_traits(traits, declared[subject[0]])
        plain.append(_json(shown))
        # Without a key the person is being erased: what identifies is not kept at all.
        key = keys.get(subject) if secret else None
        sealed.append(seal(key, msgspec.json.encode(secret), context=b"traits") if key else None)
    cursor.execute(WRITE, [now, *_both(list(news)), wire.texts(plain), wire.byteas(sealed)])


def _group_traits(tenant_id: int, traits: Traits, declared: frozenset[str]) -> str:
    shown = {
        name: _token(tenant_id, value) if is_sensitive(name, declared) or holds_sensitive(value, declared) else value
        for name, value in traits.items()
    }
    return _json(shown)


def _token(tenant_id: int, value: Any) -> dict[str, str]:
    sealed = keyring().seal(tenant_id, msgspec.json.encode(value), context=b"group")
    return {"$sealed": base64.b64encode(sealed).decode()}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _both(subjects: Sequence[Subject]) -> list[wire.WireArray]:
    return [wire.int4s(tenant for tenant, _ in subjects), wire.int4s(subject for _, subject in subjects)]
