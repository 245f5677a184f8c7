"""A database stocked with a counted history, for measuring its reading. With BENCH_HOME it is kept for next time."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

from tests.bench.stage import prepare

END = date(2026, 11, 1)
NOW = datetime(2026, 11, 1, 0, 5, tzinfo=UTC)


def stock(*, events: int, users: int, days: int) -> int:
    """The tenant with that history, made and counted if it is not there yet; its id."""
    prepare()
    from analytics.tenancy import UnknownTenant, tenant_by_slug
    from tests.bench.generate import generate

    slug = f"bench-{events}-{users}-{days}"
    begun = time.perf_counter()
    try:
        tenant_id = tenant_by_slug(slug).id
    except UnknownTenant:
        tenant_id = generate(slug=slug, events=events, users=users, days=days, end=END)
    made = time.perf_counter()
    if not _is_counted(tenant_id):
        _count(tenant_id, days)
    print(f"# made in {made - begun:.0f} s, counted in {time.perf_counter() - made:.0f} s", flush=True)
    return tenant_id


def _is_counted(tenant_id: int) -> bool:
    from analytics.tenancy import tenant_context
    from kpis.models import Bucket

    with tenant_context(tenant_id):
        return Bucket.objects.filter(measure="events.count", dimension="", grain=3).exists()


def _count(tenant_id: int, days: int) -> None:
    from django.db import connections

    from analytics.jobs import run_job
    from analytics.tenancy import tenant_context
    from kpis.rollup.services import backfill_enqueue

    first, end = END - timedelta(days=days), END + timedelta(days=1)
    job = backfill_enqueue(tenant_id=tenant_id, first=first, end=end, workers=4)
    run_job(job.pk)
    with tenant_context(tenant_id):
        job.refresh_from_db()
    assert job.state == "done", job.error
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE bw_bucket")


def percentile(samples: list[float], q: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
