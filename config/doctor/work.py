"""Is everything counted, does nothing wait, does it add up?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.db import connection

from analytics.contracts import TenantInfo
from analytics.filters import calendar_of
from analytics.models import DirtyMark
from analytics.partitions import partitions_past
from analytics.retention import floors_due, rule_read
from analytics.tenancy import tenant_context, tenants
from config.doctor import Finding, check
from config.figures import figures_read

LATE_WARNING, LATE_ERROR = 60, 600
MANY_HELD: Final = 1_000
REFUSED_SHARE: Final = 0.05
FEW_EVENTS: Final = 100
CLEANED_WITHIN: Final = timedelta(days=8)
"""The clean-up is weekly."""
SAMPLE_EVENTS: Final = 1_000_000
"""A day with more is not counted again by way of a check-up: it would hold the roll-up up."""

UNCONVERTED: Final = """
SELECT coalesce(sum(n), 0) FROM bw_bucket b JOIN bw_calendar c ON c.id = b.calendar_id AND c.state = 'live'
 WHERE b.tenant_id = %s AND b.measure = 'money.unconverted' AND b.dimension = '' AND b.grain = 3 AND b.start > %s"""
OLD_EVENT: Final = "SELECT EXISTS (SELECT 1 FROM bw_event WHERE tenant_id = %s AND ts < %s)"
EVENTS: Final = "SELECT count(*) FROM (SELECT 1 FROM bw_event WHERE tenant_id = %s AND ts >= %s AND ts < %s LIMIT %s) e"


@check("rollup", "What has come in is counted")
def rollup(now: datetime) -> Iterator[Finding]:
    found = figures_read()
    if found.dirty_seconds > LATE_WARNING:
        yield Finding(
            "error" if found.dirty_seconds > LATE_ERROR else "warning",
            f"The oldest event waits {found.dirty_seconds:.0f} s to be counted ({found.dirty_marks} marks).",
            "See that worker and beat run; by hand: manage.py rollup --tenant SLUG.",
        )


@check("jobs", "Jobs run and end")
def jobs(now: datetime) -> Iterator[Finding]:
    found = figures_read()
    if found.jobs_stuck:
        yield Finding(
            "warning",
            f"{found.jobs_stuck} jobs have lost their worker and nobody has taken them up.",
            "Start the worker: it goes on where they stopped. By hand: manage.py jobs_run.",
        )
    if found.jobs_late:
        yield Finding(
            "warning",
            f"{found.jobs_late} jobs have been due for more than five minutes.",
            "Raise WORKER_PROCESSES, or run them by hand: manage.py jobs_run.",
        )
    if found.jobs_failed:
        yield Finding(
            "warning",
            f"{found.jobs_failed} jobs failed in the last day.",
            "Read why on /admin/operation/jobs/, and start them again there.",
        )


@check("retention", "Events that are not to be kept are gone")
def retention(now: datetime) -> Iterator[Finding]:
    for tenant in tenants():
        with tenant_context(tenant.id), connection.cursor() as cursor:
            due = floors_due(rule_read(tenant.id), calendar_of(tenant), now - CLEANED_WITHIN)
            if due.gone_before is None:
                continue
            cursor.execute(OLD_EVENT, [tenant.id, due.gone_before])
            (is_there,) = cursor.fetchone()
        if is_there:
            yield Finding(
                "warning",
                f"{tenant.slug}: events before {due.gone_before:%Y-%m-%d} should have gone more than a week ago.",
                f"manage.py retention --tenant {tenant.slug} says what it waits for; see that the scheduler runs.",
            )
    months = [f"{month:%Y-%m}" for month, _ in partitions_past()]
    if months:
        yield Finding(
            "warning", f"No tenant keeps events of {', '.join(months)}, and the space is taken.", "manage.py retention"
        )


@check("outcomes", "What is sent is stored")
def outcomes(now: datetime) -> Iterator[Finding]:
    found = figures_read()
    if found.quarantined > MANY_HELD:
        yield Finding(
            "warning",
            f"{found.quarantined} events are held back.",
            "See the reasons in the admin (quarantine), then manage.py replay_quarantine --tenant SLUG.",
        )
    total = sum(found.outcomes.values())
    refused = found.outcomes.get("rejected", 0) + found.outcomes.get("quarantined", 0)
    if total > FEW_EVENTS and refused > total * REFUSED_SHARE:
        yield Finding(
            "warning",
            f"{refused} of {total} events of the last day were not stored.",
            "GET /api/v1/events/outcomes/ names the reasons.",
        )


@check("rates", "All money has an exchange rate")
def rates(now: datetime) -> Iterator[Finding]:
    for tenant in tenants():
        with tenant_context(tenant.id), connection.cursor() as cursor:
            cursor.execute(UNCONVERTED, [tenant.id, now - timedelta(days=35)])
            (many,) = cursor.fetchone()
        if many:
            yield Finding(
                "warning",
                f"{tenant.slug}: {many} amounts of the last 35 days have no rate, so revenue is incomplete.",
                f"manage.py import_rates --tenant {tenant.slug} FILE, or add the rates in the admin.",
            )


@check("parity", "A closed day, counted again from its events, is as it is stored")
def parity(now: datetime) -> Iterator[Finding]:
    from kpis.rollup.check import check_buckets

    known = tenants()
    # Another tenant each day, so that over time everybody is looked at.
    for tenant in known[now.toordinal() % len(known) :][:1] if known else ():
        calendar = calendar_of(tenant)
        today = calendar.local_date(now)
        yesterday = calendar.local_date(calendar.day_start(today) - timedelta(hours=12))
        if not _may_compare(tenant, calendar.day_start(yesterday), calendar.day_start(today)):
            continue
        differing = len(list(check_buckets(tenant.id, yesterday, today, now=now)))
        if differing:
            yield Finding(
                "error",
                f"{tenant.slug}: {differing} cells of {yesterday} are not as their events say.",
                f"manage.py rollup --tenant {tenant.slug} --from {yesterday} --to {today}, and keep the log for us.",
            )


def _may_compare(tenant: TenantInfo, start: datetime, end: datetime) -> bool:
    """Whether the day is counted to its end, and small enough to be counted again here."""
    with tenant_context(tenant.id), connection.cursor() as cursor:
        if DirtyMark.objects.filter(tenant_id=tenant.id).exists():
            return False
        cursor.execute(EVENTS, [tenant.id, start, end, SAMPLE_EVENTS + 1])
        (many,) = cursor.fetchone()
    return 0 < int(many) <= SAMPLE_EVENTS
