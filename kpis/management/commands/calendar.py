"""Shows or changes how a tenant cuts time."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from analytics.jobs import run_job
from analytics.models import Job
from analytics.periods import RangeError
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenant_context
from kpis.rollup.services import calendar_change
from kpis.selectors import calendar_state

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Command(BaseCommand):
    help = (
        "Show or change a tenant's time zone and the first day of its weeks. Another week start holds at once; for "
        "another zone history is counted again, and numbers change when that is done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="the tenant's slug")
        parser.add_argument("--zone", help="IANA name, for example Europe/Paris")
        parser.add_argument("--week-start", choices=WEEKDAYS, help="the first day of the week")

    def handle(self, *args: Any, **options: Any) -> None:
        day = options["week_start"]
        try:
            tenant_id = tenant_by_slug(options["tenant"]).id
            job = calendar_change(
                tenant_id=tenant_id,
                zone=options["zone"],
                week_start=WEEKDAYS.index(day) if day else None,
                created_by="command",
            )
        except (UnknownTenant, RangeError) as error:
            raise CommandError(str(error)) from None
        if job is not None:
            self._count(tenant_id, job)
        found = calendar_state(tenant_id=tenant_id)
        self.stdout.write(
            f"{options['tenant']}: days of {found.zone}, weeks from {WEEKDAYS[found.week_start].title()}, "
            f"{found.base_currency}"
            + (f"; history is being counted for {found.building} (job {found.job})" if found.building else "")
        )

    def _count(self, tenant_id: int, job: Job) -> None:
        """Here, unless a worker was quicker: then it goes on there."""
        run_job(job.pk)
        with tenant_context(tenant_id):
            job.refresh_from_db()
        if job.state not in (Job.State.DONE, Job.State.RUNNING):
            raise CommandError(f"Not counted yet ({job.state}): {job.error or 'see the job'}. Numbers are as before.")
