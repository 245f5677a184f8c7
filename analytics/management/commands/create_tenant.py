"""Makes a tenant."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from analytics.access.services import AccessError, tenant_create


class Command(BaseCommand):
    help = "Make a tenant with its time zone, base currency and week start."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="a-z, 0-9 and hyphens; part of no URL that the public sees")
        parser.add_argument("--name", default="", help="shown to people; the slug when left out")
        parser.add_argument("--zone", default="UTC", help="IANA name, for example Europe/Paris")
        parser.add_argument("--currency", default="EUR", help="ISO 4217 code that sums are reported in")
        parser.add_argument("--week-start", type=int, default=0, help="0 is Monday, 6 is Sunday")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_create(
                slug=options["slug"],
                name=options["name"] or options["slug"],
                zone=options["zone"],
                base_currency=options["currency"],
                week_start=options["week_start"],
            )
        except AccessError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Made tenant {tenant.slug} ({tenant.zone}, {tenant.base_currency}).")
        self.stdout.write(f"Next: manage.py create_key --tenant {tenant.slug} --kind pk --name website")
