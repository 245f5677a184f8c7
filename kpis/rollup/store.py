"""Writes and reads bucket rows. What is stored is read first and only what differs is written, so that computing the
same again writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import connections
from django.db.backends.utils import CursorWrapper

from analytics.contracts import Grain
from analytics.copying import NULL, Stage, array_text, bytes_field, insert_new, text_field
from analytics.periods import from_micros, to_micros
from kpis.rollup.cells import Cell, new_cell
from kpis.rollup.keys import COHORTS, stored_dimension

STAGE = Stage(
    "bw_bucket_stage", "measure text, dimension text, key text, second int8, n int8, total numeric, state bytea"
)

INSERT = """
INSERT INTO bw_bucket AS b (tenant_id, calendar_id, measure, dimension, grain, start, key, n, total, state, computed_at)
SELECT %(tenant)s, %(calendar)s, measure, dimension, %(grain)s, to_timestamp(second), key, n, total, state, %(now)s
  FROM bw_bucket_stage"""

UPSERT = f"""{INSERT} ORDER BY measure, dimension, second, key
ON CONFLICT (tenant_id, calendar_id, measure, dimension, grain, start, key) DO UPDATE
   SET n = excluded.n, total = excluded.total, state = excluded.state, computed_at = excluded.computed_at"""

# LIMIT keeps the planner to one probe of the primary key a row; it would rather scan all buckets of the calendar.
VANISHED = """
DELETE FROM bw_bucket WHERE tenant_id = %(tenant)s AND ctid = ANY (ARRAY(
    SELECT found.ctid FROM bw_bucket_stage s CROSS JOIN LATERAL (
        SELECT b.ctid FROM bw_bucket b
         WHERE b.tenant_id = %(tenant)s AND b.calendar_id = %(calendar)s AND b.measure = s.measure
           AND b.dimension = s.dimension AND b.grain = %(grain)s AND b.start = to_timestamp(s.second) AND b.key = s.key
         LIMIT 1) found))"""

# One probe of the primary key for each pair of measure and dimension: the cost does not grow with history.
READ = """
SELECT b.measure, b.dimension, b.key, date_part('epoch', b.start)::int8, b.n, b.total, b.state
  FROM unnest(%(measures)s::text[], %(dimensions)s::text[]) AS pair (measure, dimension)
  JOIN bw_bucket b ON b.tenant_id = %(tenant)s AND b.calendar_id = %(calendar)s AND b.measure = pair.measure
   AND b.dimension = pair.dimension AND b.grain = %(grain)s AND b.start >= %(first)s AND b.start < %(end)s"""


# LIMIT again: of a table that was empty a moment ago the planner knows nothing, and would scan what others wrote since.
ANY = """
SELECT EXISTS (
    SELECT FROM unnest(%(measures)s::text[], %(dimensions)s::text[]) AS pair (measure, dimension)
     CROSS JOIN LATERAL (
        SELECT 1 FROM bw_bucket b
         WHERE b.tenant_id = %(tenant)s AND b.calendar_id = %(calendar)s AND b.measure = pair.measure
           AND b.dimension = pair.dimension AND b.grain = %(grain)s AND b.start >= %(first)s AND b.start < %(end)s
         ORDER BY b.start LIMIT 1) found)"""


def copy_lines(cells: Sequence[Cell]) -> str:
    """The rows of the stage. Most texts and instants are in many of them."""
    distinct = {cell.measure for cell in cells} | {cell.dimension for cell in cells} | {cell.key for cell in cells}
    texts = {text: text_field(text) for text in distinct}
    return "".join(
        [
            f"{texts[measure]}\t{texts[dimension]}\t{texts[key]}\t{start // 1_000_000}\t{n}\t"
            f"{NULL if total is None else total}\t{bytes_field(state)}\n"
            for measure, dimension, key, start, n, total, state in cells
        ]
    )


@lru_cache(maxsize=256)
def _arrays(pairs: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """The measures and the dimensions as PostgreSQL writes arrays: the same thousand are asked for again and again."""
    return array_text([measure for measure, _ in pairs]), array_text([dimension for _, dimension in pairs])


@dataclass(frozen=True, slots=True)
class Store:
    """The buckets of one tenant in one calendar version, inside the open transaction of that tenant."""

    tenant_id: int
    calendar_id: int
    pairs: tuple[tuple[str, str], ...]
    using: str = "default"
    is_empty: bool = False
    """Whether nothing of the pairs is stored where cells are written, so that they need not be compared."""

    def replace(self, grain: Grain, starts: Sequence[int], cells: Sequence[Cell], *, now: datetime) -> None:
        """Make the buckets that start at `starts` hold exactly `cells`; rows that are equal stay untouched."""
        if not starts:
            return
        params = self._params(grain, ()) | {"now": now}
        new = cells if self.is_empty else self._mended(grain, starts, cells, params)
        self._staged(new, lambda cursor: insert_new(cursor, INSERT, UPSERT, params))

    def _mended(
        self, grain: Grain, starts: Sequence[int], cells: Sequence[Cell], params: dict[str, Any]
    ) -> Sequence[Cell]:
        """Delete what vanished and update what changed; the cells that are not stored yet."""
        wanted, known = set(starts), {}
        for cell in self.read(grain, min(starts), max(starts) + 1):
            if cell.start in wanted:
                known[cell[:4]] = cell
        new: list[Cell] = []
        changed: list[Cell] = []
        for cell in cells:
            old = known.pop(cell[:4], None)
            if old is None:
                new.append(cell)
            elif old != cell:
                changed.append(cell)
        self._staged(list(known.values()), lambda cursor: cursor.execute(VANISHED, params))
        self._staged(changed, lambda cursor: cursor.execute(UPSERT, params))
        return new

    def _staged(self, cells: Sequence[Cell], write: Callable[[CursorWrapper], object]) -> None:
        if not cells:
            return
        with self._cursor() as cursor, STAGE.holding(cursor, cells, copy_lines):
            write(cursor)

    def read(self, grain: Grain, start: int, end: int, *, pairs: Sequence[tuple[str, str]] | None = None) -> list[Cell]:
        """The stored cells of the buckets with start <= their start < end."""
        params = self._params(grain, self.pairs if pairs is None else pairs)
        with self._cursor() as cursor:
            cursor.execute(READ, params | {"first": from_micros(start), "end": from_micros(end)})
            return [
                new_cell(
                    (measure, dimension, key, second * 1_000_000, n, total, None if state is None else bytes(state))
                )
                for measure, dimension, key, second, n, total, state in cursor.fetchall()
            ]

    def starts_with_key(self, grain: Grain, key: str, end: int, *, pairs: Sequence[tuple[str, str]]) -> set[int]:
        """The buckets that start before `end` and hold this key for any of the pairs."""
        query = READ.replace(
            "b.measure, b.dimension, b.key, date_part('epoch', b.start)::int8, b.n, b.total, b.state",
            "DISTINCT b.start",
        )
        params = self._params(grain, pairs) | {"first": from_micros(0), "end": from_micros(end), "key": key}
        with self._cursor() as cursor:
            cursor.execute(f"{query} AND b.key = %(key)s", params)
            return {to_micros(start) for (start,) in cursor.fetchall()}

    def known_empty(self, start: int, end: int, every: str) -> Store:
        """The same, knowing whether buckets with start <= their start < end are there: `every` is the measure that has
        one wherever any of the pairs has.
        """
        pairs = [(every, stored_dimension("", cohort)) for cohort in COHORTS]
        with self._cursor() as cursor:
            for grain in (Grain.HOUR, Grain.DAY, Grain.MINUTE):
                params = self._params(grain, pairs) | {"first": from_micros(start), "end": from_micros(end)}
                cursor.execute(ANY, params)
                if cursor.fetchone()[0]:
                    return self
        return replace(self, is_empty=True)

    def counts(self, grain: Grain) -> dict[int, int]:
        """How many of the pairs have a bucket of this width, by its start."""
        query = READ.replace(
            "b.measure, b.dimension, b.key, date_part('epoch', b.start)::int8, b.n, b.total, b.state",
            "b.start, count(*)",
        )
        params = self._params(grain, self.pairs) | {"first": from_micros(0), "end": datetime.max.replace(tzinfo=UTC)}
        with self._cursor() as cursor:
            cursor.execute(f"{query} GROUP BY 1", params)
            return {to_micros(start): count for start, count in cursor.fetchall()}

    def drop(self, grain: Grain, start: int, end: int, *, pairs: Sequence[tuple[str, str]]) -> int:
        """Delete the rows of these pairs in the buckets with start <= their start < end; how many they were."""
        query = READ.partition("FROM")[2].partition("JOIN bw_bucket b ON")
        with self._cursor() as cursor:
            cursor.execute(
                f"DELETE FROM bw_bucket b USING {query[0]} WHERE {query[2]}",
                self._params(grain, pairs) | {"first": from_micros(start), "end": from_micros(end)},
            )
            return int(cursor.rowcount)

    def _params(self, grain: Grain, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        measures, dimensions = _arrays(tuple(pairs))
        return {
            "tenant": self.tenant_id,
            "calendar": self.calendar_id,
            "grain": int(grain),
            "measures": measures,
            "dimensions": dimensions,
        }

    @contextmanager
    def _cursor(self) -> Iterator[CursorWrapper]:
        with connections[self.using].cursor() as cursor:
            yield cursor
