"""Django's migrate, as the owner of the tables."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import connections

from config.schedule import schedule_apply


class Command(DjangoMigrate):
    help = "Updates the database's tables as role owner, then makes the coming partitions and beat's schedule."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if not (options["plan"] or options["check_unapplied"]):
            self._ensure_partitions(options["database"])
            self._apply_schedule(options["database"])

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
