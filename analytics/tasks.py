"""Doorbells. A message only says "look": losing it, or getting it twice, changes nothing."""

from __future__ import annotations

import uuid

from celery import shared_task
from django.utils import timezone

from analytics import jobs


@shared_task(name="analytics.ring", ignore_result=True)
def ring(job_id: str) -> bool:
    """Run this job, if it is still due."""
    return jobs.run_job(uuid.UUID(job_id))


@shared_task(name="analytics.sweep", ignore_result=True, expires=30)
def sweep() -> int:
    """Ring for every due job that nobody runs: its message was lost, or its worker died."""
    waiting = jobs.ringable(now=timezone.now())
    for job_id in waiting:
        ring.apply_async((str(job_id),), ignore_result=True, expires=60)
    return len(waiting)


@shared_task(name="analytics.forward", ignore_result=True, expires=30)
def forward() -> int:
    """Enqueue a job for each tenant with events that wait for PostHog; how many tenants. 0 while it is switched off."""
    from analytics.capture.forward import forward_due

    return forward_due(now=timezone.now())


@shared_task(name="analytics.warm_up", ignore_result=True, expires=240)
def warm_up() -> int:
    """Work out again what was asked lately, before the answers end; how many questions."""
    from analytics.cache.warm import warm_up as warm

    return warm(now=timezone.now())


@shared_task(name="analytics.seal", ignore_result=True, expires=110)
def seal() -> int:
    """Seal what is due of every tenant's events into the lake; how many pieces."""
    from analytics.lake.services import lake_tick

    return lake_tick(now=timezone.now()).pieces


@shared_task(name="analytics.collect_lake", ignore_result=True, expires=600)
def collect_lake() -> int:
    """Remove files of the lake that nobody needs any more; how many."""
    from analytics.lake.services import lake_collect

    done = lake_collect(now=timezone.now())
    return done.retired + done.strays
