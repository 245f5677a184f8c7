"""Roles and database from an admin's address."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command

from config import embedded
from config.roles import ROLES, roles_setup, url_of


@pytest.fixture
def server(django_db_setup: None, test_home: Path) -> str:
    return os.environ.get("BELLWETHER_TEST_ADMIN_URL") or embedded.admin_url(test_home)


@pytest.fixture
def database(server: str, worker_id: str) -> Iterator[str]:
    name = f"bellwether_roles_{worker_id}"
    yield name
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[call-overload, unused-ignore]


def test_a_dry_run_tells_the_plan_and_changes_nothing(server: str, database: str) -> None:
    said = io.StringIO()
    call_command("setup_roles", admin_url=server, database=database, dry_run=True, stdout=said)
    assert f"create database {database}" in said.getvalue()
    with psycopg.connect(server) as admin:
        assert admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is None


def test_roles_may_do_what_they_need_and_no_more(server: str, database: str, test_home: Path) -> None:
    known = embedded.passwords(test_home)
    for _ in range(2):  # doing it again changes nothing
        roles_setup(admin_url=server, database=database, passwords={})
    with psycopg.connect(url_of(server, database=database, user=ROLES[0], password=known[ROLES[0]])) as owner:
        owner.execute("CREATE TABLE thing (id serial PRIMARY KEY)")
    allowed = {}
    for role in ROLES[1:]:
        with psycopg.connect(url_of(server, database=database, user=role, password=known[role])) as connection:
            rows = connection.execute(
                "SELECT has_table_privilege('thing', 'INSERT'), has_sequence_privilege('thing_id_seq', 'USAGE'),"
                " has_schema_privilege('public', 'CREATE'), has_database_privilege(current_database(), 'TEMPORARY')"
            ).fetchall()
        allowed[role.removeprefix("bellwether_")] = rows
    nothing = [(False, False, False, True)]
    assert allowed == {"app": [(True, True, False, True)], "ingest": nothing, "erasure": nothing}


def test_a_password_that_is_not_asked_for_is_kept(server: str, database: str, test_home: Path) -> None:
    said = io.StringIO()
    call_command("setup_roles", admin_url=server, database=database, stdout=said)
    assert said.getvalue().count("keeps its password") == len(ROLES)
    app = ROLES[1]
    with psycopg.connect(
        url_of(server, database=database, user=app, password=embedded.passwords(test_home)[app])
    ) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (app,)
