"""Sealing: events a second, bytes an event, memory; and that the lake then says what PostgreSQL says.

python tests/bench/bench_seal.py --events 4000000 --days 8
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.bench.stage import prepare

END = date(2026, 11, 1)
EVER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
TRUTH = """
SELECT e.name, count(*), count(DISTINCT s.person_id), sum(amount_base)::bigint, count(session_id) FROM bw_event e
  LEFT JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id GROUP BY 1 ORDER BY 1"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 4])
    chosen = parser.parse_args()
    prepare()
    from tests.bench.generate import generate

    tenant_id = generate(
        slug=f"seal-{chosen.events}", events=chosen.events, users=chosen.users, days=chosen.days, end=END
    )
    with tempfile.TemporaryDirectory(prefix="bw-lake-") as folder:
        runs = [_sealed(tenant_id, Path(folder) / str(n), workers) for n, workers in enumerate(chosen.workers)]
        print(json.dumps({"bench": "seal", "runs": runs, "differing_cells": _differing(tenant_id)}), flush=True)


def _sealed(tenant_id: int, folder: Path, workers: int) -> dict[str, Any]:
    """Everything sealed from nothing into an empty folder."""
    from django.conf import settings
    from django.utils import timezone

    from analytics.lake.sealing import seal_tenant
    from analytics.lake.services import lake_mark
    from analytics.models import LakePiece
    from analytics.tenancy import tenant_context

    settings.ANALYTICS_LAKE_URL = str(folder)
    with tenant_context(tenant_id):
        LakePiece.objects.all().delete()
    now = timezone.now()
    lake_mark(tenant_id=tenant_id, start=EVER[0], end=EVER[1], reason="bench", now=now)
    begun = time.perf_counter()
    done = seal_tenant(tenant_id, now=now, workers=workers)
    seconds = time.perf_counter() - begun
    usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "workers": workers, "events": done.events, "pieces": done.pieces, "seconds": round(seconds, 2),
        "events_per_second": round(done.events / seconds),
        "typed_bytes_per_event": round(done.typed_bytes / done.events, 2),
        "bytes_per_event": round(done.bytes / done.events, 2), "largest_process_mib": usage // 1024,
        "load_of_machine": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _differing(tenant_id: int) -> int:
    """Cells in which lake and PostgreSQL differ: counts, uniques, sums, sessions by name."""
    from django.db import connections

    from analytics.store import event_store
    from analytics.tenancy import tenant_context

    with tenant_context(tenant_id), connections["default"].cursor() as cursor:
        cursor.execute(TRUTH)
        expected = cursor.fetchall()
    start, end = datetime(END.year, END.month, END.day, tzinfo=UTC) - timedelta(days=400), EVER[1]
    with event_store(tenant_id=tenant_id, start=start, end=end, columns=("session_id",)) as store:
        e = store.events
        asked = e.group_by("name").agg(
            n=e.count(), people=e.person_id.nunique(), worth=e.amount_base.sum(), sessions=e.session_id.count()
        )
        found = [tuple(row.values()) for row in store.run(asked.order_by("name")).to_pylist()]
    if len(found) != len(expected):
        return abs(len(found) - len(expected)) * 5
    pairs = zip(sorted(found), sorted(expected), strict=True)
    return sum(left != right for one, other in pairs for left, right in zip(one, other, strict=True))


if __name__ == "__main__":
    main()
