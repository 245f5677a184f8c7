"""Counts a range of days from its events: after an import, a changed definition, or a restored backup."""

from __future__ import annotations

import os
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from analytics.jobs import run_job
from analytics.management.days import day
from analytics.models import Job
from analytics.registry import UnknownName
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenant_context
from kpis.rollup.backfill import Backfill, bounds, plan_parts
from kpis.rollup.frozen import DaysGone, days_check
from kpis.rollup.services import backfill_enqueue, measures_behind


class Command(BaseCommand):
    help = "Count all events of these days again. Killed and run again with the same days, it goes on where it was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="the tenant's slug")
        parser.add_argument("--from", dest="first", type=day, help="first local day (default: of the first event)")
        parser.add_argument("--to", dest="end", type=day, help="the day after the last (default: after all)")
        parser.add_argument(
            "--metric",
            dest="metrics",
            action="append",
            default=[],
            help="only what this metric, or family of metrics such as gaming, is made of; may be given several times",
        )
        parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
        parser.add_argument("--dry-run", action="store_true", help="say what would be counted, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant_id = tenant_by_slug(options["tenant"]).id
        except UnknownTenant as error:
            raise CommandError(str(error)) from None
        try:
            days_check(tenant_id=tenant_id, first=options["first"])
            measures_behind(tenant_id=tenant_id, metrics=options["metrics"])
        except (DaysGone, UnknownName) as error:
            raise CommandError(str(error)) from None
        span = bounds(tenant_id)
        if span is None:
            self.stdout.write("There are no events.")
            return
        first, end = options["first"] or span[0], options["end"] or span[1]
        if end <= first:
            raise CommandError(f"--to {end} must be later than --from {first}.")
        parts = plan_parts(Backfill(tenant_id, first, end, with_sessions=False))
        days, events = (end - first).days, sum(part.events for part in parts)
        if options["dry_run"]:
            self.stdout.write(f"{events:,} events of {days} days would be counted, in {len(parts)} parts.")
            return
        job = backfill_enqueue(
            tenant_id=tenant_id,
            first=first,
            end=end,
            workers=options["workers"],
            metrics=options["metrics"],
            created_by="command",
        )
        with _bar(tenant_id, job):
            has_run = run_job(job.pk)
        self._report(tenant_id, job, has_run, f"{events:,} events of {days} days")

    def _report(self, tenant_id: int, job: Job, has_run: bool, what: str) -> None:
        with tenant_context(tenant_id):
            job.refresh_from_db()
        if job.state == Job.State.DONE:
            self.stdout.write(self.style.SUCCESS(f"{what} counted."))
        elif not has_run and job.state == Job.State.RUNNING:
            self.stdout.write(f"Another process counts these days already (job {job.pk}); it goes on there.")
        else:
            raise CommandError(f"Not finished ({job.state}): {job.error or 'see the job'}. Run it again to go on.")


class _bar:
    """A progress bar on a terminal, read from the job's row; nothing elsewhere."""

    def __init__(self, tenant_id: int, job: Job) -> None:
        self._tenant_id, self._job, self._ended = tenant_id, job, threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True) if sys.stderr.isatty() else None

    def __enter__(self) -> None:
        if self._thread:
            self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _show(self) -> None:
        with Progress() as progress:
            task = progress.add_task("Counting events", total=None)
            while not self._ended.wait(0.5):
                with tenant_context(self._tenant_id):
                    done, total = Job.objects.values_list("done", "total").get(pk=self._job.pk)
                progress.update(task, completed=done, total=total or None)
