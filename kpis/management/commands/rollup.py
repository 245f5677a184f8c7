"""Counts a tenant's dirty minutes now, or marks a range and counts it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.management.days import day
from analytics.tenancy import UnknownTenant, tenant_by_slug
from kpis.rollup.frozen import DaysGone, days_check
from kpis.rollup.refresh import refresh_tenant
from kpis.rollup.services import days_mark, minutes_dirty


class Command(BaseCommand):
    help = "Count what is dirty again, as a worker does every few seconds; with --from and --to, all of those days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="the tenant's slug")
        parser.add_argument("--from", dest="first", type=day, help="first local day, for example 2026-11-01")
        parser.add_argument("--to", dest="end", type=day, help="the day after the last")
        parser.add_argument("--dry-run", action="store_true", help="say what would be counted, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["tenant"])
        except UnknownTenant as error:
            raise CommandError(str(error)) from None
        if (options["first"] is None) != (options["end"] is None):
            raise CommandError("Give both --from and --to, or neither.")
        if options["first"] and options["end"] <= options["first"]:
            raise CommandError(f"--to {options['end']} must be later than --from {options['first']}.")
        try:
            days_check(tenant_id=tenant.id, first=options["first"])
        except DaysGone as error:
            raise CommandError(str(error)) from None
        now = timezone.now()
        if options["dry_run"]:
            count = minutes_dirty(tenant_id=tenant.id, first=options["first"], end=options["end"])
            self.stdout.write(f"{count} minutes would be counted again.")
            return
        if options["first"]:
            days_mark(tenant_id=tenant.id, first=options["first"], end=options["end"], now=now)
        done = refresh_tenant(tenant.id, now=now)
        self.stdout.write(f"{done.minutes} minutes of {done.days} days counted again.")
