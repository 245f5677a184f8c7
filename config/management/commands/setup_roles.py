"""Makes the database roles, the database and its rights from an admin's address."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import embedded
from config.roles import ROLES, VARIABLES, roles_missing, roles_setup, url_of


class Command(BaseCommand):
    help = "Makes the four database roles and the database, and prints their addresses. May be run again."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--admin-url", help="postgresql://… of an admin; without it, the embedded server's superuser"
        )
        parser.add_argument("--database", default=embedded.DATABASE, help="name of the database (default: %(default)s)")
        parser.add_argument("--new-passwords", action="store_true", help="also give roles that exist a new password")
        parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        given = options["admin_url"]
        admin_url = given or embedded.admin_url(settings.BELLWETHER_HOME)
        try:
            passwords = (
                self._passwords(admin_url, new=options["new_passwords"])
                if given
                else embedded.passwords(settings.BELLWETHER_HOME)
            )
            done = roles_setup(
                admin_url=admin_url, database=options["database"], passwords=passwords, dry_run=options["dry_run"]
            )
        except psycopg.Error as error:
            raise CommandError(f"The server refused: {error}") from error
        if options["verbosity"] > 1 or options["dry_run"]:
            self.stdout.write("\n".join(done))
        if given and not options["dry_run"]:
            self._print_urls(admin_url, options["database"], passwords)

    def _passwords(self, admin_url: str, *, new: bool) -> dict[str, str]:
        return {role: secrets.token_urlsafe(24) for role in (ROLES if new else roles_missing(admin_url=admin_url))}

    def _print_urls(self, admin_url: str, database: str, passwords: dict[str, str]) -> None:
        self.stdout.write("Put these into the environment; passwords are shown once:")
        for role in ROLES:
            shown = passwords.get(role, "<unchanged password>")
            url = (
                url_of(admin_url, database=database, user=role, password=shown)
                if role in passwords
                else f"({role} keeps its password)"
            )
            self.stdout.write(f"{VARIABLES[role]}={url}")
