"""Makes an API key."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.access.services import AccessError, api_key_create
from analytics.tenancy import UnknownTenant, tenant_by_slug

MOST_DAYS = 3650


class Command(BaseCommand):
    help = "Make an API key and print its token, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="slug")
        parser.add_argument("--kind", choices=("pk", "sk"), required=True, help="pk sends events only; sk is secret")
        parser.add_argument("--name", default="command line", help="where the key is used")
        parser.add_argument("--scope", action="append", default=[], help="for sk; repeat it. Without: all of them")
        parser.add_argument("--days", type=_days, help="days until it expires; without: never")

    def handle(self, *args: Any, **options: Any) -> None:
        expires_at = timezone.now() + options["days"] if options["days"] else None
        try:
            tenant = tenant_by_slug(options["tenant"])
            _, token = api_key_create(
                tenant_id=tenant.id,
                kind=options["kind"],
                name=options["name"],
                scopes=options["scope"],
                expires_at=expires_at,
            )
        except (AccessError, UnknownTenant) as error:
            raise CommandError(str(error)) from error
        self.stderr.write("Keep this token: it is not stored and cannot be shown again.")
        self.stdout.write(token)


def _days(text: str) -> timedelta:
    """A key that has ended already, or a 0 that would mean "never", is nobody's wish."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_DAYS:
        raise ArgumentTypeError(f"{text!r} is no number of days from 1 to {MOST_DAYS}")
    return timedelta(days=int(text))
