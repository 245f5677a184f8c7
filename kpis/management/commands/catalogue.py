"""Writes the page of every metric and standard event."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kpis.page import PAGE, catalogue_page


class Command(BaseCommand):
    help = "Writes kpis/CATALOGUE.md from the declarations; with --check only says whether it is up to date (exit 1)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        page = catalogue_page()
        is_same = PAGE.exists() and PAGE.read_text() == page
        if options["check"] and not is_same:
            raise CommandError("kpis/CATALOGUE.md is not what the declarations say: run `manage.py catalogue`")
        if not is_same:
            PAGE.write_text(page)
        self.stdout.write("kpis/CATALOGUE.md is up to date")
