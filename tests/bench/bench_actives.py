"""Rolling 30-day actives over 60 days, and weekly retention 13 × 13, against the best SQL for DuckDB.

    python tests/bench/bench_actives.py --events 10000000 --users 500000

Ours reads the bitmaps from PostgreSQL each time. DuckDB reads the same events as they are stored (instant, person,
name, flags; sorted by time, zstd) from Parquet in the page cache, on all cores, and is asked in several ways, of which
the fastest counts: with joins, with sums of spans, with a bit a day; the local day by the two offsets of the range,
which is quicker than asking for the zone. The numbers must be equal; the bar is a factor of 30 over both together.
With chDB (`pip install chdb`) weekly retention is asked of ClickHouse too, in several ways over the same events in
MergeTrees of two orders.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.bench.stocked import END, NOW, stock

DAYS, ROLLING, WINDOW, WEEKS = 120, 60, 30, 13
LAST_MONDAY = END - timedelta(days=END.weekday())
FIRST_MONDAY = LAST_MONDAY - timedelta(weeks=WEEKS)

EVENTS = """
SELECT e.ts AT TIME ZONE 'UTC', s.person_id, e.name, e.is_bot, e.is_internal
  FROM bw_event e JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
 WHERE e.tenant_id = {tenant} ORDER BY e.ts"""

# Days since 1970 in Paris: summer time ends on 25 October 2026 at 01:00 UTC, and the history begins after its start.
VALUED = """valued AS (
 SELECT person_id, (DATE '1970-01-01' + ((epoch_us(ts) + CASE WHEN ts < TIMESTAMP '2026-10-25 01:00' THEN 7200000000
        ELSE 3600000000 END) // 86400000000)::INT) AS day FROM '{file}'
  WHERE NOT is_bot AND NOT is_internal AND ts >= DATE '{since}' - INTERVAL 1 DAY AND ts < DATE '{end}' + INTERVAL 1 DAY
    AND name NOT IN ('$set', '$identify', '$create_alias', '$groupidentify', '$feature_flag_called', '$pageleave'))"""

ACTIVE = """{valued},
active AS (SELECT DISTINCT person_id, day FROM valued WHERE day >= DATE '{first}' AND day < DATE '{end}')"""

# Each active day covers the window ends until the person's next one, at most 30: sums of +1 and −1 along the days.
ROLLING_BY_SPANS = """
WITH {active},
spans AS (SELECT day, least(day + 30, coalesce(lead(day) OVER (PARTITION BY person_id ORDER BY day), day + 30)) AS until
            FROM active),
deltas AS (SELECT d, sum(n) AS n FROM (SELECT day AS d, count(*) AS n FROM spans GROUP BY 1
           UNION ALL SELECT until, -count(*) FROM spans GROUP BY 1) GROUP BY 1),
running AS (SELECT d, sum(n) OVER (ORDER BY d) AS n FROM deltas)
SELECT d::DATE, n::BIGINT FROM running WHERE d >= DATE '{from}' AND d < DATE '{end}' ORDER BY 1"""

ROLLING_BY_JOIN = """
WITH {active}, days AS (SELECT unnest(generate_series(DATE '{from}', DATE '{end}' - 1, INTERVAL 1 DAY))::DATE AS d)
SELECT d, count(DISTINCT person_id) FROM days JOIN active ON day BETWEEN d - 29 AND d GROUP BY 1 ORDER BY 1"""

# A bit a day: one aggregation by person, then a test of 30 bits for each of the 60 ends.
ROLLING_BY_BITS = """
WITH {valued}, people AS (SELECT bit_or(1::HUGEINT << (day - DATE '{first}')) AS bits FROM valued
 WHERE day >= DATE '{first}' AND day < DATE '{end}' GROUP BY person_id)
SELECT {sums} FROM people"""

RETENTION_BY_JOIN = """
WITH {valued},
weeks AS (SELECT DISTINCT person_id,
                 CASE WHEN day < DATE '{monday}' THEN -1 ELSE (day - DATE '{monday}') // 7 END AS week
            FROM valued WHERE day < DATE '{sunday}'),
firsts AS (SELECT person_id, min(week) AS cohort FROM weeks GROUP BY 1 HAVING min(week) >= 0)
SELECT cohort, week - cohort AS period, count(*) FROM firsts JOIN weeks USING (person_id) GROUP BY 1, 2 ORDER BY 1, 2"""

RETENTION_BY_BITS = """
WITH {valued}, people AS (
 SELECT bit_or(CASE WHEN day < DATE '{monday}' THEN 1 ELSE 2::INT << ((day - DATE '{monday}') // 7)::INT END) AS bits
   FROM valued WHERE day < DATE '{sunday}' GROUP BY person_id),
patterns AS (SELECT bits, count(*) AS n FROM people WHERE bits & 1 = 0 GROUP BY 1),
firsts AS (SELECT n, bits >> 1 AS weeks, log2((bits >> 1) & -(bits >> 1))::INT AS cohort FROM patterns)
SELECT cohort, period, sum(n)::BIGINT FROM firsts, range(0, 13) AS periods(period)
 WHERE (weeks >> (cohort + period)::INT) & 1 = 1 GROUP BY 1, 2 ORDER BY 1, 2"""


# ClickHouse, first as such questions are written: each person's first week, joined to all their weeks.
CLICKHOUSE_VALUED = """valued AS (
 SELECT person_id, toInt32(intDiv(ts + if(ts < {summer}, 7200000000, 3600000000), 86400000000)) - {monday} AS day
   FROM {table} WHERE NOT is_bot AND NOT is_internal AND ts >= {since} AND ts < {until}
    AND name NOT IN ('$set', '$identify', '$create_alias', '$groupidentify', '$feature_flag_called', '$pageleave'))"""

CLICKHOUSE_BY_JOIN = """
WITH {valued},
weeks AS (SELECT DISTINCT person_id, if(day < 0, -1, intDiv(day, 7)) AS week FROM valued WHERE day < {days}),
firsts AS (SELECT person_id, min(week) AS cohort FROM weeks GROUP BY person_id HAVING cohort >= 0)
SELECT cohort, week - cohort AS period, count() FROM weeks JOIN firsts USING (person_id) GROUP BY 1, 2 ORDER BY 1, 2"""

# Then with a bit a week, which needs one aggregation by person and no join.
CLICKHOUSE_BY_BITS = """
WITH {valued},
people AS (SELECT groupBitOr(if(day < 0, 1, bitShiftLeft(toUInt32(2), toUInt8(greatest(intDiv(day, 7), 0))))) AS bits
             FROM valued WHERE day < {days} GROUP BY person_id),
patterns AS (SELECT bitShiftRight(bits, 1) AS weeks, count() AS n, toUInt8(log2(bitAnd(weeks, -weeks))) AS cohort
               FROM people WHERE bitAnd(bits, 1) = 0 GROUP BY bits)
SELECT cohort, period, sum(n) FROM patterns ARRAY JOIN range(13) AS period
 WHERE bitTest(weeks, cohort + period) GROUP BY 1, 2 ORDER BY 1, 2"""

# In the order in which event products keep theirs (day, name, person), and in the one best for this question alone.
CLICKHOUSE_ORDERS = {
    "by_day": "(toDate(fromUnixTimestamp64Micro(ts)), name, person_id, ts)",
    "by_person": "(person_id, ts)",
}
CLICKHOUSE_ASKED = {
    "join_by_day": (CLICKHOUSE_BY_JOIN, "by_day"),
    "bits_by_day": (CLICKHOUSE_BY_BITS, "by_day"),
    "bits_by_person": (CLICKHOUSE_BY_BITS, "by_person"),
}


def best(work: Callable[[], Any], rounds: int = 7) -> tuple[float, Any]:
    """The quickest of several runs, in milliseconds, and what they gave."""
    times, found = [], None
    for _ in range(rounds):
        begun = time.perf_counter()
        found = work()
        times.append((time.perf_counter() - begun) * 1000)
    return min(times), found


def export(tenant_id: int, file: Path) -> None:
    import duckdb
    from django.db import connection

    from analytics.tenancy import tenant_context

    rows = file.with_suffix(".csv")
    query = f"COPY ({EVENTS.format(tenant=tenant_id)}) TO STDOUT (FORMAT csv)"
    with tenant_context(tenant_id), connection.cursor() as cursor, rows.open("wb") as out, cursor.copy(query) as copy:
        for block in copy:
            out.write(block)
    duckdb.sql(
        f"COPY (FROM read_csv('{rows}', columns = {{'ts': 'TIMESTAMP', 'person_id': 'INT', 'name': 'VARCHAR',"
        f" 'is_bot': 'BOOLEAN', 'is_internal': 'BOOLEAN'}})) TO '{file}' (FORMAT parquet, COMPRESSION zstd)"
    )
    rows.unlink()


def ours(tenant_id: int) -> tuple[dict[str, float], dict[date, int], dict[tuple[int, int], int]]:
    from analytics.periods import Calendar
    from kpis.retention import retention_read
    from kpis.series import metric_series

    paris = Calendar("Europe/Paris")

    def rolling() -> dict[date, int]:
        start, end = paris.day_start(END - timedelta(days=ROLLING)), paris.day_start(END)
        series = metric_series(tenant_id=tenant_id, metric="users.mau", start=start, end=end, grain="day", now=NOW)
        return {paris.local_date(point.start): int(point.value or 0) for point in series.points}

    def retention() -> dict[tuple[int, int], int]:
        start = paris.day_start(FIRST_MONDAY)
        found = retention_read(tenant_id=tenant_id, start=start, periods=WEEKS, unit="week", now=NOW)
        return {
            (cohort, cell.period): cell.returned
            for cohort, row in enumerate(found.rows)
            for cell in row.cells
            if cell.returned and cohort + cell.period < WEEKS
        }

    first, actives = best(rolling, 15)
    second, cells = best(retention, 15)
    return {"rolling_ms": first, "retention_ms": second}, actives, cells


def theirs(file: Path) -> tuple[dict[str, float], dict[date, int], dict[tuple[int, int], int]]:
    import duckdb

    start = END - timedelta(days=ROLLING)
    first = start - timedelta(days=WINDOW - 1)
    words = {"file": file, "first": first, "from": start, "end": END, "monday": FIRST_MONDAY, "sunday": LAST_MONDAY}
    rolling = {**words, "valued": VALUED.format(**words, since=first)}
    rolling["active"] = ACTIVE.format(**rolling)
    weekly = {**words, "valued": VALUED.format(**words, since=END - timedelta(days=DAYS))}
    masks = [((1 << WINDOW) - 1) << offset for offset in range(ROLLING)]
    rolling["sums"] = ", ".join(f"count(*) FILTER (WHERE bits & {mask}::HUGEINT <> 0)" for mask in masks)
    database = duckdb.connect()
    times: dict[str, float] = {}

    def ask(query: str, words: dict[str, Any]) -> list[tuple[Any, ...]]:
        return database.execute(query.format(**words)).fetchall()

    times["rolling_spans"], rows = best(lambda: ask(ROLLING_BY_SPANS, rolling), 5)
    actives = dict(rows)
    times["rolling_join"], rows = best(lambda: ask(ROLLING_BY_JOIN, rolling), 1)
    assert actives == dict(rows)
    times["rolling_bits"], rows = best(lambda: ask(ROLLING_BY_BITS, rolling), 5)
    assert list(actives.values()) == list(rows[0])
    times["retention_join"], rows = best(lambda: ask(RETENTION_BY_JOIN, weekly), 5)
    cells = {(cohort, period): n for cohort, period, n in rows}
    times["retention_bits"], rows = best(lambda: ask(RETENTION_BY_BITS, weekly), 5)
    assert cells == {(cohort, period): n for cohort, period, n in rows}
    return times, actives, cells


def clickhouse(file: Path) -> tuple[dict[str, float], dict[tuple[int, int], int]] | None:
    """Weekly retention by ClickHouse (chDB), if that is installed: milliseconds of each way to ask, and the cells."""
    try:
        from chdb.session import Session
    except ImportError:
        print("chDB is not installed: pip install chdb")
        return None
    session: Any = cast(Any, Session)()
    for table, order in CLICKHOUSE_ORDERS.items():
        session.query(
            f"CREATE TABLE {table} (person_id Int32, ts Int64, name LowCardinality(String), is_bot Bool,"
            f" is_internal Bool) ENGINE = MergeTree ORDER BY {order}"
        )
        session.query(
            f"INSERT INTO {table} SELECT assumeNotNull(person_id), toUnixTimestamp64Micro(assumeNotNull(ts)), name,"
            f" is_bot, is_internal FROM file('{file}', Parquet) WHERE person_id IS NOT NULL"
        )
        session.query(f"OPTIMIZE TABLE {table} FINAL")
    epoch, day = date(1970, 1, 1), 86_400_000_000
    words = {
        "summer": int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()) * 1_000_000,
        "monday": (FIRST_MONDAY - epoch).days,
        "days": (LAST_MONDAY - FIRST_MONDAY).days,
        "since": ((END - epoch).days - DAYS - 1) * day,
        "until": ((END - epoch).days + 1) * day,
    }
    times: dict[str, float] = {}
    answers: list[dict[tuple[int, int], int]] = []
    for name, (query, table) in CLICKHOUSE_ASKED.items():
        asked = query.format(**words, valued=CLICKHOUSE_VALUED.format(**words, table=table))
        times[name], text = best(lambda asked=asked: str(session.query(asked, "CSV")), 7)  # type: ignore[misc]
        rows = [tuple(map(int, line.split(","))) for line in text.split()]
        answers.append({(cohort, period): n for cohort, period, n in rows})
    session.close()
    assert all(answer == answers[0] for answer in answers), "ClickHouse does not agree with itself"
    return times, answers[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    chosen = parser.parse_args()
    tenant_id = stock(events=chosen.events, users=chosen.users, days=DAYS)
    file = Path(os.environ["BELLWETHER_HOME"]) / f"stored-{chosen.events}-{chosen.users}.parquet"
    if not file.exists():
        export(tenant_id, file)
    our_times, actives, cells = ours(tenant_id)
    their_times, their_actives, their_cells = theirs(file)
    assert actives == their_actives, "rolling actives differ"
    assert cells == their_cells, "retention differs"
    duck = sum(min(t for name, t in their_times.items() if name.startswith(part)) for part in ("rolling", "retention"))
    peer = clickhouse(file)
    assert peer is None or peer[1] == cells, "ClickHouse counts otherwise"
    result: dict[str, Any] = {
        "bench": "actives", "events": chosen.events, "users": chosen.users, "equal": True,
        **{name: round(t, 1) for name, t in our_times.items()},
        **{f"duckdb_{name}_ms": round(t, 1) for name, t in their_times.items()},
        "factor": round(duck / sum(our_times.values()), 1),
    }  # fmt: skip
    if peer is not None:
        result.update({f"clickhouse_{name}_ms": round(t, 1) for name, t in peer[0].items()})
        result["clickhouse_factors"] = {name: round(t / our_times["retention_ms"], 1) for name, t in peer[0].items()}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
