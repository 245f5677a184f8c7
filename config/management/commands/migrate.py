"""Django's migrate, as the owner of the tables."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import connections


class Command(DjangoMigrate):
    help = "Updates the database's tables as role owner, then makes this month's and the next months' partitions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if not (options["plan"] or options["check_unapplied"]):
            self._ensure_partitions(options["database"])

    def _ensure_partitions(self, database: str) -> None:
        with connections[database].cursor() as cursor:
            cursor.execute("SELECT to_regprocedure('bw_partition_ensure(date)') IS NOT NULL")
            if cursor.fetchone()[0]:
                cursor.execute(
                    "SELECT bw_partition_ensure((date_trunc('month', now()) + make_interval(months => m))::date)"
                    " FROM generate_series(0, 3) m"
                )
