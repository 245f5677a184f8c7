"""Sessions (S15): the SDK's session id wins, else 30 minutes without an event end one. Derived, never received.

Only events that make a person active form sessions. An event without an id that lies in one run of activity (no gap
above 30 minutes) with events that have one joins the nearest earlier id of the run, else the first later. A run that
fills a whole quarter of a UTC day is cut at the quarter's end, so that a machine that never pauses has sessions of at
most twelve hours. Bots and internal users have sessions of their own.

Deriving is exact and repeatable: a session's id follows from its person and its SDK id or start. A refresh reads the
runs around what changed, and whatever belongs to the sessions it finds there: never more of a person's history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from django.db import connections

from analytics.columns import Block, Kind, Texts, copy_block
from analytics.copying import Stage, insert_new, text_field
from analytics.periods import from_micros, to_micros

HOUR = 3_600_000_000
QUARTER = 6 * HOUR
MINUTE = 60_000_000
GAP = HOUR // 2
"""Microseconds without an event that end a session (more than this, exactly this does not)."""
NEAR = (2 * HOUR, 2 * HOUR)
"""How far around a change its run of activity is looked for at first (before, after)."""
FAR = (19 * HOUR, 13 * HOUR)
"""How far it can reach at most: a piece of a run is shorter than two quarters, and a third tells whether it was cut."""

ATTRIBUTES = ("platform", "country", "campaign", "channel")
KINDS: dict[str, Kind] = {
    "ts": "instant", "person_id": "int", "name": "text", "session_id": "text",
    "is_bot": "bool", "is_internal": "bool", **dict.fromkeys(ATTRIBUTES, "text"),
}  # fmt: skip

COLUMNS = """
SELECT e.ts AT TIME ZONE 'UTC', s.person_id, e.name, e.session_id, e.is_bot, e.is_internal,
       e.platform, e.country, e.campaign, e.channel"""

# Instants are worked out before the join: row-level security keeps conditions that compute (and might leak) off the
# index.
# The bounds of all windows are said again as constants, for the planner may leave a person's own to a filter.
WINDOWS = """
WITH w AS MATERIALIZED (
    SELECT person, timestamptz 'epoch' + a * interval '1 microsecond' AS a,
           timestamptz 'epoch' + b * interval '1 microsecond' AS b
      FROM unnest(%(persons)s::int[], %(starts)s::int8[], %(ends)s::int8[]) AS n (person, a, b))"""

EVENTS = f"""{WINDOWS}
{COLUMNS}
  FROM w
  JOIN bw_subject s ON s.tenant_id = %(tenant)s AND s.person_id = w.person
  JOIN bw_event e ON e.tenant_id = %(tenant)s AND e.subject_id = s.id AND e.ts >= w.a AND e.ts <= w.b
                 AND e.ts >= %(first)s AND e.ts <= %(last)s
 WHERE NOT e.name = ANY (%(ignored)s)"""

EVERY_EVENT = f"""{COLUMNS}
  FROM bw_subject s
  JOIN bw_event e ON e.tenant_id = %(tenant)s AND e.subject_id = s.id
 WHERE s.tenant_id = %(tenant)s AND s.person_id >= %(first)s AND s.person_id < %(end)s
   AND NOT e.name = ANY (%(ignored)s)"""

MICROS = (
    "(date_part('epoch', date_trunc('second', {0})) * 1000000 + date_part('microseconds', {0})::int8 %% 1000000)::int8"
)

_PLANNING = "SET LOCAL enable_seqscan = {0}; SET LOCAL enable_hashjoin = {0}; SET LOCAL enable_mergejoin = {0}"

TOUCHED = f"""
SELECT person_id, {MICROS.format("first")}, {MICROS.format("last")} FROM (
    SELECT s.person_id, min(e.ts) AS first, max(e.ts) AS last
      FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS span (a, b)
      JOIN bw_event e ON e.tenant_id = %(tenant)s AND e.ts >= span.a AND e.ts < span.b
                     AND e.ts >= %(first)s AND e.ts < %(last)s
      JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
     WHERE NOT e.name = ANY (%(ignored)s)
     GROUP BY s.person_id) touched"""

# Events may have gone (erasure) or changed hands (merge); the sessions that held them are found by time.
HEX = "replace({0}::text, '-', '')"

OVERLAPPING = f"""
SELECT s.person_id, {MICROS.format("s.start")}, {MICROS.format('s."end"')}, {HEX.format("s.id")}
  FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS span (a, b)
  JOIN bw_session s ON s.tenant_id = %(tenant)s AND s.start < span.b AND s.start >= span.a - interval '2 days'
                   AND s."end" >= span.a AND s.start >= %(first)s - interval '2 days' AND s.start < %(last)s"""

EXTENT = f"""
SELECT person_id, {MICROS.format("start")}, {MICROS.format('"end"')}
  FROM bw_session WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s::uuid[])"""

FIELDS = (
    'id, person_id, sdk_id, start, "end", events, pageviews, platform, country, campaign, channel, is_bot, is_internal'
)
# As `Session` has them.
STORED = f"""
SELECT {HEX.format("s.id")}, s.person_id, s.sdk_id, {MICROS.format("s.start")}, {MICROS.format('s."end"')}, s.events,
       s.pageviews, s.platform, s.country, s.campaign, s.channel, s.is_bot, s.is_internal"""
OF_PERSONS = f"""{STORED}
  FROM bw_session s WHERE s.tenant_id = %(tenant)s AND s.person_id >= %(first)s AND s.person_id < %(end)s"""

KNOWN = f"""{WINDOWS}
{STORED} FROM bw_session s WHERE s.tenant_id = %(tenant)s AND s.id = ANY (%(ids)s::uuid[])
 UNION
{STORED}
  FROM w
  JOIN bw_session s ON s.tenant_id = %(tenant)s AND s.person_id = w.person AND s.start >= w.a AND s.start <= w.b
                   AND s.start >= %(first)s AND s.start <= %(last)s
 WHERE s.sdk_id IS NULL"""

# Those that are derived again, and any that reaches to where events are kept.
FROZEN = f"""
SELECT {HEX.format("id")}, person_id, is_bot, is_internal, {MICROS.format('"end"')} FROM bw_session
 WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s::uuid[]) AND start < %(limit)s
 UNION
SELECT {HEX.format("id")}, person_id, is_bot, is_internal, {MICROS.format('"end"')} FROM bw_session
 WHERE tenant_id = %(tenant)s AND start < %(limit)s AND start >= %(limit)s - interval '2 days'
   AND "end" >= %(limit)s - interval '30 minutes'"""
FOREVER = 2**62

STAGE = Stage(
    "bw_session_stage",
    'id uuid, person_id int4, sdk_id text, start int8, "end" int8, events int4, pageviews int4,'
    " platform text, country text, campaign text, channel text, is_bot bool, is_internal bool",
)

INSERT = f"""
INSERT INTO bw_session (tenant_id, {FIELDS})
SELECT %(tenant)s, id, person_id, sdk_id, timestamptz 'epoch' + start * interval '1 microsecond',
       timestamptz 'epoch' + "end" * interval '1 microsecond', events, pageviews, platform, country, campaign, channel,
       is_bot, is_internal
  FROM bw_session_stage ORDER BY id"""
UPSERT = f"""{INSERT}
ON CONFLICT (id) DO UPDATE
   SET start = excluded.start, "end" = excluded."end", events = excluded.events, pageviews = excluded.pageviews,
       platform = excluded.platform, country = excluded.country, campaign = excluded.campaign,
       channel = excluded.channel"""

Span = tuple[datetime, datetime]


class Session(NamedTuple):
    """A row of sessions. `id` is a UUID in 32 hexadecimal digits, instants are microseconds since 1970: they are made
    and written a million at a time.
    """

    id: str
    person_id: int
    sdk_id: str | None
    start: int
    end: int
    events: int
    pageviews: int
    platform: str | None
    country: str | None
    campaign: str | None
    channel: str | None
    is_bot: bool
    is_internal: bool


new_session: Callable[[tuple[Any, ...]], Session] = partial(tuple.__new__, Session)
"""As `Session(*values)` without its call of Python."""


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Event names that form no session (they make nobody active), and those that are page views. Sessions that start
    before `kept_from` stay as they are, because events of theirs are gone.
    """

    ignored: frozenset[str]
    pageviews: frozenset[str]
    kept_from: datetime | None = None


def session_id(tenant_id: int, person_id: int, cohort: int, name: str) -> str:
    """Always the same id for the same session. `name` is the SDK's id, or the start in microseconds after an @."""
    text = f"{tenant_id}\0{person_id}\0{cohort}\0{name}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def sessionise(tenant_id: int, block: Block, rules: SessionRules) -> list[Session]:
    """The sessions of all events in the block (those of whole persons, or of windows that cut no session). Pure."""
    block = _in_order(block)
    if not block.size:
        return []
    ts, person, cohort = block.numbers("ts").values, block.numbers("person_id").values, _cohorts(block)
    sdk = block.texts("session_id")
    owner = _steps(np.flatnonzero((np.diff(person) != 0) | (np.diff(cohort) != 0)) + 1, block.size)
    keys = session_keys(ts, owner, sdk.codes.astype(np.int64))
    _, first, of_row = np.unique(keys, return_index=True, return_inverse=True)
    end = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(end, of_row, ts)
    events = np.bincount(of_row)
    names = block.texts("name")
    viewed = names.flags([name in rules.pageviews for name in names.values])
    pageviews = np.bincount(of_row[viewed], minlength=len(first))
    sdk_ids = [sdk.values[key & 0xFFFFFFFF] if key >= 0 else None for key in keys[first].tolist()]
    columns = zip(
        person[first].tolist(), cohort[first].tolist(), sdk_ids, ts[first].tolist(), end.tolist(), events.tolist(),
        pageviews.tolist(), *(_first_known(block.texts(name), of_row, len(first)) for name in ATTRIBUTES), strict=True,
    )  # fmt: skip
    return [
        new_session((
            session_id(tenant_id, who, kind, sdk_id if sdk_id is not None else f"@{start}"), who, sdk_id,
            start, stop, count, views, *attributes, bool(kind & 1), bool(kind & 2),
        ))
        for who, kind, sdk_id, start, stop, count, views, *attributes in columns
    ]  # fmt: skip


def session_keys(
    ts: npt.NDArray[np.int64], owner: npt.NDArray[np.int64], sdk: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """A number for each event that is the same for the events of one session. Events lie by owner and time; `owner`
    counts from 0, and `sdk` is the number of the SDK's session id, -1 without one. Sessions with such an id are numbers
    from 0, with that of the id in the lower half; the others are below 0. Pure."""
    run = _pieces(ts, _runs(ts, owner))
    code = _filled(sdk, run)
    return np.where(code >= 0, owner << 32 | code, -1 - run)


def _cohorts(block: Block) -> npt.NDArray[np.int64]:
    flags = block.numbers("is_bot").values + 2 * block.numbers("is_internal").values
    return np.asarray(flags, dtype=np.int64)


def _in_order(block: Block) -> Block:
    """By person, cohort and time; events of one instant by their texts, so that the order never depends on the
    reading.
    """
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


def _runs(ts: npt.NDArray[np.int64], owner: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers of the stretches of one owner without a gap."""
    return _steps(np.flatnonzero((np.diff(ts) > GAP) | (np.diff(owner) != 0)) + 1, len(ts))


def _pieces(ts: npt.NDArray[np.int64], run: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Runs, cut at the end of each quarter of a UTC day that they filled."""
    start = ts[np.searchsorted(run, run)]
    quarter = ts // QUARTER
    is_cut = (np.diff(run) == 0) & (np.diff(quarter) > 0) & (start[1:] <= (quarter[1:] - 1) * QUARTER)
    return _steps(np.flatnonzero((np.diff(run) > 0) | is_cut) + 1, len(ts))


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


Windows = dict[int, tuple[int, int]]
"""By person: the first and last instant that matter, both included."""


def derive_touched(
    tenant_id: int,
    spans: Sequence[Span],
    rules: SessionRules,
    *,
    restated: Sequence[Span] = (),
    using: str = "default",
) -> set[int]:
    """Derive again the sessions that events within the spans belong to, in the open transaction of the tenant.

    `restated` are the spans whose events may also have gone or changed hands. Returns the minutes (microseconds since
    1970) in which changed sessions start or used to start.
    """
    base: dict[str, Any] = {"tenant": tenant_id, "ignored": sorted(rules.ignored), "using": using}
    windows: Windows = {}
    touched: set[str] = set()
    _widen(windows, _fetch(TOUCHED, base | _spans(spans)))
    for *span, key in _fetch(OVERLAPPING, base | _spans(restated)) if restated else ():
        _widen(windows, [tuple(span)])
        touched.add(key)
    if not windows:
        return set()
    blocks, closed = _read_closed(windows, base)
    touched |= {key for block in blocks for key in _sdk_sessions(tenant_id, block, closed)}
    wider = dict(closed)
    _widen(wider, _fetch(EXTENT, base | {"ids": list(touched)}))
    if wider != closed:
        blocks, _ = _read_closed(wider, base)
    sessions = [
        row for block in blocks for row in sessionise(tenant_id, block, rules) if _is_touched(row, touched, closed)
    ]
    known = _by_id(_fetch(KNOWN, base | _params(closed, (0, 0)) | {"ids": list(touched)}))
    moved = _replace(tenant_id, *unfrozen(tenant_id, sessions, known, rules, using=using), using)
    return {start // MINUTE * MINUTE for start in moved}


def _is_touched(session: Session, touched: set[str], closed: Windows) -> bool:
    first, last = closed.get(session.person_id, (0, -1))
    return session.id in touched if session.sdk_id is not None else first <= session.start <= last


def derive_persons(tenant_id: int, first: int, end: int, rules: SessionRules, *, using: str = "default") -> int:
    """Derive all sessions of the persons with first <= id < end, whole history; how many sessions there are now."""
    params = {"tenant": tenant_id, "first": first, "end": end, "ignored": sorted(rules.ignored)}
    with connections[using].cursor() as cursor:
        # A slice of the persons is read through the index of subjects, whatever the planner knows or not of events that
        # were just loaded; it would scan the whole store for each slice.
        cursor.execute(_PLANNING.format("off"))
        block = copy_block(cursor, EVERY_EVENT, params, KINDS)
        cursor.execute(_PLANNING.format("on"))
    known = _by_id(_fetch(OF_PERSONS, params | {"using": using}))
    sessions = sessionise(tenant_id, block, rules)
    _replace(tenant_id, *unfrozen(tenant_id, sessions, known, rules, using=using), using)
    return len(sessions)


def stored_sessions(tenant_id: int, *, using: str = "default") -> dict[str, Session]:
    """All sessions of the tenant as they are stored, by id."""
    return _by_id(_fetch(OF_PERSONS, {"tenant": tenant_id, "first": 0, "end": 2**31 - 1, "using": using}))


def _by_id(rows: Iterable[tuple[Any, ...]]) -> dict[str, Session]:
    return {row[0]: new_session(row) for row in rows}


def unfrozen(
    tenant_id: int,
    sessions: list[Session],
    known: Mapping[str, Session],
    rules: SessionRules,
    *,
    using: str = "default",
) -> tuple[list[Session], Mapping[str, Session]]:
    """What may be changed of derived sessions and known ones: not those that began before events are kept, and not what
    is left of their events, which looks like a session of its own.
    """
    if rules.kept_from is None:
        return sessions, known
    params = {"tenant": tenant_id, "ids": [each.id for each in sessions], "limit": rules.kept_from, "using": using}
    begun, last = set[str](), dict[tuple[int, bool, bool], int]()
    for key, person, is_bot, is_internal, end in _fetch(FROZEN, params):
        begun.add(key)
        who = (person, is_bot, is_internal)
        last[who] = max(end, last.get(who, end))
    limit = to_micros(rules.kept_from)
    kept = [
        each
        for each in sessions
        if each.id not in begun
        and each.start >= limit
        and (
            each.sdk_id is not None
            or each.start > last.get((each.person_id, each.is_bot, each.is_internal), -FOREVER) + GAP
        )
    ]
    return kept, {key: each for key, each in known.items() if each.start >= limit}


def _read_closed(windows: Windows, base: Mapping[str, Any]) -> tuple[list[Block], Windows]:
    """The events around the windows, and the windows widened to whole pieces of runs.

    Most runs end near; only the persons whose do not are read again, as far as a piece can reach.
    """
    near = _in_order(_events(windows, NEAR, base))
    closed, is_open = _closed_windows(near, windows, NEAR)
    if not is_open:
        return [near], closed
    persons = near.numbers("person_id").values
    near = near.take(np.flatnonzero(~np.isin(persons, list(is_open))))
    again = {person: windows[person] for person in is_open}
    far = _in_order(_events(again, FAR, base))
    return [near, far], closed | _closed_windows(far, again, FAR)[0]


def _closed_windows(block: Block, windows: Windows, margin: tuple[int, int]) -> tuple[Windows, set[int]]:
    """Windows widened to the pieces of runs they touch, and the persons whose runs reach the edge of what was read."""
    closed, is_open = dict(windows), set[int]()
    if not block.size:
        return closed, is_open
    ts, person = block.numbers("ts").values, block.numbers("person_id").values
    run = _runs(ts, _steps(np.flatnonzero((np.diff(person) != 0) | (np.diff(_cohorts(block)) != 0)) + 1, block.size))
    for number, parts in enumerate((run, _pieces(ts, run))):
        firsts = np.flatnonzero(np.diff(parts, prepend=-1))
        lasts = np.append(firsts[1:], block.size) - 1
        for who, first, last in zip(person[firsts].tolist(), ts[firsts].tolist(), ts[lasts].tolist(), strict=True):
            start, end = windows[who]
            if last < start or first > end:
                continue
            if number:
                _widen(closed, [(who, first, last)])
            elif first - GAP <= start - margin[0] or last + GAP >= end + margin[1]:
                is_open.add(who)
    return closed, is_open


def _events(windows: Windows, margin: tuple[int, int], base: Mapping[str, Any]) -> Block:
    with connections[base["using"]].cursor() as cursor:
        return copy_block(cursor, EVENTS, {**base, **_params(windows, margin)}, KINDS)


def _sdk_sessions(tenant_id: int, block: Block, closed: Windows) -> set[str]:
    """The SDK sessions that have an event within the windows."""
    sdk, ts, person = block.texts("session_id"), block.numbers("ts").values, block.numbers("person_id").values
    rows = np.flatnonzero(sdk.codes >= 0)
    found = zip(
        person[rows].tolist(), _cohorts(block)[rows].tolist(), sdk.codes[rows].tolist(), ts[rows].tolist(), strict=True
    )
    keys = {(who, kind, code) for who, kind, code, at in found if closed[who][0] <= at <= closed[who][1]}
    return {session_id(tenant_id, who, kind, sdk.values[code]) for who, kind, code in keys}


def _widen(windows: Windows, spans: Iterable[tuple[int, int, int]]) -> None:
    """Stretch each person's window over the spans."""
    for person, start, end in spans:
        old = windows.get(person, (start, end))
        windows[person] = (min(old[0], start), max(old[1], end))


def _spans(spans: Sequence[Span]) -> dict[str, Any]:
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return {"starts": starts, "ends": ends, "first": min(starts), "last": max(ends)}  # bounds that the planner can see


def _params(windows: Windows, margin: tuple[int, int]) -> dict[str, Any]:
    """Arrays as PostgreSQL writes them: a list of thousands of numbers is slow to bind one by one."""
    columns = {
        "persons": list(windows),
        "starts": [start - margin[0] for start, _ in windows.values()],
        "ends": [end + margin[1] for _, end in windows.values()],
    }
    arrays: dict[str, Any] = {name: "{" + ",".join(map(str, values)) + "}" for name, values in columns.items()}
    bounds = {"first": from_micros(min(columns["starts"])), "last": from_micros(max(columns["ends"]))}
    return arrays | bounds


def _fetch(query: str, params: Mapping[str, Any]) -> list[Any]:
    with connections[params["using"]].cursor() as cursor:
        cursor.execute(query, params)
        rows: list[Any] = cursor.fetchall()
    return rows


def _replace(tenant_id: int, sessions: list[Session], known: Mapping[str, Session], using: str) -> list[int]:
    """Make the known sessions be `sessions`; when changed ones start, and when they started."""
    derived = {each.id: each for each in sessions} if known else {}
    changed = [each for each in sessions if known.get(each.id) != each] if known else sessions
    gone = [key for key in known if key not in derived]
    with connections[using].cursor() as cursor:
        if gone:
            cursor.execute("DELETE FROM bw_session WHERE tenant_id = %s AND id = ANY (%s::uuid[])", [tenant_id, gone])
        if changed:
            params = {"tenant": tenant_id}
            with STAGE.holding(cursor, changed, _lines):
                if known:
                    cursor.execute(UPSERT, params)
                else:
                    insert_new(cursor, INSERT, UPSERT, params)
    former = [known[key].start for key in (*gone, *(each.id for each in changed)) if key in known]
    return [each.start for each in changed] + former


def _lines(rows: Sequence[Session]) -> str:
    texts = {text: text_field(text) for each in rows for text in (each[2], *each[7:11])}
    return "".join(
        [
            f"{key}\t{person}\t{texts[sdk]}\t{start}\t{end}\t{events}\t{views}\t"
            f"{texts[platform]}\t{texts[country]}\t{texts[campaign]}\t{texts[channel]}\t{bot}\t{internal}\n"
            for key, person, sdk, start, end, events, views, platform, country, campaign, channel, bot, internal in rows
        ]
    )
