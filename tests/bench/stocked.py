"""A database stocked with a counted history, for measuring its reading. With BENCH_HOME it is kept for next time."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

from tests.bench.stage import prepare

END = date(2026, 11, 1)
NOW = datetime(2026, 11, 1, 0, 5, tzinfo=UTC)
LATER = timedelta(days=3)


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
        _count(tenant_id, END - timedelta(days=days), END + timedelta(days=1))
    print(f"# made in {made - begun:.0f} s, counted in {time.perf_counter() - made:.0f} s", flush=True)
    return tenant_id


def stock_by_month(*, events: int, users: int, days: int) -> int:
    """As `stock`, but each month's events are let go of once they are counted, as retention does, so that a hundred
    million events fit on a small disk. The id of the tenant.
    """
    prepare()
    from django.test.utils import override_settings

    from analytics.partitions import month_after
    from analytics.retention_run import retention_apply
    from analytics.tenancy import UnknownTenant, tenant_by_slug
    from tests.bench.generate import generate

    slug = f"bench-months-{events}-{users}-{days}"
    start = END - timedelta(days=days)
    tenant_id, made = 0, 0
    try:
        tenant_id = tenant_by_slug(slug).id
        made = (_kept_from(tenant_id) - start).days if _is_counted(tenant_id) else 0
    except UnknownTenant:
        pass
    while made < days:
        first = start + timedelta(days=made)
        until = min(month_after(first), END)
        begun = time.perf_counter()
        numbers = range(made, (until - start).days)
        tenant_id = generate(slug=slug, events=events, users=users, days=days, end=END, zone="UTC", only=numbers)
        generated = time.perf_counter()
        _count(tenant_id, first, until)
        counted = time.perf_counter()
        with override_settings(ANALYTICS_RETENTION_DAYS=1):
            retention_apply(tenant_id=tenant_id, now=datetime(until.year, until.month, until.day, tzinfo=UTC) + LATER)
        print(
            f"# {first} to {until}: made in {generated - begun:.0f} s, counted in {counted - generated:.0f} s,"
            f" let go in {time.perf_counter() - counted:.0f} s",
            flush=True,
        )
        made = numbers.stop
    return tenant_id


def _kept_from(tenant_id: int) -> date:
    from analytics.retention import kept_from

    found = kept_from(tenant_id=tenant_id)
    return found.date() if found is not None else date.min


def _is_counted(tenant_id: int) -> bool:
    from analytics.tenancy import tenant_context
    from kpis.models import Bucket

    with tenant_context(tenant_id):
        return Bucket.objects.filter(measure="events.count", dimension="", grain=3).exists()


def _count(tenant_id: int, first: date, end: date) -> None:
    from django.db import connections

    from analytics.jobs import run_job
    from analytics.tenancy import tenant_context
    from kpis.rollup.services import backfill_enqueue

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
