"""What the import commands share: options, the tenant, the report in words, errors without a traceback."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, cast
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from django.utils import timezone

from analytics.access.services import AccessError, tenant_create
from analytics.capture.importer import ImportReport, file_check, file_import
from analytics.contracts import CapturedEvent, Outcome, TenantInfo
from analytics.loading import history_loading
from analytics.tenancy import UnknownTenant, tenant_by_slug

from .mapping import LoadedMapping, load_mapping
from .problems import ImportProblem
from .progress import ShownProgress

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
INTERRUPTED = 130


class ImportCommand(BaseCommand):
    """A subclass names its mapping, or leaves it to `--mapping`, and whether it makes a tenant that is not there."""

    mapping_name: str | None = None
    makes_tenant = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="CSV, JSON lines or Parquet; the text kinds also as .gz")
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        if self.mapping_name is None:
            parser.add_argument("--mapping", required=True, type=Path, help="a YAML file, or the name of one of ours")
            parser.add_argument("--create-tenant", action="store_true", help="make the tenant if it is not there")
            parser.add_argument("--zone", help="of a tenant that is made; the mapping's, else UTC")
            parser.add_argument("--currency", help="base currency of a tenant that is made; the mapping's if left out")
        parser.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")
        parser.add_argument("--resume", action="store_true", help="go on after the last committed line")

    def handle(self, *args: Any, **options: Any) -> None:
        counted, now = "", timezone.now()
        try:
            loaded = load_mapping(self.mapping_path(options))
            tenant = self.tenant_of(options, loaded, now)
            with nullcontext() if options["dry_run"] else history_loading(tenant.id):
                report = self.run_import(tenant, loaded, options, now)
                if not options["dry_run"]:
                    counted = self.count_up(tenant, report)
        except (ImportProblem, AccessError, UnknownTenant) as error:
            raise CommandError(str(error)) from None
        except OperationalError as error:
            message = f"PostgreSQL cannot be reached ({str(error).splitlines()[0]})"
            remedy = "start it (bin/up does) or check DATABASE_URL; then run the same command with --resume"
            raise CommandError(f"{message}. Remedy: {remedy}.") from None
        except KeyboardInterrupt:
            message = "Interrupted. What is stored stays; run the same command with --resume to go on."
            raise CommandError(message, returncode=INTERRUPTED) from None
        if options["verbosity"] > 0:
            self.stdout.write("\n".join(filter(None, [*told(report, options, tenant.zone), counted])))

    def count_up(self, tenant: TenantInfo, report: ImportReport) -> str:
        """What an app above does with the events that came, in words; the roll-ups live there."""
        return ""

    def run_import(
        self, tenant: TenantInfo, loaded: LoadedMapping, options: dict[str, Any], now: datetime
    ) -> ImportReport:
        """The import, with a progress bar on a terminal."""
        progress = ShownProgress(cast("TextIO", self.stderr._out)) if options["verbosity"] > 0 else None
        return file_import(
            tenant=tenant, path=options["file"], loaded=loaded, now=now,
            dry_run=options["dry_run"], resume=options["resume"], progress=progress,
        )  # fmt: skip

    def mapping_path(self, options: dict[str, Any]) -> Path:
        """A path, or the bare name of a mapping that comes with the product."""
        if self.mapping_name is not None:
            return MAPPINGS / f"{self.mapping_name}.yaml"
        given: Path = options["mapping"]
        ours = MAPPINGS / f"{given.name.removesuffix('.yaml')}.yaml"
        return ours if not given.exists() and given.parent == Path() and ours.exists() else given

    def tenant_of(self, options: dict[str, Any], loaded: LoadedMapping, now: datetime) -> TenantInfo:
        """The tenant; made only after mapping and file were found usable, and not in a dry run."""
        slug, mapping = options["tenant"], loaded.mapping
        try:
            return tenant_by_slug(slug)
        except UnknownTenant as error:
            if not (self.makes_tenant or options.get("create_tenant")):
                hint = "" if self.makes_tenant else " --create-tenant makes it on the way."
                raise CommandError(f"{error}{hint}") from None
        zone = options.get("zone") or mapping.zone or "UTC"
        currency = (options.get("currency") or mapping.currency or "").upper()
        if not currency:
            raise CommandError(f"The tenant {slug} is to be made: say its base currency with --currency.")
        future = TenantInfo(id=0, slug=slug, zone=zone, base_currency=currency)
        if options["dry_run"]:
            return future
        file_check(tenant=future, path=options["file"], loaded=loaded, now=now)
        tenant_create(slug=slug, name=slug, zone=zone, base_currency=currency)
        return tenant_by_slug(slug)


def told(report: ImportReport, options: dict[str, Any], zone: str) -> list[str]:
    """The report in words."""
    verb = "Plan for" if options["dry_run"] else "Imported"
    speed = f"{report.seconds:,.1f} s, {report.rows / max(report.seconds, 0.001):,.0f} lines/s"
    lines = [f"{verb} {options['file'].name} into {options['tenant']}: {report.rows:,} rows ({speed})."]
    if report.resumed_after:
        lines.append(f"Went on after line {report.resumed_after:,}.")
    lines += [f"  {name:<28} {count:>12,}" for name, count in sorted(report.names.items(), key=lambda item: -item[1])]
    if report.skipped:
        lines.append(f"  {'(skipped by the mapping)':<28} {report.skipped:>12,}")
    if report.start and report.end:
        ends = (
            moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S") for moment in (report.start, report.end)
        )
        lines.append(f"From {' to '.join(ends)} ({zone}).")
    if options["dry_run"]:
        lines += ["First events:", *(f"  {shown_event(event)}" for event in report.first_events)]
    else:
        counts = (f"{outcome} {report.outcomes[outcome]:,}" for outcome in Outcome)
        lines.append(f"Outcomes: {', '.join(counts)}.")
    if report.reasons:
        lines.append("Problems: " + ", ".join(f"{reason} {count:,}" for reason, count in report.reasons.most_common()))
        lines += [f"  {problem}" for problem in report.problems]
    if options["dry_run"]:
        lines.append("Nothing was written.")
    return lines


def shown_event(event: CapturedEvent) -> str:
    """One event of a plan, without what is empty."""
    money = f" {event.amount} minor units {event.currency}" if event.amount is not None else ""
    user = f" user {event.distinct_id}" if event.distinct_id else ""
    thing = f" {event.object_type} {event.object_id}" if event.object_id else ""
    return f"{event.timestamp:%Y-%m-%dT%H:%M:%SZ} {event.name} {event.event_id}{user}{thing}{money} {event.properties}"
