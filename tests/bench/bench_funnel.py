"""A 3-step ordered funnel of 7 days over 10 million events, beside ClickHouse's windowFunnel over the same events.

    python -m tests.bench.bench_funnel [--events 10000000] [--people 500000] [--home /tmp/bench]

ClickHouse is chDB from PyPI (`pip install chdb`): a MergeTree, merged, in two orders of its key; the better one counts.
Both are asked from a warm cache, each time anew; ours answers more (still open, times, intervals) in its time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

NAMES = {
    "page_view": 0.40, "cart_updated": 0.10, "order_completed": 0.05, "search_done": 0.15, "message_sent": 0.10,
    "logged_in": 0.08, "gift_sent": 0.04, "api_called": 0.05, "help_opened": 0.02, "signed_up": 0.01,
}  # fmt: skip
STEPS = ("page_view", "cart_updated", "order_completed")
WEEK = timedelta(days=7)
QUERY = """
SELECT level, count() FROM (
    SELECT person_id, windowFunnel(604800000000)(toUInt64(ts), name = 'page_view', name = 'cart_updated',
           name = 'order_completed') AS level
      FROM events WHERE name IN ('page_view', 'cart_updated', 'order_completed') AND NOT is_bot AND NOT is_internal
     GROUP BY person_id)
 GROUP BY level ORDER BY level"""


def made(folder: Path, events: int, people: int) -> None:
    """Ninety days with a heavy tail of people."""
    from analytics.periods import to_micros
    from tests.bench import lakes

    dice = np.random.default_rng(20260101)
    lakes.fresh(folder)
    each = events // lakes.DAYS
    for day in range(lakes.DAYS):
        count = each + (events % lakes.DAYS if day == lakes.DAYS - 1 else 0)
        person = (people * dice.random(count) ** 2).astype(np.int32) + 1
        name = pa.DictionaryArray.from_arrays(
            dice.choice(len(NAMES), count, p=list(NAMES.values())).astype(np.int32), list(NAMES)
        ).cast(pa.string())
        ts = to_micros(lakes.START) + day * lakes.MICROS + dice.integers(0, lakes.MICROS, count)
        seq = np.zeros(count, dtype=np.int64)
        lakes.written(folder, day, {"name": name, "person_id": person, "ts": ts, "seq": seq})


def timed(what: Callable[[], Any], times: int) -> tuple[list[float], Any]:
    took, answer = [], None
    for _ in range(times):
        began = time.perf_counter()
        answer = what()
        took.append((time.perf_counter() - began) * 1000)
    return took, answer


def ours(folder: Path, executor: str) -> Any:
    from kpis.explore.picks import EventPick
    from kpis.funnels import Funnel, Step, funnel_read
    from tests.bench import lakes

    end = lakes.START + lakes.DAYS * lakes.DAY
    funnel = Funnel(steps=tuple(Step(EventPick((name,))) for name in STEPS), start=lakes.START, end=end, window=WEEK)
    with lakes.opened(folder, STEPS) as store:
        return funnel_read(store, funnel, timezone="UTC", now=end, executor=executor)


def clickhouse(folder: Path, order: str, times: int) -> tuple[list[float], list[int]]:
    from chdb.session import Session

    session: Any = cast(Any, Session)()
    session.query(
        "CREATE TABLE events (name LowCardinality(String), person_id Int32, ts Int64, is_bot Bool, is_internal Bool)"
        f" ENGINE = MergeTree ORDER BY ({order})"
    )
    session.query(
        "INSERT INTO events SELECT name, assumeNotNull(person_id), ts, is_bot, is_internal"
        f" FROM file('{folder}/*.parquet', Parquet)"
    )
    session.query("OPTIMIZE TABLE events FINAL")
    took, answer = timed(lambda: str(session.query(QUERY, "CSV")), times)
    session.close()
    levels = {int(level): int(count) for level, count in (line.split(",") for line in answer.split())}
    return took, [sum(count for level, count in levels.items() if level >= step) for step in (1, 2, 3)]


def shown(label: str, took: list[float]) -> None:
    print(f"{label:44} best {min(took):7.1f} ms   median {statistics.median(took):7.1f} ms")


def main() -> None:
    """Prints both, and fails when the counts differ."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=10_000_000)
    options.add_argument("--people", type=int, default=500_000)
    options.add_argument("--times", type=int, default=9)
    options.add_argument("--home", type=Path, default=Path("/tmp/bellwether-bench"))
    asked = options.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    folder = asked.home / f"funnel-{asked.events}-{asked.people}"
    if not folder.exists():
        made(folder, asked.events, asked.people)
    found = {}
    for executor in ("packed", "kernel", "plan"):
        times = asked.times if executor == "packed" else 3
        took, answer = timed(partial(ours, folder, executor), times)
        found[executor] = [step.reached for step in answer.steps]
        shown(f"ours, {answer.stamp.executor} ({executor})", took)
    try:
        for order in ("name, person_id, ts", "person_id, ts"):
            took, counts = clickhouse(folder, order, asked.times)
            found[order] = counts
            shown(f"windowFunnel, MergeTree by ({order})", took)
    except ImportError:
        print("chDB is not installed: pip install chdb")
    print(f"load {os.getloadavg()[0]:.1f}; people at each step: {found}")
    assert len({tuple(counts) for counts in found.values()}) == 1, "the counts differ"


if __name__ == "__main__":
    main()
