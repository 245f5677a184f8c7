"""The four database roles and what each starts with: PostgreSQL 15 and later, by a superuser or a managed admin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

OWNER, APP, INGEST, ERASURE = "bellwether_owner", "bellwether_app", "bellwether_ingest", "bellwether_erasure"
ROLES = (OWNER, APP, INGEST, ERASURE)
VARIABLES = {
    OWNER: "DATABASE_OWNER_URL",
    APP: "DATABASE_URL",
    INGEST: "DATABASE_INGEST_URL",
    ERASURE: "DATABASE_ERASURE_URL",
}
# Owners of nothing but the tables: row-level security binds each of them.
_ATTRIBUTES = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
_CREATED = "LOGIN NOCREATEDB NOCREATEROLE"  # all that an admin without SUPERUSER may say; the rest are defaults

Plan = Iterator[tuple[str, sql.Composed | sql.SQL]]


def roles_setup(*, admin_url: str, database: str, passwords: Mapping[str, str], dry_run: bool = False) -> list[str]:
    """Make the roles, the database and the default privileges; doing it again changes nothing.

    Roles that exist keep their password unless `passwords` names them. Returns what was done (or would be), in words.
    """
    done: list[str] = []
    with psycopg.connect(admin_url, autocommit=True) as admin:
        done += _apply(admin, _cluster_plan(admin, database, passwords), dry_run=dry_run)
        exists = _found(admin, "SELECT 1 FROM pg_database WHERE datname = %s", database)
    if not exists:  # a dry run of a first time
        return [*done, f"grant rights in database {database}"]
    with psycopg.connect(url_of(admin_url, database=database), autocommit=True) as inside:
        return done + _apply(inside, _database_plan(database), dry_run=dry_run)


def roles_missing(*, admin_url: str) -> list[str]:
    """Which of the four roles do not exist yet."""
    with psycopg.connect(admin_url) as admin:
        known = {
            name for (name,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
        }
    return [role for role in ROLES if role not in known]


def url_of(url: str, *, database: str, user: str | None = None, password: str | None = None) -> str:
    """The same server's address for another database, and another role if one is named."""
    parts = urlsplit(url)
    netloc = parts.netloc
    if user is not None:
        netloc = f"{user}:{quote(password or '', safe='')}@{netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{quote(database, safe='')}"))


def _apply(connection: psycopg.Connection[Any], plan: Plan, *, dry_run: bool) -> list[str]:
    done = []
    for words, statement in plan:
        if not dry_run:
            connection.execute(statement)
        done.append(words)
    return done


def _cluster_plan(admin: psycopg.Connection[Any], database: str, passwords: Mapping[str, str]) -> Plan:
    is_superuser = _found(admin, "SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper")
    for role in ROLES:
        name = sql.Identifier(role)
        if not _found(admin, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
            yield f"create role {role}", sql.SQL("CREATE ROLE {} " + _CREATED).format(name)
        if is_superuser:
            yield f"take special rights from {role}", sql.SQL("ALTER ROLE {} " + _ATTRIBUTES).format(name)
        if role in passwords:
            yield f"set password of {role}", _password(admin, role, passwords[role])
    if not is_superuser:
        # Only a member may hand a database to a role or set its default privileges.
        yield f"join {OWNER}", sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER))
    if not _found(admin, "SELECT 1 FROM pg_database WHERE datname = %s", database):
        create = "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'"
        yield f"create database {database}", sql.SQL(create).format(sql.Identifier(database), sql.Identifier(OWNER))


def _database_plan(database: str) -> Plan:
    base, owner, app = sql.Identifier(database), sql.Identifier(OWNER), sql.Identifier(APP)
    everyone = sql.SQL(", ").join(sql.Identifier(role) for role in ROLES)
    yield f"close database {database} to others", sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(base)
    # TEMPORARY: the writer copies batches into a staging table of its own session.
    yield "let the four roles in", sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(base, everyone)
    yield "nobody else makes tables", sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield f"{OWNER} makes tables", sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(owner)
    yield "the others use them", sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(everyone)
    default = "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT {} TO {}"
    for rights in ("SELECT, INSERT, UPDATE, DELETE ON TABLES", "USAGE, SELECT ON SEQUENCES"):
        yield f"{APP} gets {rights.lower()}", sql.SQL(default).format(owner, sql.SQL(rights), app)


def _password(admin: psycopg.Connection[Any], role: str, password: str) -> sql.Composed:
    """The verifier is computed here, so that the password itself never reaches a server's log."""
    verifier = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    return sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))


def _found(connection: psycopg.Connection[Any], query: str, *parameters: str) -> bool:
    return connection.execute(query, parameters).fetchone() is not None  # type: ignore[call-overload, no-any-return, unused-ignore]
