"""`manage.py compact_outcomes [--tenant SLUG]`: merges the ledger's rows of hours that are over."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.outcomes import outcomes_compact
from analytics.tenancy import UnknownTenant, tenant_by_slug


class Command(BaseCommand):
    help = "Merge rows of the outcome ledger; the sums stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", default="", metavar="SLUG", help="default: every tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant_id = tenant_by_slug(options["tenant"]).id if options["tenant"] else None
        except UnknownTenant as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{outcomes_compact(now=timezone.now(), tenant_id=tenant_id)} rows merged away")
