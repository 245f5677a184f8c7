"""Shared by the tests of backup and restore: something worth keeping, and a fingerprint of a whole database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from analytics.contracts import PersonChange
from analytics.models import Tenant
from analytics.privacy import erase_subject
from config.backup.server import admin_conninfo
from config.backup.snapshot import TABLES
from config.backup.taking import Taken, Wish, backup_take
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import NOON, event, write
from tests.analytics.lake.lakes import seal

ROOT = Path(__file__).resolve().parents[2]
ANN, BOB = "ann@example.org", "bob@example.org"


def two_days(tenant: Tenant) -> None:
    """Ann and others on two days, counted and sealed; Bob came and was erased."""
    ann = event(tenant, "ann-1", distinct_id=ANN, name="order_completed", sensitive={"phone": "+49 30 1"})
    ann.person = PersonChange(set={"email": ANN})
    others = [event(tenant, f"e{n}", minute=n * 97, distinct_id=f"somebody-{n % 4}") for n in range(20)]
    write(tenant, [ann, event(tenant, "bob-1", minute=3, distinct_id=BOB, sensitive={"email": BOB}), *others])
    count_and_seal(tenant)
    receipt = erase_subject(tenant_id=tenant.pk, distinct_id=BOB, now=NOON)
    assert receipt.is_complete
    count_and_seal(tenant)


def count_and_seal(tenant: Tenant) -> None:
    refresh_tenant(tenant.pk, now=NOON + timedelta(days=2))
    seal(tenant, now=NOON + timedelta(days=2))


def save(parent: Path, **wishes: Any) -> Taken:
    return backup_take(Wish(parent, **wishes), admin_conninfo())


def fingerprint(connection: psycopg.Connection[Any]) -> dict[str, tuple[int, int]]:
    """Of every table: its rows, and a sum over the text of each that no order changes."""
    found = {}
    for table, _ in connection.execute(TABLES).fetchall():
        query = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {} t"
        row = connection.execute(sql.SQL(query).format(sql.Identifier(table))).fetchone()
        assert row is not None
        found[table] = (int(row[0]), int(row[1]))
    return found


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def manage(home: Path, *arguments: str, failpoint: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py` of an installation in that home."""
    return run(home, ["manage.py", *arguments], {"ANALYTICS_FAILPOINT": failpoint, **environment})


def python(home: Path, script: str, **environment: str) -> str:
    """What a script says that runs inside the installation."""
    done = run(home, ["-c", f"import django\ndjango.setup()\n{script}"], environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run(home: Path, command: Iterable[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    known = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "BELLWETHER_HOME": str(home), **environment}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=known, capture_output=True, text=True, check=False)
