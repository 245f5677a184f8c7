"""Django's migrate, as the owner of the tables."""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import OperationalError, connections

from config.schedule import schedule_apply


class Command(DjangoMigrate):
    help = "Updates the database's tables as role owner, then makes the coming partitions and beat's schedule."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._be_impatient(options["database"])
            super().handle(*args, **options)
            if not (options["plan"] or options["check_unapplied"]):
                self._ensure_partitions(options["database"])
                self._apply_schedule(options["database"])
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            raise CommandError(
                f"A table is in use by a transaction that did not end within {settings.MIGRATE_LOCK_TIMEOUT_MS} ms "
                "(MIGRATE_LOCK_TIMEOUT_MS). What was finished before stays, nothing else was changed, and capture did "
                "not wait: run the same again, later when a backup or a long question holds the table."
            ) from error

    def _be_impatient(self, database: str) -> None:
        """Whoever waits for a table keeps all that come after it waiting too: events would stand still with us."""
        with connections[database].cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{settings.MIGRATE_LOCK_TIMEOUT_MS}ms"])

    def _ensure_partitions(self, database: str) -> None:
        with connections[database].cursor() as cursor:
            cursor.execute("SELECT to_regprocedure('bw_partition_ensure(date)') IS NOT NULL")
            if cursor.fetchone()[0]:
                cursor.execute(
                    "SELECT bw_partition_ensure((date_trunc('month', now()) + make_interval(months => m))::date)"
                    " FROM generate_series(0, 3) m"
                )

    def _apply_schedule(self, database: str) -> None:
        """Once beat's own tables are there (a migration of one app alone may come before them)."""
        if "django_celery_beat_periodictask" in connections[database].introspection.table_names():
            schedule_apply(using=database)
