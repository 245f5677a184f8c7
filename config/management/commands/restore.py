"""`manage.py restore FOLDER`: makes this installation what a backup holds."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.backup.contents import Contents
from config.backup.erasures import Gathered, erasures_known
from config.backup.errors import BackupError
from config.backup.restoring import Order, Restored, restore_check, restore_run
from config.backup.server import services
from config.management.numbers import at_least_one, mebibytes
from config.management.progress import Line


class Command(BaseCommand):
    help = (
        "Checks every file of a backup, then puts it into this empty installation (--replace: in the place of what is "
        "there), and looks the result over. Stop the product first. It may be killed and run again."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="a backup, or a folder of backups: the newest whole one")
        parser.add_argument("--replace", action="store_true", help="give up what this installation holds")
        parser.add_argument("--yes", action="store_true", help="with --replace: do not ask")
        parser.add_argument("--check", action="store_true", help="count all roll-ups again afterwards, not two days")
        parser.add_argument(
            "--erased",
            action="append",
            default=[],
            type=Path,
            metavar="FILE",
            help="a log of erasures that was kept elsewhere (ANALYTICS_ERASED_LOG of the lost home); may be repeated",
        )
        parser.add_argument(
            "--jobs", type=at_least_one, default=min(4, os.cpu_count() or 1), help="processes that write"
        )
        parser.add_argument(
            "--admin-url",
            default="",
            metavar="URL",
            help="postgresql://… of the server's admin (or DATABASE_ADMIN_URL)",
        )
        parser.add_argument("--dry-run", action="store_true", help="check the backup only; write nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        line = Line()
        try:
            if options["dry_run"]:
                backup, contents = restore_check(options["folder"].absolute(), told=line)
                known = erasures_known(backup, contents, options["erased"])
                self._tell_checked(backup, contents, known, as_json=options["json"])
                return
            order = Order(
                folder=options["folder"].absolute(),
                admin_url=options["admin_url"],
                replace=options["replace"] and self._is_meant(is_sure=options["yes"]),
                jobs=options["jobs"],
                sample_days=None if options["check"] else 2,
                erased=tuple(options["erased"]),
            )
            with services():
                restored = restore_run(order, told=line)
        except BackupError as error:
            raise CommandError(str(error)) from None
        except (psycopg.Error, OSError) as error:
            raise CommandError(f"It stopped: {error}\nMend that, then run the same command again.") from None
        finally:
            line.end()
        self._tell(restored, as_json=options["json"])
        if restored.problems:
            raise CommandError("Restored, but not all is well:\n" + "\n".join(restored.problems))

    def _is_meant(self, *, is_sure: bool) -> bool:
        """Somebody types the word, or has said so beforehand."""
        if is_sure:
            return True
        if not sys.stdin.isatty():
            raise CommandError("--replace gives up what is there: say --yes where nobody can be asked.")
        self.stdout.write(f"Everything in {settings.BELLWETHER_HOME}, its database and its lake is given up.")
        if input("Type `replace` to go on: ").strip() != "replace":
            raise CommandError("Nothing was changed.")
        return True

    def _tell_checked(self, backup: Path, contents: Contents, known: Gathered, *, as_json: bool) -> None:
        since = known.since(contents.taken_at)
        if as_json:
            told = {"dry_run": True, "folder": str(backup), **_figures(contents), "ids_erased_since": since}
            self.stdout.write(json.dumps({**told, "erasures_unread": list(known.unread)}))
            return
        self.stdout.write(
            f"{backup} is whole: {len(contents.files):,} files, {mebibytes(contents.bytes)}, {_until(contents)}.\n"
            f"{since:,} ids were erased since, as the logs of erasures tell; they would be erased again."
        )
        self._tell_unread(known.unread)
        self.stdout.write("Nothing was written.")

    def _tell(self, restored: Restored, *, as_json: bool) -> None:
        contents, checked = restored.contents, restored.checked
        if as_json:
            told = {**_figures(contents), "seconds": round(restored.seconds, 2), **checked}
            told |= {"erasures_unread": list(restored.unread), "problems": list(restored.problems)}
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(f"Restored in {restored.seconds:.1f} s: {_until(contents)}")
        for slug, events in contents.events.items():
            self.stdout.write(f"  {slug}: {events:,} events")
        self.stdout.write(
            f"  {len(contents.rows)} tables, {sum(contents.rows.values()):,} rows, as many as were saved\n"
            f"  {len(contents.lake):,} files of the lake in {checked['pieces']} pieces, looked at "
            f"like roles, walls and "
            f"roll-ups of {checked['tenants_compared']} tenants: {len(restored.problems)} problems\n"
            f"  erased again: {checked['erased_again']:,} people, who were known by some of "
            f"{checked['ids_erased_again']:,} ids that were erased since"
        )
        self._tell_unread(restored.unread)
        self.stdout.write(
            "What came later is not in it: send later events again. Erasures are unknown only if the log of this home, "
            "the database that was here and every later backup are lost (--erased FILE brings a log from elsewhere)."
        )

    def _tell_unread(self, unread: Sequence[str]) -> None:
        for source in unread:
            self.stdout.write(f"  it may lack erasures: {source}")


def _until(contents: Contents) -> str:
    return f"every event acknowledged before {contents.taken_at:%Y-%m-%d %H:%M:%S.%f} UTC"


def _figures(contents: Contents) -> dict[str, Any]:
    return {
        "taken_at": contents.taken_at.isoformat(),
        "newest_event_at": contents.newest_event_at.isoformat() if contents.newest_event_at else None,
        "bytes": contents.bytes,
        "events": contents.events,
        "lake_files": len(contents.lake),
        "has_secrets": contents.has_secrets,
    }
