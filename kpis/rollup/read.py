"""Reads the truth: events and sessions of spans of time, as columns, under the tenant's row-level security."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from django.db import connections
from psycopg import sql

from analytics.columns import Block, Column, Kind, Numbers, Texts, as_numbers, copy_block
from kpis.rollup.keys import KEY_LENGTH, NONE_KEY
from kpis.rollup.plan import PROPERTY, Plan, session_columns

Span = tuple[datetime, datetime]

EVENTS = """
SELECT e.ts AT TIME ZONE 'UTC', s.person_id{columns}
  FROM bw_event e
  LEFT JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
 WHERE e.tenant_id = %(tenant)s AND e.ts >= %({start})s AND e.ts < %({end})s"""

SESSIONS = """
SELECT e.start AT TIME ZONE 'UTC', e.person_id, e.id::text, e.is_bot, e.is_internal, e.events, e.pageviews,
       extract(epoch FROM e."end" - e.start)::float8 * 1000, e.platform, e.country, e.campaign, e.channel
  FROM bw_session e
 WHERE e.tenant_id = %(tenant)s AND e.start >= %({start})s AND e.start < %({end})s"""

NAMES = """
SELECT DISTINCT name FROM bw_event WHERE tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(end)s"""

SPANS_AT_ONCE = 12


def read_events(plan: Plan, tenant_id: int, spans: Sequence[Span], *, using: str = "default") -> Block:
    """Events within the spans (disjoint, half open), with columns `ts`, `person_id` and what the plan's measures need.

    Of many spans, rows between them may be read too: leave them out by their bucket.
    """
    columns = plan.event_columns()
    properties = plan.properties()
    kinds: dict[str, Kind] = {"ts": "instant", "person_id": "int", **columns}
    kinds |= {f"{PROPERTY}{name}": "text" for name in properties}
    with connections[using].cursor() as cursor:
        selected = [f'e."{name}"' for name in columns]
        selected += [_property(name, names).as_string(cursor.connection) for name, names in properties.items()]
        # Percent signs are doubled, because the statement has parameters.
        text = "".join(f", {column}".replace("%", "%%") for column in selected)
        query, params = _within(EVENTS.replace("{columns}", text), tenant_id, spans)
        block = copy_block(cursor, query, params, kinds)
    return _trimmed(block)


def names_read(tenant_id: int, span: Span, *, using: str = "default") -> frozenset[str]:
    """The names of the events within the span."""
    with connections[using].cursor() as cursor:
        cursor.execute(NAMES, {"tenant": tenant_id, "start": span[0], "end": span[1]})
        return frozenset(name for (name,) in cursor.fetchall())


def read_sessions(tenant_id: int, spans: Sequence[Span], *, using: str = "default") -> Block:
    """Sessions that start within the spans; `ts` is the start, `session_id` the session's own id."""
    kinds: dict[str, Kind] = {
        "ts": "instant", "person_id": "int", "session_id": "text", "is_bot": "bool", "is_internal": "bool",
        "events": "int", "pageviews": "int", "duration_ms": "float",
        **{name: kind for name, kind in session_columns().items() if kind == "text"},
    }  # fmt: skip
    query, params = _within(SESSIONS, tenant_id, spans)
    with connections[using].cursor() as cursor:
        return _trimmed(copy_block(cursor, query, params, kinds))


def _within(query: str, tenant_id: int, spans: Sequence[Span]) -> tuple[str, dict[str, object]]:
    """The query for each span, as one. A join with the spans would be planned for a third of the table, not for
    minutes.
    """
    params: dict[str, object] = {"tenant": tenant_id}
    parts = []
    for number, (start, end) in enumerate(few(spans)):
        params |= {f"start{number}": start, f"end{number}": end}
        parts.append(query.replace("{start}", f"start{number}").replace("{end}", f"end{number}"))
    return " UNION ALL ".join(parts), params


def few(spans: Sequence[Span], limit: int = SPANS_AT_ONCE) -> list[Span]:
    """At most `limit` spans that cover these: the narrowest gaps between them are read too."""
    ordered = sorted(spans)
    gaps = sorted(range(1, len(ordered)), key=lambda at: ordered[at][0] - ordered[at - 1][1], reverse=True)
    firsts = [0, *sorted(gaps[: limit - 1])]
    return [(ordered[a][0], ordered[b - 1][1]) for a, b in zip(firsts, [*firsts[1:], len(ordered)], strict=True)]


def _property(name: str, events: frozenset[str] | None) -> sql.Composable:
    value = sql.SQL("e.properties ->> {}").format(sql.Literal(name))
    if events is None:
        return value
    names = sql.SQL(", ").join(map(sql.Literal, sorted(events)))
    return sql.SQL("CASE WHEN e.name IN ({}) THEN {} END").format(names, value)


def _trimmed(block: Block) -> Block:
    """Texts as keys: cut to KEY_LENGTH, because a key is part of an index row; empty ones are null."""
    return Block(block.size, {name: _as_keys(column) for name, column in block.columns.items()})


def _as_keys(column: Column) -> Column:
    if isinstance(column, Numbers) or all(
        0 < len(value) <= KEY_LENGTH and value != NONE_KEY for value in column.values
    ):
        return column
    values = sorted({value[:KEY_LENGTH] for value in column.values} - {"", NONE_KEY})
    place = {value: code for code, value in enumerate(values)}
    codes = np.array([place.get(value[:KEY_LENGTH], -1) for value in column.values] + [-1], dtype=np.int32)
    return Texts(codes[column.codes], tuple(values))


def numbers_of(block: Block, name: str) -> Numbers:
    """A column as numbers; properties are texts until here."""
    column = block.columns[name]
    return as_numbers(column) if isinstance(column, Texts) else column
