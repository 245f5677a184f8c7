"""Runs waiting jobs without Celery, for hosts that have no worker, and for tests."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from analytics.jobs import run_due


class Command(BaseCommand):
    help = "Run every job that is due, one after the other, and end."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", action="append", help="only jobs of this kind (may be repeated)")
        parser.add_argument("--limit", type=int, help="at most so many")

    def handle(self, *args: Any, **options: Any) -> None:
        count = run_due(only=options["kind"], limit=options["limit"])
        self.stdout.write(f"{count} jobs run.")
