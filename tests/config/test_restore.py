"""What a backup holds comes back whole, into a new home or another server, or not at all."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from analytics.capture.outlet import outlet
from analytics.models import Tenant
from config import embedded
from config.backup import restoring, taking
from config.backup.erasures import refused_by
from config.backup.errors import BackupError
from config.backup.keeping import kept_in
from config.backup.restoring import Order, restore_run
from config.backup.snapshot import Snapshot
from config.backup.unfinished import note_path, note_write, refuse_half_restored
from config.roles import ROLES, VARIABLES, roles_setup, url_of
from tests.analytics.events import event, write
from tests.config.backups import ANN, BOB, count_and_seal, files_below, fingerprint, manage, python, save, two_days

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])

COUNTED_LATER = {"bw_bucket", "bw_session", "bw_dirty_mark", "bw_day_state", "django_session"}
WHO = f"""
from analytics.identity import person_of
from analytics.tenancy import tenant_by_slug
from config.boot import refuse_unbound_roles
refuse_unbound_roles()
def who(slug, name):
    try:
        found = person_of(tenant_id=tenant_by_slug(slug).id, distinct_id=name)
    except LookupError:
        return "unknown"
    return f"{{','.join(found.distinct_ids)}} {{found.traits}}"
for slug in ("acme", "globex"):
    print(slug, who(slug, "{ANN}"), "/", who(slug, "{BOB}"))
"""


@pytest.fixture
def shops(acme: Tenant, globex: Tenant, settings: Any, tmp_path: Path) -> tuple[Tenant, Tenant]:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    settings.ANALYTICS_SEAL_WORKERS = 1
    for tenant in (acme, globex):
        two_days(tenant)
    return acme, globex


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, tuple[int, int]]]:
    """Fingerprints of what each snapshot held, taken inside it."""
    found: list[dict[str, tuple[int, int]]] = []
    honest = taking._dumped

    def dumped(wish: Any, conninfo: str, staging: Path, snapshot: Snapshot, told: Any) -> Any:
        found.append(fingerprint(snapshot.connection))
        return honest(wish, conninfo, staging, snapshot, told)

    monkeypatch.setattr(taking, "_dumped", dumped)
    return found


class Busy(threading.Thread):
    """Events of both tenants, counted and sealed all the time."""

    def __init__(self, tenants: tuple[Tenant, ...]) -> None:
        super().__init__(daemon=True)
        self._tenants, self._enough = tenants, threading.Event()
        self.rounds = 0

    def run(self) -> None:
        while not self._enough.is_set():
            for tenant in self._tenants:
                write(tenant, [event(tenant, f"busy-{self.rounds}-{n}", minute=self.rounds + n) for n in range(20)])
                count_and_seal(tenant)
            self.rounds += 1
            self._enough.wait(0.3)  # a machine with few cores has to get on with the backup too
        connections.close_all()

    def __enter__(self) -> Busy:
        self.start()
        return self

    def __exit__(self, *caught: object) -> None:
        self._enough.set()
        self.join()


@pytest.mark.slow
def test_a_backup_of_a_busy_product_comes_back_as_it_was_though_its_restore_is_killed_again_and_again(
    shops: tuple[Tenant, Tenant], new_home: Path, tmp_path: Path, held: list[dict[str, tuple[int, int]]], settings: Any
) -> None:
    with Busy(shops) as busy:
        taken = save(tmp_path / "kept")
    assert busy.rounds > 0
    (expected,) = held
    assert {table: rows for table, (rows, _) in expected.items()} == taken.contents.rows
    kept = str(tmp_path / "kept")

    def killed(step: str) -> None:
        done = manage(new_home, "restore", kept, failpoint=f"{step}:kill:1")
        assert done.returncode == -9, done.stderr
        settings.BELLWETHER_HOME = new_home
        with pytest.raises(ImproperlyConfigured, match="has not come to its end"):
            refuse_half_restored()

    killed("restore.after_database")
    assert database(new_home, "bellwether_restoring") == expected
    killed("restore.after_farewell")
    with pytest.raises(CommandError, match="has not come to its end"):
        call_command("bootstrap", no_demo=True)
    killed("restore.after_switch")
    done = manage(new_home, "restore", kept, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["events"], told["problems"], told["tenants_compared"]) == (taken.contents.events, [], 2)
    assert not note_path().exists()
    refuse_half_restored()

    found = database(new_home, "bellwether")
    assert {table: found[table] for table in expected if not _is_counted_later(table)} == {
        table: mark for table, mark in expected.items() if not _is_counted_later(table)
    }
    assert files_below(new_home / "lake") == files_below(taken.folder / "lake")
    expected_people = [f"{slug} {ANN} {{'email': '{ANN}'}} / unknown" for slug in ("acme", "globex")]
    assert python(new_home, WHO).splitlines() == expected_people


def _is_counted_later(table: str) -> bool:
    """Work that was waiting at that moment has been done by the proof."""
    return any(table.startswith(name) for name in COUNTED_LATER)


def database(home: Path, name: str) -> dict[str, tuple[int, int]]:
    with psycopg.connect(embedded.admin_url(home, name)) as connection:
        return fingerprint(connection)


@pytest.mark.slow
def test_it_goes_to_a_given_server_by_an_admin_who_is_no_superuser(
    shops: tuple[Tenant, Tenant], new_home: Path, tmp_path: Path
) -> None:
    taken = save(tmp_path / "kept")
    root = embedded.admin_url(new_home)
    with psycopg.connect(root, autocommit=True) as server:
        server.execute("DROP ROLE IF EXISTS managed")
        server.execute("CREATE ROLE managed LOGIN CREATEDB CREATEROLE PASSWORD 'cloud'")
        for role in ROLES:
            server.execute(f"GRANT {role} TO managed WITH ADMIN OPTION")  # type: ignore[call-overload, unused-ignore]
    admin = url_of(root, database="postgres", user="managed", password="cloud")
    passwords = dict.fromkeys(ROLES, "given")
    roles_setup(admin_url=admin, database="shop", passwords=passwords)
    given = {VARIABLES[role]: url_of(root, database="shop", user=role, password="given") for role in ROLES}
    server_home = tmp_path / "third"
    environment = {**given, "REDIS_URL": embedded.urls(new_home)["REDIS_URL"], "DATABASE_ADMIN_URL": admin}

    with psycopg.connect(given["DATABASE_URL"]):
        company = manage(server_home, "restore", str(taken.folder), **environment)
    assert "1 sessions use the database (bellwether_app): stop the product (bin/up) first" in company.stderr
    powerless = manage(server_home, "restore", str(taken.folder), **{**environment, "DATABASE_ADMIN_URL": ""})
    assert "Say who may make databases: DATABASE_ADMIN_URL" in powerless.stderr
    done = manage(server_home, "restore", str(taken.folder), **environment)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(url_of(root, database="shop")) as connection:
        rows = {table: count for table, (count, _) in fingerprint(connection).items() if not _is_counted_later(table)}
    assert rows == {table: count for table, count in taken.contents.rows.items() if not _is_counted_later(table)}
    with psycopg.connect(url_of(root, database="shop", user="managed", password="cloud"), autocommit=True) as replaced:
        assert {tenant for tenant, _ in refused_by(replaced)} == {tenant.pk for tenant in shops}, "Bob of both"
    people = python(server_home, WHO, **environment).splitlines()
    assert people[0] == f"acme {ANN} {{'email': '{ANN}'}} / unknown"
    blind = manage(server_home, "backup", str(tmp_path / "blind"), **{**environment, "DATABASE_ADMIN_URL": ""})
    assert "Role 'bellwether_owner' is bound by row-level security" in blind.stderr
    assert kept_in(tmp_path / "blind") == []


def test_a_restore_into_what_is_in_use_or_not_empty_changes_nothing(
    shops: tuple[Tenant, Tenant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = save(tmp_path / "kept")
    connections.close_all()
    outlet.close()  # of tests before this one
    outlet.begin()
    order = Order(tmp_path / "kept")
    with pytest.raises(BackupError, match=r"not empty \(2 tenants, 0 accounts\)\. --replace"):
        restore_run(order)
    monkeypatch.setattr(restoring.Target, "_found", lambda self, admin: "")
    stray = next(iter(taken.contents.lake)).replace(".events.", ".other.")
    (tmp_path / "lake" / stray).write_bytes(b"another installation's")
    with pytest.raises(BackupError, match=r"The lake is not empty"):
        restore_run(order)
    (tmp_path / "lake" / "installation").write_text("somebody else")
    with pytest.raises(BackupError, match=r"belongs to another installation"):
        restore_run(order)
    with pytest.raises(CommandError, match="say --yes where nobody can be asked"):
        call_command("restore", str(tmp_path / "kept"), replace=True)
    assert not note_path().exists()
    assert (tmp_path / "lake" / stray).exists()


def test_the_note_of_a_restore_that_replaced_nothing_yet_says_how_to_go_back(settings: Any, tmp_path: Path) -> None:
    settings.BELLWETHER_HOME = tmp_path
    note_write(tmp_path / "backup", "preparing")
    with pytest.raises(ImproperlyConfigured, match=r"Nothing has been replaced yet: .* remove .*restore\.unfinished"):
        refuse_half_restored()
    note_write(tmp_path / "backup", "switching")
    with pytest.raises(ImproperlyConfigured, match=r"if it is still at work, wait\.$"):
        refuse_half_restored()
