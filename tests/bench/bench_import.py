"""How fast a file becomes counted events: `python tests/bench/bench_import.py FILE [--mapping online_retail]`.

Needs a migrated database (DATABASE_URL and friends). Makes a tenant of its own and leaves it there.
Prints JSON: lines a second from the first byte to the last COMMIT, seconds until the roll-ups answer, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
import uuid
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main() -> None:
    django.setup()
    from django.utils import timezone

    from analytics.access.services import tenant_create
    from analytics.capture.importer import file_import
    from analytics.capture.importing.command import MAPPINGS
    from analytics.capture.importing.mapping import load_mapping
    from analytics.tenancy import tenant_by_slug
    from kpis.management.commands.import_events import Command

    arguments = parsed()
    loaded = load_mapping(MAPPINGS / f"{arguments.mapping}.yaml")
    slug = f"bench-{uuid.uuid4().hex[:8]}"
    zone, currency = loaded.mapping.zone or "UTC", loaded.mapping.currency or "EUR"
    tenant_create(slug=slug, name=slug, zone=zone, base_currency=currency)
    tenant = tenant_by_slug(slug)
    for run in ("first", "second"):
        report = file_import(tenant=tenant, path=arguments.file, loaded=loaded, now=timezone.now())
        begun = time.perf_counter()
        Command().count_up(tenant, report)
        counted = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        figures = {
            "run": run,
            "lines": report.rows,
            "outcomes": report.outcomes,
            "seconds": round(report.seconds, 1),
            "lines_per_second": round(report.rows / report.seconds),
            "count_seconds": round(counted, 1),
            "peak_mib": peak,
        }
        print(json.dumps(figures), flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--mapping", default="online_retail")
    return parser.parse_args()


if __name__ == "__main__":
    main()
