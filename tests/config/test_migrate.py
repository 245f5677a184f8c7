"""A migration that cannot have its table lets go before anybody's events stand still, and is repeated."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from analytics.models import Tenant
from tests.conftest import ROOT

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = ("bellwether_kpis", "0008")
"""What takes a table away that refers to tenants, and therefore needs the table of tenants for itself."""


@pytest.fixture
def environment(database_urls: dict[str, str], redis_url: str, test_home: Path) -> Iterator[dict[str, str]]:
    home = {"BELLWETHER_HOME": str(test_home), "REDIS_URL": redis_url}
    environment = {**os.environ, **database_urls, **home, "DJANGO_SETTINGS_MODULE": "config.settings"}
    yield environment
    done = migrate(environment)  # whatever became of the test, the next one finds all tables
    assert done.returncode == 0, done.stderr


def migrate(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "migrate", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def waiting(admin: psycopg.Connection[tuple[object, ...]]) -> int:
    row = admin.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'bw_tenant'::regclass"
    ).fetchone()
    assert row
    return int(str(row[0]))


def test_a_migration_waits_less_than_a_second_and_nobody_longer_behind_it(
    acme: Tenant, globex: Tenant, environment: dict[str, str]
) -> None:
    owner = environment["DATABASE_OWNER_URL"]
    with psycopg.connect(owner, autocommit=True) as reader, psycopg.connect(owner) as backup:
        backup.execute("SELECT count(*) FROM bw_tenant")  # its transaction stays open
        migration = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", *BEFORE],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while not waiting(reader) and migration.poll() is None:
            time.sleep(0.01)
        began = time.monotonic()
        reader.execute("SELECT count(*) FROM bw_tenant")
        behind = time.monotonic() - began
        _, told = migration.communicate(timeout=60)
        assert migration.returncode == 1
        assert "A table is in use by a transaction that did not end within 900 ms" in told
        assert "Traceback" not in told
        assert behind < 5  # it is 0.9 s; without a limit it would be the length of the backup
        assert reader.execute("SELECT to_regclass('bw_metric_threshold') IS NOT NULL").fetchone() == (True,)
        backup.rollback()
        assert migrate(environment, *BEFORE).returncode == 0
        assert reader.execute("SELECT to_regclass('bw_metric_threshold') IS NOT NULL").fetchone() == (False,)


def test_the_limit_is_a_setting(acme: Tenant, globex: Tenant, environment: dict[str, str]) -> None:
    with psycopg.connect(environment["DATABASE_OWNER_URL"]) as backup:
        backup.execute("SELECT count(*) FROM bw_tenant")
        done = migrate({**environment, "MIGRATE_LOCK_TIMEOUT_MS": "100"}, *BEFORE)
        assert done.returncode == 1
        assert "did not end within 100 ms" in done.stderr
