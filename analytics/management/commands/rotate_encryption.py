"""`manage.py rotate_encryption`: seal everything under the first key of FIELD_ENCRYPTION_KEY."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.rotation import WrongOrder, encryption_rotate
from analytics.sealing import keyring


class Command(BaseCommand):
    help = (
        "Seal sensitive fields again under the first key of FIELD_ENCRYPTION_KEY (new,…,old). Run it again if it was "
        "killed. Afterwards only the first and the last key are needed: the last one makes the digests of ids."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count what would be sealed again; write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        begun, said = time.monotonic(), 0.0

        def told(tenant: str, store: str, count: int) -> None:
            nonlocal said
            if options["verbosity"] > 0 and time.monotonic() - said > 1.0:
                said = time.monotonic()
                self.stderr.write(f"{tenant}: {store}, {count:,} so far")

        try:
            done = encryption_rotate(dry_run=options["dry_run"], told=told)
        except WrongOrder as error:
            raise CommandError(f"{error}. Nothing was changed.") from None
        verb = "to be sealed again" if options["dry_run"] else "sealed again"
        for name in sorted(done.changed | done.unreadable):
            unreadable = f", {done.unreadable[name]:,} that no key opens" if done.unreadable[name] else ""
            self.stdout.write(f"  {name:<14} {done.changed[name]:>12,} {verb}{unreadable}")
        total = done.changed.total()
        self.stdout.write(
            f"{total:,} values {verb} under the first of {len(keyring())} keys, {time.monotonic() - begun:.1f} s."
        )
