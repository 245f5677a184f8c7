"""Erases again in a restored product, and looks it over, in a process of its own:

python -m config.backup.proof BACKUP DAYS|all

Prints lines of JSON: `told` (progress), and at last one object with `is_walled` (tenants are kept apart), `not_erased`
(whoever is back) and `problems` in words, and what was looked at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import django
from django.core.management import call_command

from config.backup.errors import Told


def proof(backup: Path, days: int | None, *, told: Told) -> dict[str, Any]:
    """Tables brought up to this version, walls, keys, erasures, the lake's files, and roll-ups of the last `days`."""
    from django.utils import timezone

    from analytics.cache.status import cache_clear
    from analytics.lake.check import findings
    from analytics.rotation import WrongOrder, digests_check
    from analytics.tenancy import tenants
    from config.backup.contents import contents_read, migrations_known
    from config.backup.erasing import erase_again

    if set(contents_read(backup).migrations) != migrations_known():
        call_command("migrate", verbosity=0, interactive=False)
    walls = list(_gaps())
    problems = [*walls]
    try:
        digests_check()
    except WrongOrder as error:
        problems.append(f"{error}")
    pieces = compared = 0
    now = timezone.now()
    erased = erase_again(now=now, told=told, settle_seconds=0)  # nothing else has started
    problems += [f"{part} still holds something of an erased person; a job tries it again" for part in erased.waiting]
    for tenant in tenants():
        for _, problem in findings(tenant.id):
            pieces += 1
            if problem:
                problems.append(f"{tenant.slug}: {problem}; `manage.py lake verify --repair` seals it anew")
        first = _first_day(tenant, days)
        if first is not None:
            compared += 1
            differing = _differing(tenant.id, first if days is not None else None, now)
            if differing:
                problems.append(f"{tenant.slug}: {len(differing)} cells of roll-ups differ, first {differing[0]}")
    if not cache_clear(tenant_id=None):  # what it remembers is of other data, and of whoever was erased
        problems.append("Redis is away and may hold answers of before: `manage.py cache clear --all` when it is back")
    return {
        "is_walled": not walls,
        "not_erased": erased.not_erased,
        "problems": problems,
        "erased_again": erased.people,
        "ids_erased_again": erased.ids,
        "pieces": pieces,
        "tenants_compared": compared,
    }


def _gaps() -> Iterator[str]:
    """What would let one tenant see another."""
    from analytics.rls import role_problems
    from config.boot import ALIASES
    from config.doctor.database import UNGUARDED
    from config.figures import query

    for alias in ALIASES:
        yield from role_problems(alias)
    for (table,) in query(UNGUARDED):
        yield f"table {table} is not guarded by row-level security"


def _first_day(tenant: Any, days: int | None) -> Any:
    """The local day from which on roll-ups are compared; None when there is no event."""
    from analytics.models import Event
    from analytics.tenancy import tenant_context

    with tenant_context(tenant.id):
        newest = Event.objects.filter(tenant_id=tenant.id).order_by("-ts").values_list("ts", flat=True).first()
    if newest is None:
        return None
    return newest.astimezone(ZoneInfo(tenant.zone)).date() - timedelta(days=(days or 1) - 1)


def _differing(tenant_id: int, first: Any, now: Any) -> list[str]:
    from kpis.rollup.check import check_tenant

    return list(check_tenant(tenant_id, first=first, end=None, refresh=True, now=now))


def main() -> None:
    django.setup()
    backup, days = sys.argv[1:]
    found = proof(Path(backup), None if days == "all" else int(days), told=_tell)
    sys.stdout.write(json.dumps(found) + "\n")


def _tell(stage: str, done: int, total: int) -> None:
    sys.stdout.write(json.dumps({"told": [stage, done, total]}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
