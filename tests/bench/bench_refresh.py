"""Refresh after 10,000 new events, on histories of different length with equal events an hour.

python tests/bench/bench_refresh.py --days 10 100 --per-day 100000      # one and ten million events
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.bench.stage import prepare

END = date(2026, 11, 1)
NOON = datetime(2026, 11, 1, 12, 20, tzinfo=UTC)
MARKS = """
INSERT INTO bw_dirty_mark (tenant_id, minute, reason, created_at)
SELECT DISTINCT %(tenant)s, date_trunc('minute', ts, 'UTC'), 'event', now() FROM bw_event
 WHERE tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(start)s + interval '15 minutes'"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--per-day", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--new", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    prepare()
    results = [run(days, chosen.per_day, chosen.users, chosen.new, chosen.rounds) for days in chosen.days]
    ratios = {
        f"{name}_ratio": round(results[-1][name] / results[0][name], 2)
        for name in ("seconds_median", "cpu_seconds_median")
    }
    print(json.dumps({"bench": "refresh", "runs": results, **ratios}), flush=True)


def run(days: int, per_day: int, users: int, new: int, rounds: int) -> dict[str, Any]:
    """Median seconds of a refresh after `new` events within minutes, in another hour of the last day each time."""
    from django.db import connections

    from analytics.statistics import statistics_refresh
    from kpis.rollup.backfill import Backfill, Ledger, bounds, plan_parts, run_backfill
    from kpis.rollup.refresh import refresh_tenant
    from tests.bench.generate import generate

    tenant_id = generate(
        slug=f"refresh{days}", events=(days + 1) * per_day, users=users, days=days + 1, end=END + timedelta(days=1)
    )
    backfill = Backfill(tenant_id, *(bounds(tenant_id) or (END, END)))
    statistics_refresh()
    run_backfill(backfill, plan_parts(backfill), Ledger(0, lambda cursor, at, of: None), workers=4, now=NOON)
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE bw_event, bw_subject, bw_session, bw_bucket")  # as autovacuum would by now
    times = []
    for number in range(rounds):
        start = NOON + timedelta(hours=number)
        _arrive(tenant_id, start, number, new, users)
        begun, worked = time.perf_counter(), _cpu()
        done = refresh_tenant(tenant_id, now=start + timedelta(minutes=15))
        times.append((time.perf_counter() - begun, _cpu() - worked))
    return {
        "events": days * per_day, "days": days, "new": new, "minutes": done.minutes,
        "seconds_median": round(sorted(times)[rounds // 2][0], 3), "seconds_worst": round(max(times)[0], 3),
        "cpu_seconds_median": round(sorted(cpu for _, cpu in times)[rounds // 2], 3),
    }  # fmt: skip


def _cpu() -> float:
    """Processor seconds used by this process and its PostgreSQL backend: what a busy machine does not distort."""
    import psutil
    from django.db import connections

    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = psutil.Process(cursor.fetchone()[0]).cpu_times()
    return float(time.process_time() + backend.user + backend.system)


def _arrive(tenant_id: int, start: datetime, number: int, new: int, users: int) -> None:
    from django.db import connections

    from analytics.tenancy import tenant_context
    from tests.bench.generate import insert

    with tenant_context(tenant_id), connections["default"].cursor() as cursor:
        insert(tenant_id, start, seconds=300, number=9_100 + number, visits=new // 5, users=users)
        cursor.execute(MARKS, {"tenant": tenant_id, "start": start})


if __name__ == "__main__":
    main()
