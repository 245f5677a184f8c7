"""Looks after the lake: what lies in it, whether it is whole, and making it anew."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.contracts import TenantInfo
from analytics.management.commands.seal import _tenants


class Command(BaseCommand):
    help = (
        "`status` tells what is sealed and what waits; `verify` reads every file and compares with PostgreSQL "
        "(`--repair` seals what is wrong anew); `rebuild` seals everything anew; `collect` removes files nobody needs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["status", "verify", "rebuild", "collect"])
        parser.add_argument("--tenant", help="slug; without it every tenant")
        parser.add_argument("--repair", action="store_true", help="with verify: seal what is wrong anew")

    def handle(self, *args: Any, **options: Any) -> None:
        action = {
            "status": self._status,
            "verify": self._repair if options["repair"] else self._verify,
            "rebuild": self._rebuild,
            "collect": self._collect,
        }[options["action"]]
        bad = sum(action(tenant) for tenant in _tenants(options["tenant"]))
        if bad:
            raise CommandError(
                f"{bad} pieces are not as they should be; `manage.py lake verify --repair` makes them anew."
            )

    def _status(self, tenant: TenantInfo) -> int:
        from analytics.lake.selectors import lake_status

        found = lake_status(tenant_id=tenant.id, now=timezone.now())
        self.stdout.write(
            f"{tenant.slug}: {found.pieces} pieces, {found.events:,} events, {found.bytes / 2**20:.1f} MiB "
            f"({found.typed_bytes / max(found.events, 1):.1f} typed bytes an event); {found.waiting_hours} hours wait; "
            f"complete through {found.data_through:%Y-%m-%d %H:%M:%S} UTC"
        )
        return 0

    def _verify(self, tenant: TenantInfo) -> int:
        from analytics.lake.check import findings

        bad = checked = 0
        for _, problem in findings(tenant.id):
            checked += 1
            if problem:
                bad += 1
                self.stdout.write(f"{tenant.slug}: {problem}")
        self.stdout.write(f"{tenant.slug}: {checked} pieces checked, {bad} wrong")
        return bad

    def _repair(self, tenant: TenantInfo) -> int:
        from analytics.lake.check import findings
        from analytics.lake.healing import heal

        for piece, problem in list(findings(tenant.id)):
            if problem:
                heal(tenant.id, piece)
                self.stdout.write(f"{tenant.slug}: {problem}: sealed anew")
        return self._verify(tenant)

    def _rebuild(self, tenant: TenantInfo) -> int:
        from analytics.lake.check import EVER
        from analytics.lake.sealing import seal_tenant
        from analytics.lake.services import lake_mark

        now = timezone.now()
        lake_mark(tenant_id=tenant.id, start=EVER[0], end=EVER[1], reason="rebuild", now=now)
        done = seal_tenant(tenant.id, now=now)
        self.stdout.write(f"{tenant.slug}: {done.pieces} pieces, {done.events:,} events sealed anew")
        return 0

    def _collect(self, tenant: TenantInfo) -> int:
        from analytics.lake.garbage import collect

        done = collect(tenant.id, now=timezone.now())
        self.stdout.write(f"{tenant.slug}: {done.retired} files of former pieces and {done.strays} strays removed")
        return 0
