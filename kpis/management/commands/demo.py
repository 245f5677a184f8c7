"""Fills a tenant with a believable marketplace, and counts it."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections import Counter
from datetime import datetime
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.access.services import tenant_create
from analytics.contracts import TenantInfo
from analytics.demo.filling import plan_for, story_live, story_store
from analytics.demo.furnishing import furnish_enqueue
from analytics.demo.simulator import story
from analytics.demo.world import Plan
from analytics.loading import history_loading
from analytics.tenancy import UnknownTenant, tenant_by_slug
from kpis.rollup.refresh import refresh_tenant

WORTH_A_BACKFILL = 20_000
"""So many new events are counted faster by several processes that read whole days."""


class Command(BaseCommand):
    help = (
        "Simulates a marketplace with live events: the same seed gives the same events, so running it again only adds "
        "what has happened since. --live keeps telling the story as it happens."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", default="demo", help="slug; the tenant is made if it is not there")
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--days", type=int, default=90, help="how far back the story begins")
        parser.add_argument("--events", type=int, default=300_000, help="about how many events those days hold")
        parser.add_argument("--until", type=datetime.fromisoformat, help="end of the story (ISO, with offset); now")
        parser.add_argument("--live", action="store_true", help="go on telling, event by event, until interrupted")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be stored")

    def handle(self, *args: Any, **options: Any) -> None:
        until = options["until"] or timezone.now()
        if until.tzinfo is None or options["days"] < 1 or options["events"] < 1:
            raise CommandError("--until needs an offset (2026-11-21T10:00+01:00); --days and --events are at least 1")
        if options["dry_run"]:
            self._preview(options, until)
            return
        tenant = _tenant(options["tenant"])
        plan = plan_for(tenant, seed=options["seed"], days=options["days"], events=options["events"], until=until)
        with history_loading(tenant.id):
            self._store(plan, tenant, until)
        if options["live"]:
            self._live(plan, tenant, until)

    def _preview(self, options: dict[str, Any], until: datetime) -> None:
        zone = _zone(options["tenant"])
        start = Plan.first_day(zone, days=options["days"], until=until)
        plan = Plan(seed=options["seed"], start=start, zone=zone, days=options["days"], events=options["events"])
        names = Counter(message["event"] for day in story(plan, until) for _, message in day)
        self.stdout.write(f"{sum(names.values())} events from {plan.start} to {until:%Y-%m-%d %H:%M} would be stored:")
        for name, count in names.most_common():
            self.stdout.write(f"  {count:>8} {name}")

    def _store(self, plan: Plan, tenant: TenantInfo, until: datetime) -> None:
        begun = time.monotonic()
        outcomes = story_store(plan, tenant, until=until, on_progress=self._progress)
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "nothing yet"
        self.stdout.write(f"{tenant.slug}: {told} in {time.monotonic() - begun:.1f} s")
        begun = time.monotonic()
        if outcomes["stored"] > WORTH_A_BACKFILL:
            call_command("backfill", tenant=tenant.slug, stdout=StringIO())
        refresh_tenant(tenant.id, now=timezone.now())
        furnish_enqueue(tenant, plan, until=until)
        self.stdout.write(f"{tenant.slug}: counted in {time.monotonic() - begun:.1f} s")

    def _live(self, plan: Plan, tenant: TenantInfo, since: datetime) -> None:
        self.stdout.write("Telling the story as it happens; Ctrl-C ends it.")
        try:
            story_live(plan, tenant, since=since, on_told=lambda name: self.stdout.write(name))
        except KeyboardInterrupt:
            self.stdout.write("The end, for now.")

    def _progress(self, done: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{done} events", ending="\r")


def _tenant(slug: str) -> TenantInfo:
    try:
        return tenant_by_slug(slug)
    except UnknownTenant:
        tenant_create(slug=slug, name="Demo market", zone="Europe/Paris", base_currency="EUR")
        return tenant_by_slug(slug)


def _zone(slug: str) -> str:
    try:
        return tenant_by_slug(slug).zone
    except UnknownTenant:
        return "Europe/Paris"
