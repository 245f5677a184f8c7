"""Seals events into the lake: what is marked, or a range whatever its marks."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.management.days import day
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenants


class Command(BaseCommand):
    help = (
        "Seals marked hours into the lake. With --from and --to (UTC days, --to is not in it) that range is sealed "
        "anew, marked or not."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", help="slug; without it every tenant")
        parser.add_argument("--from", dest="first", type=day, help="first UTC day")
        parser.add_argument("--to", dest="end", type=day, help="the UTC day after the last")
        parser.add_argument("--workers", type=int, help="processes; default: ANALYTICS_SEAL_WORKERS")
        parser.add_argument("--dry-run", action="store_true", help="say what would be sealed")

    def handle(self, *args: Any, **options: Any) -> None:
        from analytics.lake.sealing import seal_tenant
        from analytics.lake.services import lake_due, lake_mark

        span = _span(options["first"], options["end"])
        now = timezone.now()
        for tenant in _tenants(options["tenant"]):
            if options["dry_run"]:
                hours, events = lake_due(tenant_id=tenant.id, now=now, span=span)
                self.stdout.write(f"{tenant.slug}: {hours} hours with {events:,} events would be sealed")
                continue
            if span is not None:
                lake_mark(tenant_id=tenant.id, start=span[0], end=span[1], reason="command", now=now)
            begun = time.perf_counter()
            start, end = span or (None, None)
            done = seal_tenant(tenant.id, now=now, start=start, end=end, workers=options["workers"])
            seconds = time.perf_counter() - begun
            self.stdout.write(
                f"{tenant.slug}: {done.pieces} pieces, {done.events:,} events, {done.bytes / 2**20:.1f} MiB "
                f"in {seconds:.1f} s"
            )


def _tenants(slug: str | None) -> list[Any]:
    try:
        return [tenant_by_slug(slug)] if slug else tenants()
    except UnknownTenant as error:
        raise CommandError(str(error)) from error


def _span(first: date | None, end: date | None) -> tuple[datetime, datetime] | None:
    if first is None and end is None:
        return None
    if first is None or end is None or first >= end:
        raise CommandError(
            "--from and --to belong together, and --to is the day after the last: March is --from 2026-03-01 "
            "--to 2026-04-01"
        )
    return _midnight(first), _midnight(end)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
