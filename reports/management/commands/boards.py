"""`manage.py boards`: dashboards as code. `export` writes a tenant's boards as YAML, `import` reads them back."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.contracts import TenantInfo
from analytics.tenancy import UnknownTenant, tenant_by_slug, tenant_context
from kpis.catalogue import Catalogue
from reports.boards.document import MAX_BYTES, YamlError, yaml_read, yaml_write
from reports.boards.draft import Draft, DraftError, draft_plain, draft_read
from reports.boards.selectors import Visitor, board_draft, boards_seen
from reports.boards.services import BoardError, board_import


class Command(BaseCommand):
    help = "Exports the team's boards of a tenant as YAML, or imports them: same title, same board."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["export", "import"])
        parser.add_argument("file", nargs="?", default="-", help="a YAML file; - is standard input or output")
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--board", default="", help="export the board of this title only")
        parser.add_argument("--dry-run", action="store_true", help="say what an import would do and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_by_slug(options["tenant"])
        except UnknownTenant as error:
            raise CommandError(str(error)) from None
        with tenant_context(tenant.id):
            if options["action"] == "export":
                self._export(tenant, options["file"], options["board"])
            else:
                self._import(tenant, options["file"], is_dry=options["dry_run"])

    def _export(self, tenant: TenantInfo, file: str, title: str) -> None:
        rows = boards_seen(visitor=_visitor(tenant))
        found = [draft_plain(board_draft(row)) for row in rows if title in ("", row.title)]
        if title and not found:
            raise CommandError(f"There is no board {title!r} for the team.")
        text = yaml_write(found)
        if file == "-":
            self.stdout.write(text, ending="")
        else:
            try:
                Path(file).write_text(text)
            except OSError as error:
                raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
            self.stderr.write(f"{len(found)} boards are in {file}.")

    def _import(self, tenant: TenantInfo, file: str, *, is_dry: bool) -> None:
        now, visitor = timezone.now(), _visitor(tenant)
        drafts = _read(tenant, file)
        titles = set(boards_seen(visitor=visitor).values_list("title", flat=True))
        for draft in drafts:
            if is_dry:
                self.stdout.write(f"would {'change' if draft.title in titles else 'make'} {draft.title!r}")
                continue
            try:
                row, is_new = board_import(visitor=visitor, draft=draft, now=now)
            except BoardError as error:
                raise CommandError(f"{draft.title}: {error}") from None
            self.stdout.write(f"{'made' if is_new else 'changed'} {row.title!r} (version {row.version})")


def _visitor(tenant: TenantInfo) -> Visitor:
    return Visitor(tenant.id, None, "command", may_edit=True)


def _read(tenant: TenantInfo, file: str) -> list[Draft]:
    """All boards of the file, or none: every mistake is told at once, with its line."""
    try:
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    metrics, now = frozenset(Catalogue(tenant.id)), timezone.now()
    drafts, mistakes = [], []
    try:
        for document in yaml_read(raw):
            try:
                drafts.append(draft_read(document.data, tenant=tenant, metrics=metrics, now=now))
            except DraftError as error:
                mistakes += [mistake.message for mistake in document.located(error)]
    except YamlError as error:
        raise CommandError(str(error)) from None
    if mistakes:
        raise CommandError("\n".join(mistakes))
    return drafts
