"""Identity edges of a batch, and the persons that follow from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from analytics.components import APPLIED, ILLEGAL, Components, Edge, components, is_illegal_id
from analytics.contracts import CapturedEvent, LinkKind
from analytics.locks import IDENTIFYING, hold
from analytics.sealing import keyring
from analytics.writing import wire
from analytics.writing.subjects import ERASED, Person

# A claim that is repeated keeps its first time, so that the order of arrival does not matter and rows do not pile up.
# It answers only what is new.
CLAIM: Final = """
INSERT INTO bw_identity_edge AS e
       (id, tenant_id, left_subject, right_subject, kind, ts, event_id, actor, reason, verdict, undone_by)
SELECT id, tenant_id, left_subject, right_subject, kind, ts, event_id, '', '', verdict, ''
  FROM unnest(%s::uuid[], %s::int4[], %s::int4[], %s::int4[], %s::text[], %s::timestamptz[], %s::text[], %s::text[])
       AS c (id, tenant_id, left_subject, right_subject, kind, ts, event_id, verdict)
 ORDER BY id
    ON CONFLICT (id) DO UPDATE SET ts = excluded.ts, event_id = excluded.event_id
 WHERE (excluded.ts, excluded.event_id COLLATE "C") < (e.ts, e.event_id COLLATE "C") AND e.verdict <> 'illegal'
RETURNING e.tenant_id, e.left_subject, e.right_subject, e.verdict
"""

REACH: Final = """
WITH RECURSIVE reach (id) AS (
    SELECT unnest(%(seeds)s::int4[])
    UNION
    SELECT next.id
      FROM reach r CROSS JOIN LATERAL (
           SELECT right_subject AS id FROM bw_identity_edge
            WHERE tenant_id = %(tenant)s AND left_subject = r.id AND undone_at IS NULL AND verdict <> 'illegal'
           UNION ALL
           SELECT left_subject FROM bw_identity_edge
            WHERE tenant_id = %(tenant)s AND right_subject = r.id AND undone_at IS NULL AND verdict <> 'illegal'
      ) next
)
SELECT s.id, s.person_id, s.is_identified FROM reach r JOIN bw_subject s ON s.tenant_id = %(tenant)s AND s.id = r.id
"""

EDGES: Final = """
SELECT id, left_subject, right_subject, kind, ts, event_id, verdict
  FROM bw_identity_edge
 WHERE tenant_id = %(tenant)s AND left_subject = ANY (%(subjects)s::int4[])
   AND undone_at IS NULL AND verdict <> 'illegal'
"""

SET_VERDICTS: Final = """
UPDATE bw_identity_edge e SET verdict = c.verdict
  FROM unnest(%s::uuid[], %s::text[]) AS c (id, verdict) WHERE e.tenant_id = %s AND e.id = c.id
"""

SET_PERSONS: Final = """
UPDATE bw_subject s SET person_id = c.person_id, is_identified = c.is_identified
  FROM unnest(%s::int4[], %s::int4[], %s::bool[]) AS c (id, person_id, is_identified)
 WHERE s.tenant_id = %s AND s.id = c.id
"""

MARK: Final = """
INSERT INTO bw_dirty_mark (tenant_id, subject_id, reason, created_at)
SELECT %s, unnest(%s::int4[]), %s, %s
"""
MARK_LAKE: Final = MARK.replace("bw_dirty_mark", "bw_lake_mark")

# Claims by (tenant, event time, event id) and what they say: (left, right, kind, verdict).
Claim = tuple[bytes, int, int, int, str, datetime, str, str]


def merge_identities(
    cursor: psycopg.Cursor[Any], events: Sequence[CapturedEvent], subjects: dict[Person, int], *, now: datetime
) -> None:
    """Record the claims of stored events and recompute the persons they touch."""
    claims: dict[bytes, Claim] = {}
    for event in events:
        for claim in _claims(event, subjects):
            known = claims.get(claim[0])
            if known is None or (claim[5], claim[6]) < (known[5], known[6]):
                claims[claim[0]] = claim
    if not claims:
        return
    touched: dict[int, set[int]] = {}
    for tenant, left, right, verdict in _record(cursor, list(claims.values())):
        if verdict != ILLEGAL:
            touched.setdefault(tenant, set()).update((left, right))
    for tenant in sorted(touched):
        recompute(cursor, tenant, touched[tenant], reason="merge", now=now)


def recompute(cursor: psycopg.Cursor[Any], tenant_id: int, seeds: Iterable[int], *, reason: str, now: datetime) -> None:
    """Replay every edge that reaches `seeds`; subjects whose person changes get a dirty mark.

    The tenant's lock is held until COMMIT: whoever comes second sees the edges of whoever came first.
    """
    hold(IDENTIFYING, tenant_id, cursor=cursor)
    cursor.execute(REACH, {"tenant": tenant_id, "seeds": wire.int4s(seeds)})
    before: dict[int, tuple[int, bool]] = {id_: (person, known) for id_, person, known in cursor.fetchall()}
    cursor.execute(EDGES, {"tenant": tenant_id, "subjects": wire.int4s(before)})
    found = cursor.fetchall()
    answer = components(before, [_edge(row) for row in found])
    _save_verdicts(cursor, tenant_id, {row[0]: row[6] for row in found}, answer)
    _save_persons(cursor, tenant_id, before, answer, reason=reason, now=now)


def edge_id(tenant_id: int, left: bytes, right: bytes, kind: str) -> bytes:
    """The id of a claim between two digests: the same whichever event makes it, and in whatever order they arrive."""
    content = b"%d:%s:%s:%s" % (tenant_id, kind.encode(), left, right)
    digest = bytearray(hashlib.blake2b(content, digest_size=16, key=keyring().lasting_key(tenant_id, "edge")).digest())
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def _claims(event: CapturedEvent, subjects: dict[Person, int]) -> list[Claim]:
    if event.distinct_id is None:
        return []
    tenant, own = event.tenant_id, event.distinct_id
    digest = keyring().digest
    left = subjects[tenant, own]
    is_illegal = is_illegal_id(own)
    claims: list[Claim] = []
    if event.identifies and not is_illegal:
        name = digest(tenant, own)
        id_ = edge_id(tenant, name, name, LinkKind.IDENTIFY)
        claims.append((id_, tenant, left, left, LinkKind.IDENTIFY, event.timestamp, event.event_id, APPLIED))
    for link in event.links:
        right = subjects.get((tenant, link.other), ERASED)
        if right in (ERASED, left):
            continue
        id_ = edge_id(tenant, digest(tenant, own), digest(tenant, link.other), link.kind)
        verdict = ILLEGAL if is_illegal or is_illegal_id(link.other) else APPLIED
        claims.append((id_, tenant, left, right, link.kind, event.timestamp, event.event_id, verdict))
    return claims


def _record(cursor: psycopg.Cursor[Any], claims: Sequence[Claim]) -> list[tuple[int, int, int, str]]:
    cursor.execute(
        CLAIM,
        [
            wire.uuids(c[0] for c in claims), wire.int4s(c[1] for c in claims), wire.int4s(c[2] for c in claims),
            wire.int4s(c[3] for c in claims), wire.texts(c[4] for c in claims), wire.times(c[5] for c in claims),
            wire.texts(c[6] for c in claims), wire.texts(c[7] for c in claims),
        ],
    )  # fmt: skip
    return cursor.fetchall()


def _edge(row: tuple[Any, ...]) -> Edge:
    id_, left, right, kind, ts, event_id, _ = row
    return Edge(id_, left, right, LinkKind(kind), ts, event_id)


def _save_verdicts(cursor: psycopg.Cursor[Any], tenant_id: int, before: dict[UUID, str], answer: Components) -> None:
    changed = {id_: verdict for id_, verdict in answer.verdict.items() if before[id_] != verdict}
    if changed:
        ids = wire.uuids(id_.bytes for id_ in changed)
        cursor.execute(SET_VERDICTS, [ids, wire.texts(changed.values()), tenant_id])


def _save_persons(
    cursor: psycopg.Cursor[Any],
    tenant_id: int,
    before: dict[int, tuple[int, bool]],
    answer: Components,
    *,
    reason: str,
    now: datetime,
) -> None:
    after = {id_: (answer.person[id_], answer.identified[id_]) for id_ in before}
    changed = sorted(id_ for id_ in before if before[id_] != after[id_])
    if not changed:
        return
    persons, known = wire.int4s(after[id_][0] for id_ in changed), wire.bools(after[id_][1] for id_ in changed)
    cursor.execute(SET_PERSONS, [wire.int4s(changed), persons, known, tenant_id])
    moved = [id_ for id_ in changed if before[id_][0] != after[id_][0]]
    if moved:
        for statement in (MARK, MARK_LAKE):
            cursor.execute(statement, [tenant_id, wire.int4s(moved), reason, now])
