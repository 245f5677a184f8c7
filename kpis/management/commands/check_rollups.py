"""Proves that a tenant's buckets and sessions equal a recompute from its events (R3)."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.management.days import day
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenants
from kpis.rollup.check import check_tenant
from kpis.rollup.frozen import countable_from


class Command(BaseCommand):
    help = "Compare all buckets with a recompute, both ways. Ends with 1 and lists the cells when any differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", help="the tenant's slug (default: every tenant)")
        parser.add_argument("--from", dest="first", type=day, help="first local day")
        parser.add_argument("--to", dest="end", type=day, help="the day after the last")
        parser.add_argument(
            "--no-refresh", action="store_true", help="compare as it is, without counting what is dirty first"
        )
        parser.add_argument("--limit", type=int, default=50, help="how many differing cells to list")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["first"] and options["end"] and options["end"] <= options["first"]:
            raise CommandError(f"--to {options['end']} must be later than --from {options['first']}.")
        try:
            chosen = [tenant_by_slug(options["tenant"])] if options["tenant"] else tenants()
        except UnknownTenant as error:
            raise CommandError(str(error)) from None
        report: dict[str, dict[str, Any]] = {}
        for tenant in chosen:
            found = check_tenant(
                tenant.id,
                first=options["first"],
                end=options["end"],
                refresh=not options["no_refresh"],
                now=timezone.now(),
            )
            report[tenant.slug] = {"differing": len(found), "cells": found[: options["limit"]]}
            if floor := countable_from(tenant_id=tenant.id):
                report[tenant.slug]["checked_from"] = floor.isoformat()
        differing = sum(entry["differing"] for entry in report.values())
        if options["json"]:
            self.stdout.write(json.dumps({"differing": differing, "tenants": report}))
        else:
            for slug, entry in report.items():
                self.stdout.write("\n".join([f"{slug}: {entry['differing']} differing cells", *entry["cells"]]))
                if "checked_from" in entry:
                    self.stdout.write(
                        f"{slug}: days before {entry['checked_from']} were not compared: their events are not kept"
                    )
        if differing:
            raise SystemExit(1)
