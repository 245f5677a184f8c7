"""`manage.py retention [--tenant SLUG] [--dry-run] [--json]`: lets go of events that are not kept any more."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.contracts import TenantInfo
from analytics.retention import RetentionPostponed
from analytics.retention_run import Cleaned, retention_apply, retention_plan
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenants


class Command(BaseCommand):
    help = (
        "Delete events of days that are not kept any more (ANALYTICS_RETENTION_DAYS, and the tenant's own choice). "
        "Numbers that were counted stay. It may be killed and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", metavar="SLUG", help="only this one (default: every tenant)")
        parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object by tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chosen = [tenant_by_slug(options["tenant"])] if options["tenant"] else tenants()
        except UnknownTenant as error:
            raise CommandError(str(error)) from None
        now = timezone.now()
        report: dict[str, Cleaned | str] = {}
        for tenant in chosen:
            if options["dry_run"]:
                report[tenant.slug] = retention_plan(tenant_id=tenant.id, now=now)
            else:
                report[tenant.slug] = self._applied(tenant, now, is_quiet=options["json"])
            if not options["json"]:
                self._tell(tenant.slug, report[tenant.slug], is_dry_run=options["dry_run"])
        if options["json"]:
            shown = {
                slug: {"postponed": done} if isinstance(done, str) else done.as_dict() for slug, done in report.items()
            }
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "tenants": shown}))
        waiting = [slug for slug, done in report.items() if isinstance(done, str)]
        if waiting:
            raise CommandError(f"Not done for {', '.join(waiting)}; run it again later.")

    def _applied(self, tenant: TenantInfo, now: Any, *, is_quiet: bool) -> Cleaned | str:
        """What was done, or what it waits for."""
        removed: dict[str, int] = {}

        def tell(store: str, count: int) -> None:
            removed[store] = removed.get(store, 0) + count
            if not is_quiet and sys.stderr.isatty():
                self.stderr.write(f"\r{tenant.slug}: {removed[store]:,} {store} ", ending="")

        try:
            return retention_apply(tenant_id=tenant.id, now=now, progress=tell)
        except RetentionPostponed as error:
            return str(error)

    def _tell(self, slug: str, done: Cleaned | str, *, is_dry_run: bool) -> None:
        if isinstance(done, str):
            self.stdout.write(self.style.WARNING(f"{slug}: nothing was deleted: {done}"))
            return
        gone, kept = done.floors.gone_before, done.floors.kept_from
        if kept is None:
            self.stdout.write(f"{slug}: everything is kept")
            return
        verb = "would go" if is_dry_run else "went"
        what = [f"{count:,} {store}" for store, count in done.rows.items()]
        what += [f"months {', '.join(done.months)}"] if done.months else []
        what += [f"{done.pieces} pieces of the lake"] if done.pieces else []
        since = f"none before {gone.isoformat()}" if gone else "all but some names"
        self.stdout.write(
            f"{slug}: {', '.join(what) or 'nothing'} {verb}; events kept: {since}, all from {kept.isoformat()}"
        )
