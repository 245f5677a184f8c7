"""Takes a snapshot of a tenant's customers, and shows its segments."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.lake.errors import LakeError
from analytics.management.days import day
from analytics.tenancy import UnknownTenant, tenant_by_slug
from insights.customers.rfm import Rule
from insights.customers.services import NobodyBought, ledger_until, snapshot_take
from insights.selectors import snapshot_read
from kpis.selectors import calendar_read
from kpis.series import NoCalendar


class Command(BaseCommand):
    help = "Score all customers as of the end of a local day (yesterday), fit what they will buy, keep their segments."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="the tenant's slug")
        parser.add_argument("--on", type=day, help="the last day in it, for example 2026-10-31")
        parser.add_argument("--rule", choices=[rule.value for rule in Rule], default=Rule.QUANTILE_EDGES.value)
        parser.add_argument("--dry-run", action="store_true", help="count the sales that would be read, keep nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            tenant = tenant_by_slug(options["tenant"])
            today = calendar_read(tenant_id=tenant.id).local_date(now)
            taken_on = options["on"] or today - timedelta(days=1)
            if taken_on > today:
                raise CommandError(f"--on {taken_on} has not been yet: today is {today} there.")
            if options["dry_run"]:
                ledger = ledger_until(tenant_id=tenant.id, taken_on=taken_on, now=now)
                self.stdout.write(f"{len(ledger.sales.person)} sales and refunds of known people until {taken_on}.")
                return
            snapshot_take(tenant_id=tenant.id, taken_on=taken_on, now=now, rule=Rule(options["rule"]))
            self._show(tenant.id, taken_on)
        except (UnknownTenant, NobodyBought, NoCalendar, LakeError) as error:
            raise CommandError(str(error)) from None

    def _show(self, tenant_id: int, taken_on: date) -> None:
        view = snapshot_read(tenant_id=tenant_id, taken_on=taken_on)
        for segment in view.segments:
            self.stdout.write(f"{segment.name:24} {segment.size:8}  {segment.share:6.1%}")
        self.stdout.write(
            f"{view.customers} customers on {taken_on}." + (f" {view.fit_note}." if view.fit_note else "")
        )
