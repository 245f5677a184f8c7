"""From distinct ids to subjects: found by keyed digest, made on first sight, refused after an erasure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import psycopg

from analytics.daily_visitors import is_daily_id
from analytics.sealing import keyring, seal
from analytics.writing import wire

# One distinct id of one tenant.
Person = tuple[int, str]

ERASED: Final = -1
_UNKNOWN: Final = 0

# -1 erased, 0 unknown, else the subject; in the order of the input.
FIND: Final = """
SELECT array_agg(CASE WHEN x.digest IS NOT NULL THEN -1 ELSE coalesce(i.subject_id, 0) END ORDER BY s.ord)
  FROM unnest(%s::int4[], %s::uuid[]) WITH ORDINALITY AS s (tenant_id, digest, ord)
  LEFT JOIN bw_identity i ON i.tenant_id = s.tenant_id AND i.digest = s.digest
  LEFT JOIN bw_suppression x ON x.tenant_id = s.tenant_id AND x.digest = s.digest
"""

# Only the winner of two writers who meet the same new id gets a subject; the loser waits here and finds the winner's.
CREATE: Final = """
WITH fresh AS MATERIALIZED (
    SELECT tenant_id, digest, wrapped_key, sealed_id, first_seen_at, is_daily,
           nextval(('public.bw_subject_seq_' || tenant_id)::regclass)::int AS subject_id
      FROM unnest(%s::int4[], %s::uuid[], %s::bytea[], %s::bytea[], %s::timestamptz[], %s::bool[])
           AS s (tenant_id, digest, wrapped_key, sealed_id, first_seen_at, is_daily)
), won AS (
    INSERT INTO bw_identity (tenant_id, digest, subject_id, sealed_id, first_seen_at)
    SELECT tenant_id, digest, subject_id, sealed_id, first_seen_at FROM fresh ORDER BY tenant_id, digest
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, subject_id
)
INSERT INTO bw_subject (tenant_id, id, person_id, is_identified, is_daily, wrapped_key, first_seen_at)
SELECT tenant_id, subject_id, subject_id, false, is_daily, wrapped_key, first_seen_at
  FROM fresh JOIN won USING (tenant_id, subject_id) ORDER BY tenant_id, subject_id
"""

KEYS: Final = """
SELECT s.tenant_id, s.id, s.wrapped_key
  FROM bw_subject s JOIN unnest(%s::int4[], %s::int4[]) AS w (tenant_id, id) USING (tenant_id, id)
 WHERE s.wrapped_key IS NOT NULL
"""


def subjects_of(cursor: psycopg.Cursor[Any], seen: Mapping[Person, datetime]) -> dict[Person, int]:
    """The subject of every distinct id in `seen` (id → when it was first seen), or ERASED."""
    found = _find(cursor, list(seen))
    missing = [person for person, subject in found.items() if subject == _UNKNOWN]
    if missing:
        _create(cursor, missing, seen)
        found.update(_find(cursor, missing))
    return found


def data_keys(cursor: psycopg.Cursor[Any], subjects: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """The plain data key of each (tenant, subject) that still has one."""
    wanted = sorted(set(subjects))
    if not wanted:
        return {}
    cursor.execute(KEYS, [wire.int4s(t for t, _ in wanted), wire.int4s(s for _, s in wanted)], binary=True)
    ring = keyring()
    return {(tenant, subject): ring.unwrap(tenant, wrapped) for tenant, subject, wrapped in cursor.fetchall()}


def _find(cursor: psycopg.Cursor[Any], persons: list[Person]) -> dict[Person, int]:
    if not persons:
        return {}
    digest = keyring().digest
    cursor.execute(
        FIND, [wire.int4s(t for t, _ in persons), wire.uuids(digest(t, name) for t, name in persons)], binary=True
    )
    row = cursor.fetchone()
    return dict(zip(persons, row[0] if row else (), strict=True))


def _create(cursor: psycopg.Cursor[Any], persons: list[Person], seen: Mapping[Person, datetime]) -> None:
    ring = keyring()
    wrapped, sealed = [], []
    for tenant, distinct_id in persons:
        key, wrapped_key = ring.new_data_key(tenant)
        wrapped.append(wrapped_key)
        sealed.append(seal(key, distinct_id.encode("utf-8", "surrogatepass"), context=b"distinct_id"))
    digests = [ring.digest(*person) for person in persons]
    moments = wire.times(seen[person] for person in persons)
    parameters = [wire.int4s(t for t, _ in persons), wire.uuids(digests), wire.byteas(wrapped), wire.byteas(sealed)]
    cursor.execute(CREATE, [*parameters, moments, wire.bools(is_daily_id(distinct_id) for _, distinct_id in persons)])
