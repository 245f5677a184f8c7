"""Lists and makes the monthly partitions of the event store."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.management.days import day
from analytics.partitions import MONTHS_AHEAD, month_after, partitions_between, partitions_ensure, partitions_list


class Command(BaseCommand):
    help = (
        "`partitions ensure` makes missing months (rows of theirs move out of the default partition); `list` shows all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["ensure", "list"])
        parser.add_argument("--from", dest="first", type=day, help="a day of the first month")
        parser.add_argument(
            "--to", dest="end", type=day, help="the day after the last (default: the end of that month)"
        )
        parser.add_argument("--ahead", type=int, default=MONTHS_AHEAD, help="months after the current one")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            for name, bounds, size, rows in partitions_list():
                self.stdout.write(f"{name:24} {bounds:80} {size / 2**20:10.1f} MiB  ~{max(rows, 0):,} rows")
            return
        first, end = options["first"], options["end"]
        if end and (first is None or end <= first):
            raise CommandError(f"--to {end} must be later than --from, which it needs.")
        if first:
            made = partitions_between(first, end or month_after(first))
        else:
            made = partitions_ensure(now=timezone.now(), ahead=options["ahead"])
        self.stdout.write(f"made: {', '.join(made) or 'none was missing'}")
