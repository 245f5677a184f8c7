"""`manage.py erase_subject --tenant SLUG --user ID [--dry-run] [--json]`: removes a person from every store."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.privacy import erase_subject
from analytics.tenancy import UnknownTenant, tenant_by_slug


class Command(BaseCommand):
    help = "Remove a person from every store and print a receipt. Numbers stay as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, metavar="SLUG")
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--user", default="", metavar="ID", help="a distinct id of the person")
        who.add_argument("--subject", type=int, metavar="NUMBER", help="a subject of the person")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be removed, change nothing")
        parser.add_argument("--json", action="store_true", help="print the receipt as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["tenant"])
        except UnknownTenant as error:
            raise CommandError(str(error)) from error
        receipt = erase_subject(
            tenant_id=tenant.id,
            distinct_id=options["user"],
            subject_id=options["subject"],
            dry_run=options["dry_run"],
            now=timezone.now(),
        )
        if options["json"]:
            self.stdout.write(json.dumps(receipt.as_dict()))
            return
        verb = "would be changed" if receipt.is_dry_run else "changed"
        for store, rows in receipt.rows.items():
            self.stdout.write(f"{store:16} {rows:8} {verb}")
        if not receipt.is_dry_run:
            self.stdout.write("complete" if receipt.is_complete else f"NOT complete, run it again: {receipt.traces}")
            for part in receipt.failed:
                self.stdout.write(f"{part} still holds something of the person; a job tries it again")
