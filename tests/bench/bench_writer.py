"""How many plain events of known users one connection stores a second: `python tests/bench/bench_writer.py`.

Needs a migrated database (DATABASE_URL and friends) with a tenant; it makes one called `bench` if it is not there, and
leaves its events behind. Prints one line per batch size: events/s in all, and microseconds an event in Python alone.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main() -> None:
    django.setup()
    arguments = _arguments()
    for size in arguments.sizes:
        print(json.dumps(run(size, arguments.seconds, arguments.users)), flush=True)


def run(size: int, seconds: float, users: int) -> dict[str, Any]:
    """Write batches of `size` for `seconds` over one connection of the ingest role."""
    from analytics.writer import write_batch
    from analytics.writing.loop import connect

    tenant_id, now = _tenant(), datetime.now(UTC)
    connection = connect()
    with connection.transaction():
        write_batch(connection, list(_events(tenant_id, users, users, now)), now=now)
    batches = [list(_events(tenant_id, size, users, now)) for _ in range(max(4, 300_000 // size))]
    written, begun, cpu = 0, time.perf_counter(), time.process_time()
    for batch in batches:
        with connection.transaction():
            verdicts = write_batch(connection, batch, now=now)
        assert all(verdict.outcome == "stored" for verdict in verdicts)
        written += len(batch)
        if time.perf_counter() - begun > seconds:
            break
    elapsed, used = time.perf_counter() - begun, time.process_time() - cpu
    connection.close()
    return {
        "batch": size,
        "events": written,
        "events_per_second": round(written / elapsed),
        "python_us_per_event": round(used / written * 1e6, 1),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 2000, 5000])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--users", type=int, default=1000)
    return parser.parse_args()


def _tenant() -> int:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM bw_tenant_by_slug('bench')")
        row = cursor.fetchone()
        if row is None:
            cursor.execute("SELECT bw_tenant_create('bench', 'Bench', 'Europe/Paris', 'EUR', 0)")
            row = cursor.fetchone()
        cursor.execute("SELECT bw_partition_ensure(%s)", [datetime.now(UTC).date()])
    return int(row[0])


def _events(tenant_id: int, count: int, users: int, now: datetime) -> Iterator[Any]:
    from analytics.contracts import CapturedEvent

    for number in range(count):
        yield CapturedEvent(
            tenant_id=tenant_id,
            event_id=str(uuid.uuid4()),
            name=("$pageview", "order_completed", "search_done")[number % 3],
            timestamp=now - timedelta(milliseconds=number * 7 % 600_000),
            received_at=now,
            sent_at=now,
            payload_hash=hash((number, now)) >> 1,
            distinct_id=f"user-{number % users}",
            session_id=f"session-{number % users}",
            platform="web",
            country="FR",
            campaign="spring",
            properties={
                "$current_url": f"https://shop.example/{number}",
                "$browser": "Firefox",
                "width": 1280,
                "n": number,
            },
        )


if __name__ == "__main__":
    main()
