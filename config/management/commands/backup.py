"""`manage.py backup FOLDER`: the database, the lake's files and the secrets of one moment, while the product runs."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError

from config.backup.errors import BackupError
from config.backup.server import admin_conninfo, services
from config.backup.taking import Plan, Taken, Wish, backup_plan, backup_take
from config.management.numbers import at_least_one, mebibytes
from config.management.progress import Line


class Command(BaseCommand):
    help = (
        "Saves everything as it was at one moment into a new folder below FOLDER, while the product runs. Files of the "
        "lake that the backup before holds are linked. It may be killed and run again; only a whole one gets its name."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="where backups are kept; each gets a folder named by its time")
        parser.add_argument("--without-secrets", action="store_true", help="leave out the keys that open sealed fields")
        parser.add_argument("--keep", type=at_least_one, metavar="N", help="afterwards remove all but the newest N")
        parser.add_argument(
            "--jobs", type=at_least_one, default=2, help="processes that read the database (default: 2)"
        )
        parser.add_argument(
            "--admin-url", metavar="URL", help="postgresql://… of a role that sees every row (else DATABASE_ADMIN_URL)"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be saved and removed; write nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        wish = Wish(
            parent=options["folder"].absolute(),
            with_secrets=not options["without_secrets"],
            keep=options["keep"],
            jobs=options["jobs"],
        )
        line = Line()
        try:
            with services():
                conninfo = admin_conninfo(options["admin_url"])
                if options["dry_run"]:
                    self._tell_plan(backup_plan(wish, conninfo), as_json=options["json"])
                    return
                taken = backup_take(wish, conninfo, told=line)
        except BackupError as error:
            raise CommandError(str(error)) from None
        except psycopg.Error as error:
            raise CommandError(f"The database cannot be read: {error}") from None
        except OSError as error:
            raise CommandError(f"{error.filename or wish.parent}: {error.strerror}. There is no new backup.") from None
        finally:
            line.end()
        self._tell(taken, as_json=options["json"])

    def _tell_plan(self, plan: Plan, *, as_json: bool) -> None:
        going = [str(folder) for folder in plan.removed]
        if as_json:
            told = {"dry_run": True, "database_bytes": plan.database_bytes, "lake_files": plan.lake}
            self.stdout.write(json.dumps({**told, "lake_new_bytes": plan.lake_new_bytes, "removed": going}))
            return
        self.stdout.write(
            f"{mebibytes(plan.database_bytes)} of PostgreSQL {plan.server // 10_000} (much less when packed, by "
            f"{plan.program / 'pg_dump'})\n{plan.lake:,} files of the lake, of which {plan.lake_new:,} are new "
            f"({mebibytes(plan.lake_new_bytes)})"
        )
        for folder in going:
            self.stdout.write(f"{folder} would be removed")
        self.stdout.write("Nothing was written.")

    def _tell(self, taken: Taken, *, as_json: bool) -> None:
        contents = taken.contents
        if as_json:
            told = {
                "folder": str(taken.folder),
                "taken_at": contents.taken_at.isoformat(),
                "bytes": contents.bytes,
                "events": sum(contents.events.values()),
                "lake_files": len(contents.lake),
                "lake_linked": taken.lake_linked,
                "has_secrets": contents.has_secrets,
                "seconds": round(taken.seconds, 2),
                "removed": [str(folder) for folder in taken.removed],
            }
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(
            f"{taken.folder}\n"
            f"  every event acknowledged before {contents.taken_at:%Y-%m-%d %H:%M:%S.%f} UTC: "
            f"{sum(contents.events.values()):,} of {len(contents.events)} tenants\n"
            f"  {len(contents.rows)} tables, {sum(contents.rows.values()):,} rows; {len(contents.lake):,} files of "
            f"the lake, {taken.lake_linked:,} of them linked to the backup before\n"
            f"  {mebibytes(contents.bytes)} in {taken.seconds:.1f} s"
        )
        self.stdout.write(
            "  secrets.json (mode 600) opens the sealed fields: whoever holds this folder can read them"
            if contents.has_secrets
            else "  without secrets: keep FIELD_ENCRYPTION_KEY elsewhere, nobody can read sealed fields without it"
        )
        for folder in taken.removed:
            self.stdout.write(f"  {folder} removed")
