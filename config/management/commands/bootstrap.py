"""From an empty database to a product with an administrator, keys and demo data."""

from __future__ import annotations

import io
import logging
import os
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config.backup.unfinished import refuse_half_restored
from config.first_run import TENANT, first_run, has_events


class Command(BaseCommand):
    help = "Sets up roles, tables, static files, the administrator, the demo tenant and its keys. May be run again."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="leave the demo tenant without events")
        parser.add_argument("--upgrade", action="store_true", help="only what another version needs, of one that runs")
        parser.add_argument(
            "--url", default=f"http://{settings.HOST}:{settings.PORT}", help="where the product will answer"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refuse_half_restored()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        logging.getLogger("bellwether.slow").setLevel(logging.ERROR)  # demo data are long statements by nature
        if not os.environ.get("DATABASE_URL"):
            with self.step("database roles"):
                call_command("setup_roles", verbosity=0)
        with self.step("tables"):
            call_command("migrate", verbosity=0, interactive=False)
        with self.step("static files"):
            call_command("collectstatic", verbosity=0, interactive=False)
        with self.step("compiled code"):  # else the first funnel would wait for it
            for module in ("analytics.lake.compiled", "kpis.funnels.compiled"):
                import_module(module)
        if options["upgrade"]:
            return
        with self.step("administrator, tenant and keys"):
            first_run(home=settings.BELLWETHER_HOME, url=options["url"])
        if not options["no_demo"]:
            self._demo(settings.BELLWETHER_HOME / "demo.begun")

    def _demo(self, begun: Path) -> None:
        """Once, into an empty tenant; a demo that was cut short is continued, because its seed tells the same story."""
        if begun.exists() or not has_events(TENANT):
            with self.step("demo data"):
                begun.touch()
                call_command("demo", seed=7, tenant=TENANT, verbosity=0, stdout=io.StringIO())
                begun.unlink()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.stdout.write(f"   {name} …", ending="")
        self.stdout.flush()
        begun = time.monotonic()
        yield
        self.stdout.write(f" {time.monotonic() - begun:.1f} s")
