"""The staging table of one connection, and the statements that move a batch from it into the store.

COPY straight into a table under row-level security is refused by PostgreSQL, so rows land in a temporary table first;
it is not logged, and it empties itself at COMMIT.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.rows import TupleRow, tuple_row

from analytics.writing import wire

# Name and type of each column, in the order in which `rows.py` writes them. `ord` is the place in the batch, `key` the
# dedupe key; both stay in the staging table.
NUMBER_COLUMNS: Final = (
    ("ord", "int4"), ("tenant_id", "int4"), ("key", "uuid"), ("payload_hash", "int8"), ("id", "uuid"),
    ("ts", "timestamptz"), ("received_at", "timestamptz"), ("is_bot", "bool"), ("is_internal", "bool"),
    ("is_historical", "bool"), ("is_clamped", "bool"), ("subject_id", "int4"), ("sent_at", "timestamptz"),
    ("value", "float8"), ("duration_ms", "float8"), ("amount", "int8"), ("amount_base", "int8"),
    ("sentiment", "float8"),
)  # fmt: skip
FREE_TEXTS: Final = ("event_id", "session_id", "object_id", "client_timestamp", "parent_id")
FEW_TEXTS: Final = (
    "name", "type", "action", "source", "platform", "country", "campaign", "channel", "content_type", "object_type",
    "method", "tier", "reason", "currency", "engagement", "bot_reason",
)  # fmt: skip
COLUMNS: Final = (
    *NUMBER_COLUMNS,
    *((name, "text") for name in FREE_TEXTS + FEW_TEXTS),
    ("properties", "jsonb"),
)
STORED: Final = ", ".join(name for name, _ in COLUMNS if name not in ("ord", "key", "payload_hash"))

CREATE: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS bw_stage ("
    + ", ".join(f"{name} {kind}" for name, kind in COLUMNS)
    + ") ON COMMIT DELETE ROWS"
)
COPY: Final = "COPY pg_temp.bw_stage FROM STDIN (FORMAT binary)"

# Keys, events, dirty minutes and hours for the lake in one statement. Keys are taken in order, so that two writers
# with common events wait for one another instead of deadlocking; event ids are new by construction and need no order.
# Of several events with one key in a batch the first wins. It answers the places of those that were not stored.
STORE: Final = f"""
WITH taken AS (
    INSERT INTO bw_event_key (tenant_id, key, payload_hash, event_uuid, ts)
    SELECT tenant_id, key, payload_hash, id, ts FROM pg_temp.bw_stage ORDER BY tenant_id, key, ord
    ON CONFLICT DO NOTHING
    RETURNING event_uuid
), stored AS (
    INSERT INTO bw_event ({STORED})
    SELECT {STORED} FROM pg_temp.bw_stage s WHERE s.id IN (SELECT event_uuid FROM taken)
), marked AS (
    INSERT INTO bw_dirty_mark (tenant_id, minute, reason, created_at)
    SELECT DISTINCT tenant_id, date_trunc('minute', ts), 'event', %(now)s::timestamptz
      FROM pg_temp.bw_stage s WHERE s.id IN (SELECT event_uuid FROM taken)
), lake AS (
    INSERT INTO bw_lake_mark (tenant_id, hour, reason, created_at)
    SELECT DISTINCT tenant_id, date_trunc('hour', ts, 'UTC'), 'event', %(now)s::timestamptz
      FROM pg_temp.bw_stage s WHERE s.id IN (SELECT event_uuid FROM taken)
)
SELECT ord FROM pg_temp.bw_stage s WHERE NOT EXISTS (SELECT 1 FROM taken t WHERE t.event_uuid = s.id)
"""

# Which of the refused ones carry what is stored already (a repetition), and which something else (a conflict).
COMPARE: Final = """
SELECT s.ord, s.payload_hash = k.payload_hash
  FROM pg_temp.bw_stage s JOIN bw_event_key k ON k.tenant_id = s.tenant_id AND k.key = s.key
 WHERE k.event_uuid <> s.id
"""

# What is told to PostHog: no identity but the keyed digest, nothing sealed.
FORWARD: Final = """
INSERT INTO bw_outbox (id, tenant_id, destination, event_uuid, event_ts, payload, state, attempts, next_at, error)
SELECT gen_random_uuid(), s.tenant_id, 'posthog', s.id, s.ts,
       jsonb_build_object('event', s.name, 'uuid', s.id, 'timestamp', s.ts,
                          'distinct_id', coalesce(replace(d.digest::text, '-', ''), s.id::text),
                          'properties', s.properties - '$sealed'),
       'waiting', 0, %(now)s::timestamptz, ''
  FROM pg_temp.bw_stage s
  JOIN bw_event_key k ON k.tenant_id = s.tenant_id AND k.key = s.key AND k.event_uuid = s.id
  LEFT JOIN bw_identity d ON d.tenant_id = s.tenant_id AND d.subject_id = s.subject_id
 ORDER BY s.ord
"""


def server_cursor(connection: BaseDatabaseWrapper | psycopg.Connection[Any]) -> psycopg.Cursor[TupleRow]:
    """A cursor on Django's or psycopg's connection that sends values apart from the statement.

    Django's own puts them into the text, and a failing statement's text goes to PostgreSQL's log.
    """
    raw = connection
    if isinstance(connection, BaseDatabaseWrapper):
        connection.ensure_connection()
        raw = connection.connection
    assert isinstance(raw, psycopg.Connection)
    cursor: psycopg.Cursor[TupleRow] = psycopg.Cursor(raw, row_factory=tuple_row)
    wire.register(cursor)
    return cursor


def writing_cursor(connection: BaseDatabaseWrapper | psycopg.Connection[Any]) -> psycopg.Cursor[TupleRow]:
    """A cursor of the open transaction with the staging table ready."""
    cursor = server_cursor(connection)
    # The transaction gets its number before it looks at anything: an erasure waits for every number older than its own.
    cursor.execute("SELECT to_regclass('pg_temp.bw_stage') IS NULL, pg_current_xact_id()::text")
    row = cursor.fetchone()
    if row is not None and row[0]:
        cursor.execute(CREATE)
    return cursor


def stage(cursor: psycopg.Cursor[Any], rows: bytes) -> None:
    """Put encoded rows into the staging table, in place of whatever an earlier call left there."""
    cursor.execute("DELETE FROM pg_temp.bw_stage")
    with cursor.copy(COPY) as copy:
        copy.write(wire.COPY_HEADER + rows + wire.COPY_TRAILER)
