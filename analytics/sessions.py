"""Sessions (S15): the SDK's session id wins, else 30 minutes without an event end one. Derived, never received.

Only events that make a person active form sessions. An event without an id that lies in one run of activity (no gap above
30 minutes) with events that have one joins the nearest earlier id of the run, else the first later. Bots and internal users
have sessions of their own. Deriving is exact and repeatable: a session's id follows from its person and its SDK id or
start, and a refresh widens its window until every session it cuts lies within.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connections

from analytics.columns import Block, Kind, Texts, copy_block
from analytics.periods import from_micros, to_micros

GAP = 30 * 60 * 1_000_000
"""Microseconds without an event that end a session (more than this, exactly this does not)."""
WIDENINGS = 12

ATTRIBUTES = ("platform", "country", "campaign", "channel")
KINDS: dict[str, Kind] = {
    "ts": "instant", "person_id": "int", "name": "text", "session_id": "text",
    "is_bot": "bool", "is_internal": "bool", **dict.fromkeys(ATTRIBUTES, "text"),
}  # fmt: skip

COLUMNS = """
SELECT e.ts AT TIME ZONE 'UTC', s.person_id, e.name, e.session_id, e.is_bot, e.is_internal,
       e.platform, e.country, e.campaign, e.channel"""

EVENTS = f"""{COLUMNS}
  FROM unnest(%(persons)s::int[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS w (person, a, b)
  JOIN bw_subject s ON s.tenant_id = %(tenant)s AND s.person_id = w.person
  JOIN bw_event e ON e.tenant_id = %(tenant)s AND e.subject_id = s.id AND e.ts >= w.a AND e.ts <= w.b
 WHERE NOT e.name = ANY (%(ignored)s)"""

EVERY_EVENT = f"""{COLUMNS}
  FROM bw_subject s
  JOIN bw_event e ON e.tenant_id = %(tenant)s AND e.subject_id = s.id
 WHERE s.tenant_id = %(tenant)s AND s.person_id >= %(first)s AND s.person_id < %(end)s AND NOT e.name = ANY (%(ignored)s)"""

TOUCHED = """
SELECT s.person_id, min(e.ts), max(e.ts)
  FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS span (a, b)
  JOIN bw_event e ON e.tenant_id = %(tenant)s AND e.ts >= span.a AND e.ts < span.b
  JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
 WHERE NOT e.name = ANY (%(ignored)s)
 GROUP BY s.person_id"""

# Events may have gone (erasure) or changed hands (merge); the sessions that held them are found by time.
OVERLAPPING = """
SELECT s.person_id, min(s.start), max(s."end")
  FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS span (a, b)
  JOIN bw_session s ON s.tenant_id = %(tenant)s AND s.start < span.b AND s.start >= span.a - interval '2 days'
                   AND s."end" >= span.a
 GROUP BY s.person_id"""

CUT = """
SELECT w.person, min(s.start), max(s."end")
  FROM unnest(%(persons)s::int[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS w (person, a, b)
  JOIN bw_session s ON s.tenant_id = %(tenant)s AND s.person_id = w.person AND s.start <= w.b
                   AND s.start >= w.a - interval '2 days' AND s."end" >= w.a
 GROUP BY w.person"""

FIELDS = 'id, person_id, sdk_id, start, "end", events, pageviews, platform, country, campaign, channel, is_bot, is_internal'

KNOWN = f"""
SELECT {', '.join(f's.{name.strip()}' for name in FIELDS.split(','))}
  FROM unnest(%(persons)s::int[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS w (person, a, b)
  JOIN bw_session s ON s.tenant_id = %(tenant)s AND s.person_id = w.person AND s.start >= w.a AND s.start <= w.b"""

STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS bw_session_stage (
    id uuid, person_id int4, sdk_id text, start timestamptz, "end" timestamptz, events int4, pageviews int4,
    platform text, country text, campaign text, channel text, is_bot bool, is_internal bool
) ON COMMIT DELETE ROWS"""

INSERT = f"""
INSERT INTO bw_session (tenant_id, {FIELDS}) SELECT %(tenant)s, {FIELDS} FROM bw_session_stage ORDER BY id
ON CONFLICT (id) DO UPDATE
   SET start = excluded.start, "end" = excluded."end", events = excluded.events, pageviews = excluded.pageviews,
       platform = excluded.platform, country = excluded.country, campaign = excluded.campaign,
       channel = excluded.channel"""

SessionRow = tuple[
    uuid.UUID, int, str | None, datetime, datetime, int, int,
    str | None, str | None, str | None, str | None, bool, bool,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Event names that form no session (they make nobody active), and those that are page views."""

    ignored: frozenset[str]
    pageviews: frozenset[str]


def session_id(tenant_id: int, person_id: int, cohort: int, name: str) -> uuid.UUID:
    """Always the same id for the same session. `name` is the SDK's id, or the start in microseconds after an @."""
    text = f"{tenant_id}\0{person_id}\0{cohort}\0{name}"
    return uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())


def sessionise(tenant_id: int, block: Block, rules: SessionRules) -> list[SessionRow]:
    """The sessions of all events in the block (those of whole persons, or of windows that cut no session). Pure."""
    block = _in_order(block)
    if not block.size:
        return []
    ts, person, cohort = block.numbers("ts").values, block.numbers("person_id").values, _cohorts(block)
    sdk = block.texts("session_id")
    changes = np.flatnonzero((np.diff(person) != 0) | (np.diff(cohort) != 0)) + 1
    owner = _steps(changes, block.size)
    run = _steps(np.union1d(changes, np.flatnonzero(np.diff(ts) > GAP) + 1), block.size)
    code = _filled(sdk.codes.astype(np.int64), run)
    keys = np.where(code >= 0, owner << 32 | code, -1 - run)
    _, first, of_row = np.unique(keys, return_index=True, return_inverse=True)
    end = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(end, of_row, ts)
    events = np.bincount(of_row)
    names = block.texts("name")
    viewed = names.flags([name in rules.pageviews for name in names.values])
    pageviews = np.bincount(of_row[viewed], minlength=len(first))
    sdk_ids = [sdk.values[number] if number >= 0 else None for number in code[first].tolist()]
    columns = zip(
        person[first].tolist(), cohort[first].tolist(), sdk_ids, ts[first].tolist(), end.tolist(), events.tolist(),
        pageviews.tolist(), *(_first_known(block.texts(name), of_row, len(first)) for name in ATTRIBUTES), strict=True,
    )  # fmt: skip
    return [
        (
            session_id(tenant_id, who, kind, sdk_id if sdk_id is not None else f"@{start}"), who, sdk_id,
            from_micros(start), from_micros(stop), count, views, *attributes, bool(kind & 1), bool(kind & 2),
        )
        for who, kind, sdk_id, start, stop, count, views, *attributes in columns
    ]  # type: ignore[misc]  # fmt: skip


def _cohorts(block: Block) -> npt.NDArray[np.int64]:
    return (block.numbers("is_bot").values + 2 * block.numbers("is_internal").values).astype(np.int64)


def _in_order(block: Block) -> Block:
    """By person, cohort and time; events of one instant by their texts, so that the order never depends on the reading."""
    block = block.take(np.flatnonzero(~block.numbers("person_id").is_null))
    ts, person, cohort = block.numbers("ts").values, block.numbers("person_id").values, _cohorts(block)
    order = np.lexsort((ts, cohort, person))
    a, b = order[1:], order[:-1]
    if np.any((ts[a] == ts[b]) & (person[a] == person[b])):
        texts = [_ranks(block.texts(name)) for name in (*ATTRIBUTES, "session_id")]
        order = np.lexsort((*texts, ts, cohort, person))
    return block.take(order)


def _ranks(texts: Texts) -> npt.NDArray[np.int64]:
    place = np.empty(len(texts.values) + 1, dtype=np.int64)
    place[sorted(range(len(texts.values)), key=texts.values.__getitem__)] = np.arange(len(texts.values))
    place[-1] = len(texts.values)
    return place[texts.codes]


def _steps(changes: npt.NDArray[np.intp], size: int) -> npt.NDArray[np.int64]:
    """0 until the first change, 1 from there on, and so forth."""
    steps = np.zeros(size, dtype=np.int64)
    steps[changes] = 1
    return np.cumsum(steps)


def _filled(codes: npt.NDArray[np.int64], run: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Codes with gaps filled within each run: from before, else from after; -1 where the run has none."""
    places = np.arange(len(codes))
    before = np.maximum.accumulate(np.where(codes >= 0, places, -1))
    after = np.minimum.accumulate(np.where(codes >= 0, places, len(codes))[::-1])[::-1]
    has_before = (before >= 0) & (run[before] == run)
    has_after = (after < len(codes)) & (run[np.minimum(after, len(codes) - 1)] == run)
    filled = np.where(has_before, codes[before], -1)
    return np.where(~has_before & has_after, codes[np.minimum(after, len(codes) - 1)], filled)


def _first_known(texts: Texts, of_row: npt.NDArray[np.intp], count: int) -> list[str | None]:
    known = np.flatnonzero(texts.codes >= 0)
    place = np.full(count, len(of_row), dtype=np.int64)
    np.minimum.at(place, of_row[known], known)
    codes = np.append(texts.codes, -1)[place].tolist()
    return [texts.values[code] if code >= 0 else None for code in codes]


Windows = dict[int, tuple[datetime, datetime]]


def derive_touched(
    tenant_id: int, spans: Sequence[tuple[datetime, datetime]], rules: SessionRules, *, using: str = "default"
) -> set[int]:
    """Derive again the sessions that events within the spans belong to, in the open transaction of the tenant.

    Returns the minutes (microseconds since 1970) in which changed sessions start or used to start.
    """
    base: dict[str, Any] = {"tenant": tenant_id, "ignored": sorted(rules.ignored)}
    within = base | {"starts": [a for a, _ in spans], "ends": [b for _, b in spans]}
    windows: Windows = {}
    for query in (TOUCHED, OVERLAPPING):
        _widen(windows, _fetch(query, within, using))
    if not windows:
        return set()
    block = _closed(tenant_id, windows, base, using)
    return _replace(tenant_id, sessionise(tenant_id, block, rules), _known(windows, base, using), using)


def derive_persons(tenant_id: int, first: int, end: int, rules: SessionRules, *, using: str = "default") -> int:
    """Derive all sessions of the persons with first <= id < end, whole history; how many sessions there are now."""
    params = {"tenant": tenant_id, "first": first, "end": end, "ignored": sorted(rules.ignored)}
    with connections[using].cursor() as cursor:
        # A slice of the persons is read through the index of subjects; the planner would scan the whole store for it.
        cursor.execute("SET LOCAL enable_seqscan = off")
        block = copy_block(cursor, EVERY_EVENT, params, KINDS)
        cursor.execute("SET LOCAL enable_seqscan = on")
        cursor.execute(
            f"SELECT {FIELDS} FROM bw_session WHERE tenant_id = %s AND person_id >= %s AND person_id < %s",
            [tenant_id, first, end],
        )
        known = {row[0]: row for row in cursor.fetchall()}
    sessions = sessionise(tenant_id, block, rules)
    _replace(tenant_id, sessions, known, using)
    return len(sessions)


def _closed(tenant_id: int, windows: Windows, base: Mapping[str, Any], using: str) -> Block:
    """The events of windows widened until no session and no run of activity reaches over their edges."""
    for _ in range(WIDENINGS):
        while _widen(windows, _fetch(CUT, _params(windows, base, GAP), using)):
            pass
        block = _events(windows, base, using)
        if not _widen(windows, [*_reach(block), *_sdk_spans(tenant_id, block, using)]):
            return block
    # An endless chain (a machine that never pauses): take these persons' whole history.
    _widen(windows, [(person, from_micros(0), from_micros(4_102_444_800_000_000)) for person in windows])
    return _events(windows, base, using)


def _events(windows: Windows, base: Mapping[str, Any], using: str) -> Block:
    with connections[using].cursor() as cursor:
        return copy_block(cursor, EVENTS, _params(windows, base, GAP), KINDS)


def _reach(block: Block) -> Iterable[tuple[int, datetime, datetime]]:
    """The first and last event of each person in the block."""
    persons, of_row = np.unique(block.numbers("person_id").values, return_inverse=True)
    ts = block.numbers("ts").values
    low, high = np.full(len(persons), np.iinfo(np.int64).max), np.zeros(len(persons), dtype=np.int64)
    np.minimum.at(low, of_row, ts)
    np.maximum.at(high, of_row, ts)
    for person, first, last in zip(persons.tolist(), low.tolist(), high.tolist(), strict=True):
        yield person, from_micros(first), from_micros(last)


def _sdk_spans(tenant_id: int, block: Block, using: str) -> list[tuple[int, datetime, datetime]]:
    """The known extent of every SDK session that has an event in the block."""
    sdk = block.texts("session_id")
    rows = np.flatnonzero(sdk.codes >= 0)
    person, cohort = block.numbers("person_id").values[rows], _cohorts(block)[rows]
    triples = {*zip(person.tolist(), cohort.tolist(), sdk.codes[rows].tolist(), strict=True)}
    ids = sorted(session_id(tenant_id, who, kind, sdk.values[code]) for who, kind, code in triples)
    with connections[using].cursor() as cursor:
        cursor.execute('SELECT person_id, start, "end" FROM bw_session WHERE tenant_id = %s AND id = ANY (%s)', [tenant_id, ids])
        rows_found: list[tuple[int, datetime, datetime]] = cursor.fetchall()
    return rows_found


def _widen(windows: Windows, spans: Iterable[tuple[int, datetime, datetime]]) -> bool:
    """Stretch each person's window over the spans; whether any grew."""
    has_grown = False
    for person, start, end in spans:
        old = windows.get(person)
        new = (start, end) if old is None else (min(old[0], start), max(old[1], end))
        has_grown |= new != old
        windows[person] = new
    return has_grown


def _known(windows: Windows, base: Mapping[str, Any], using: str) -> dict[uuid.UUID, Any]:
    return {row[0]: row for row in _fetch(KNOWN, _params(windows, base, 0), using)}


def _params(windows: Windows, base: Mapping[str, Any], margin: int) -> dict[str, Any]:
    return dict(base) | {
        "persons": list(windows),
        "starts": [from_micros(max(0, to_micros(start) - margin)) for start, _ in windows.values()],
        "ends": [from_micros(to_micros(end) + margin) for _, end in windows.values()],
    }


def _fetch(query: str, params: Mapping[str, Any], using: str) -> list[Any]:
    with connections[using].cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall()


def _replace(tenant_id: int, sessions: list[SessionRow], known: Mapping[uuid.UUID, Any], using: str) -> set[int]:
    """Make the known sessions be `sessions`; the minutes in which changed ones start or started."""
    derived = {row[0]: row for row in sessions}
    changed = [row for row in sessions if known.get(row[0]) != row]
    gone = [key for key in known if key not in derived]
    with connections[using].cursor() as cursor:
        if gone:
            cursor.execute("DELETE FROM bw_session WHERE tenant_id = %s AND id = ANY (%s)", [tenant_id, gone])
        if changed:
            cursor.execute(STAGE)
            with cursor.copy(f"COPY bw_session_stage ({FIELDS}) FROM STDIN") as copy:
                for row in changed:
                    copy.write_row(row)
            cursor.execute(INSERT, {"tenant": tenant_id})
            cursor.execute("DELETE FROM bw_session_stage")
    moved = [row[3] for row in changed] + [known[key][3] for key in (*gone, *(row[0] for row in changed)) if key in known]
    return {to_micros(start) // 60_000_000 * 60_000_000 for start in moved}
