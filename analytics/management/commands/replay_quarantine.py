"""`manage.py replay_quarantine --tenant SLUG [--reason R] [--id UUID …] [--dry-run]`: tries held events again."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.quarantine import quarantine_replay
from analytics.tenancy import UnknownTenant, tenant_by_slug


class Command(BaseCommand):
    help = "Send quarantined events through their door again; what is stored moves in the ledger of outcomes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, metavar="SLUG")
        parser.add_argument("--reason", default="", help="only events held for this reason")
        parser.add_argument("--id", type=UUID, action="append", metavar="UUID", help="only this one; may be repeated")
        parser.add_argument("--dry-run", action="store_true", help="tell what would happen, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["tenant"])
        except UnknownTenant as error:
            raise CommandError(str(error)) from error
        report = quarantine_replay(
            tenant=tenant,
            reason=options["reason"],
            ids=options["id"],
            dry_run=options["dry_run"],
            now=timezone.now(),
        )
        self.stdout.write(json.dumps(report.as_dict()))
