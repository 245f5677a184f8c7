"""Full backfill: events a second on all cores and peak memory. `python tests/bench/bench_backfill.py --events
1000000`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.bench.stage import prepare

NOW = datetime(2026, 11, 5, tzinfo=UTC)


SERVERS = re.compile("postgres|redis|config.embedded")
"""What runs beside the backfill and is no part of it: the embedded servers and their keeper."""


class Memory:
    """Peak of the proportional memory of this process and its children, in MB (a page shared by four counts once)."""

    def __init__(self) -> None:
        self.peak, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        own = psutil.Process()
        while not self._ended.wait(0.2):
            total = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    if not SERVERS.search(" ".join(process.cmdline())):
                        total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    prepare()
    print(json.dumps(run(chosen.events, chosen.users, chosen.days, chosen.workers)), flush=True)


def run(events: int, users: int, days: int, workers: int) -> dict[str, Any]:
    from django.db import connections

    from analytics.jobs import run_job
    from analytics.tenancy import tenant_context
    from kpis.rollup.backfill import bounds
    from kpis.rollup.services import backfill_enqueue
    from tests.bench.generate import generate

    begun = time.perf_counter()
    tenant_id = generate(slug=f"backfill{events}", events=events, users=users, days=days, end=date(2026, 11, 1))
    made = time.perf_counter() - begun
    span = bounds(tenant_id)
    assert span is not None
    job = backfill_enqueue(tenant_id=tenant_id, first=span[0], end=span[1], workers=workers)
    with Memory() as memory:
        begun = time.perf_counter()
        run_job(job.pk)
        seconds = time.perf_counter() - begun
    with tenant_context(tenant_id):
        job.refresh_from_db()
        with connections["default"].cursor() as cursor:
            tables = ("bw_bucket", "bw_session", "bw_event")
            cursor.execute("SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in tables))
            buckets, sessions, stored = cursor.fetchone()
    assert job.state == "done", job.error
    return {
        "bench": "backfill", "events": stored, "days": days, "users": users, "workers": workers,
        "seconds": round(seconds, 2), "events_per_second": round(stored / seconds), "peak_mb": round(memory.peak),
        "buckets": buckets, "sessions": sessions, "generate_seconds": round(made, 1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
