"""`manage.py import_rates FILE --tenant SLUG`: exchange rates by day (CSV: day, currency, rate)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.rates import BadRates, rates_filled, rates_import, rates_read
from analytics.tenancy import UnknownTenant, tenant_by_slug


class Command(BaseCommand):
    help = "Import exchange rates; one unit of the currency is `rate` units of the tenant's base currency."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="CSV with the columns day, currency, rate")
        parser.add_argument("--tenant", required=True, metavar="SLUG")
        parser.add_argument(
            "--no-fill", action="store_true", help="do not fill week-ends and holidays with the day before"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["tenant"])
            rates = list(rates_read(options["file"]))
        except (UnknownTenant, BadRates, OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        chosen = rates if options["no_fill"] else rates_filled(rates)
        done = rates_import(tenant=tenant, rates=chosen, now=timezone.now())
        self.stdout.write(f"{done.rates} rates stored, {done.events} events revalued")
