"""Overview of 12 metrics, 30 days against the 30 before, uncached: `python tests/bench/bench_overview.py`.

Prints p50 and p95 at one and at ten million events; the bar is a p95 of 30 ms that does not grow with events.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.bench.stocked import END, NOW, percentile, stock

DAYS = 120


def run(events: int, users: int, rounds: int) -> dict[str, object]:
    tenant_id = stock(events=events, users=users, days=DAYS)
    from analytics.periods import Calendar
    from kpis.series import metric_overview

    calendar = Calendar("Europe/Paris")
    samples = []
    for number in range(rounds + 5):
        end = END - timedelta(days=number % 25)
        first = end - timedelta(days=30)
        begun = time.perf_counter()
        items = metric_overview(
            tenant_id=tenant_id, start=calendar.day_start(first), end=calendar.day_start(end), now=NOW
        )
        samples.append((time.perf_counter() - begun) * 1000)
        assert len(items) == 12
        assert all(item.series.comparison is not None and len(item.series.points) == 30 for item in items)
    warm = samples[5:]
    return {
        "bench": "overview", "events": events, "users": users, "rounds": rounds,
        "p50_ms": round(percentile(warm, 0.5), 1), "p95_ms": round(percentile(warm, 0.95), 1),
        "first_ms": round(samples[0], 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=200)
    chosen = parser.parse_args()
    for events in chosen.events:
        print(json.dumps(run(events, chosen.users, chosen.rounds)), flush=True)


if __name__ == "__main__":
    main()
