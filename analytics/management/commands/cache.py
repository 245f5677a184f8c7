"""Show how often the cache knew, or clear it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.cache.status import cache_clear, cache_status
from analytics.tenancy import UnknownTenant, tenant_by_slug


class Command(BaseCommand):
    help = "Show how often the cache knew the answer, or clear it for one tenant or for all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("status", "clear"))
        whose = parser.add_mutually_exclusive_group()
        whose.add_argument("--tenant", help="slug of the tenant to clear")
        whose.add_argument("--all", action="store_true", help="clear everybody's answers")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "clear":
            self._clear(options["tenant"], everybody=options["all"])
            return
        status = cache_status(now=timezone.now())
        if status.is_away:
            raise CommandError("Redis is away, so there are no figures.")
        for row in (*status.names, status.all):
            self.stdout.write(f"{row.name or 'all':<40} {row.total:>8} asked {row.percent:>3} % known")

    def _clear(self, slug: str | None, *, everybody: bool) -> None:
        if not slug and not everybody:
            raise CommandError("Say whose: --tenant SLUG, or --all.")
        try:
            is_done = cache_clear(tenant_id=None if slug is None else tenant_by_slug(slug).id)
        except UnknownTenant as error:
            raise CommandError(str(error)) from None
        if not is_done:
            raise CommandError("Redis is away: what is remembered there ends by itself within an hour.")
        self.stdout.write("Cleared. Every process follows within a second.")
