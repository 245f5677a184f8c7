"""Ticks of the counting: short, repeatable, in UTC. Work that may take long is a job (`kpis/jobs.py`)."""

from __future__ import annotations

import logging

from celery import shared_task
from django.utils import timezone

from analytics.loading import tenants_loading
from analytics.tenancy import tenant_ids
from kpis import due
from kpis.rollup.dirty import dirty_tenants, is_counted

logger = logging.getLogger("bellwether.rollup")


@shared_task(name="kpis.refresh", ignore_result=True, expires=10)
def refresh() -> int:
    """Count every tenant's dirty minutes again; how many tenants had some.

    Of a tenant whose history is being loaded only those of today, and none of one that was never counted: whoever loads
    it counts the rest.
    """
    from kpis.rollup.refresh import CLOSE_AFTER, refresh_tenant

    waiting = dirty_tenants()
    loading = tenants_loading() if waiting else frozenset()
    for tenant_id in waiting:
        now = timezone.now()
        try:
            if tenant_id not in loading:
                refresh_tenant(tenant_id, now=now)
            elif is_counted(tenant_id):
                refresh_tenant(tenant_id, now=now, since=now - CLOSE_AFTER)
        except Exception:
            # Its marks are still there for the next tick, and the neighbours' numbers must not wait for it.
            logger.exception("the minutes of tenant %s could not be counted", tenant_id)
    return len(waiting)


@shared_task(name="kpis.close_hours", ignore_result=True, expires=60)
def close_hours() -> int:
    """Let go of the minutes of hours that have closed, and unite the weeks that have; how many rows went."""
    from kpis.rollup.refresh import close_hours as close
    from kpis.rollup.refresh import keep_weeks

    dropped = 0
    for tenant_id in tenant_ids():
        dropped += close(tenant_id, now=timezone.now())
        keep_weeks(tenant_id, now=timezone.now())
    return dropped


@shared_task(name="kpis.enqueue_due", ignore_result=True, expires=30)
def enqueue_due() -> int:
    """Enqueue the jobs of every schedule that has become due; how many."""
    return due.tick(now=timezone.now())


@shared_task(name="kpis.ensure_partitions", ignore_result=True, expires=600)
def ensure_partitions() -> list[str]:
    """Make the partitions of this month and the next two, if they are missing."""
    from analytics.partitions import partitions_ensure

    return partitions_ensure(now=timezone.now())


@shared_task(name="kpis.publish_machine", ignore_result=True, expires=30)
def publish_machine() -> bool:
    """Publish CPU, memory, queue and a beat into the tenant that ANALYTICS_TENANT names; False when it names none."""
    from kpis.machine import machine_publish

    return machine_publish(now=timezone.now())
