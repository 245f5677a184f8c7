"""One moment of the database, held open: whoever reads it, and however long, sees that moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from analytics.lake.manifest import pieces_of
from config.backup.contents import Facts
from config.backup.errors import BackupError, Told

LOCK_SECONDS: Final = 60
BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
EVENTS: Final = "bw_event"


@dataclass(frozen=True)
class Snapshot:
    """`id` is for pg_dump; `taken_at` by the server's clock, and every commit before it is in."""

    connection: psycopg.Connection[Any]
    id: str
    taken_at: datetime
    server: int

    def lake_files(self) -> dict[str, Facts]:
        """Files of the live pieces by their path in the lake: exactly what a restored product would read."""
        return lake_files(self.connection)

    def migrations(self) -> tuple[str, ...]:
        rows = self.connection.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1")
        return tuple(name for (name,) in rows)

    def counted(self, told: Told) -> Counted:
        """Every row of every table."""
        rows: dict[str, int] = {}
        events: dict[str, int] = {}
        newest: datetime | None = None
        slugs = dict(self.connection.execute("SELECT id, slug FROM bw_tenant").fetchall())
        tables = self.connection.execute(TABLES).fetchall()
        for done, (table, is_events) in enumerate(tables, 1):
            name = sql.Identifier(table)
            if not is_events:
                rows[table] = self._number(sql.SQL("SELECT count(*) FROM {}").format(name))
            else:
                rows[table] = 0
                query = sql.SQL("SELECT tenant_id, count(*), max(received_at) FROM {} GROUP BY 1").format(name)
                for tenant, count, last in self.connection.execute(query).fetchall():
                    rows[table] += count
                    slug = slugs.get(tenant, f"tenant {tenant}")
                    events[slug] = events.get(slug, 0) + count
                    newest = max(newest or last, last)
            told("rows counted, of tables", done, len(tables))
        return Counted(rows, {slug: events.get(slug, 0) for slug in sorted({*slugs.values(), *events})}, newest)

    def _number(self, query: sql.Composed) -> int:
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0


@dataclass(frozen=True)
class Counted:
    """Rows of each table, events of each tenant, and when the newest of them was received."""

    rows: dict[str, int]
    events: dict[str, int]
    newest_event_at: datetime | None


TABLES: Final = """
SELECT c.relname, coalesce(p.relname = 'bw_event', false)
  FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relpersistence <> 't'
 ORDER BY c.relname"""


def table_counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Rows of every table."""
    found = {}
    for table, _ in connection.execute(TABLES).fetchall():
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        found[table] = int(row[0]) if row else 0
    return found


@contextmanager
def snapshot_held(conninfo: str) -> Iterator[Snapshot]:
    """A snapshot that other sessions may share for as long as the block lasts.

    No month of events comes or goes meanwhile: that needs a lock which would wait for the dump, and every writer behind
    it. Who makes a month waits on the same advisory lock instead, which no writer takes.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(f"SET {setting} = 0")  # type: ignore[call-overload, unused-ignore]
        connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")  # type: ignore[call-overload, unused-ignore]
        try:
            connection.execute("SELECT pg_advisory_lock_shared(hashtext('bw_partition_ensure'))")
        except psycopg.errors.LockNotAvailable:
            raise BackupError("A month of events is being made or removed just now; take the backup later.") from None
        connection.execute(BEGIN)
        row = connection.execute("SELECT pg_export_snapshot(), statement_timestamp()").fetchone()
        assert row is not None
        yield Snapshot(connection, row[0], row[1], connection.info.server_version)


def lake_files(connection: psycopg.Connection[Any]) -> dict[str, Facts]:
    """What the lake's manifest names now, of every tenant."""
    rows = connection.execute(
        'SELECT id, start, "end", rows, path, files, version FROM bw_lake_piece WHERE retired_at IS NULL'
    )
    return {
        piece.file(which): Facts(facts.bytes, facts.checksum)
        for piece in pieces_of(rows)
        for which, facts in piece.files.items()
    }
