"""Brings a backup back. Until it switches, a killed run has changed nothing that anybody reads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
from django.conf import settings
from django.db import connections
from psycopg import sql
from psycopg.conninfo import make_conninfo

from analytics.durable import write_whole
from analytics.erased import erased_log
from analytics.failpoints import failpoint
from analytics.lake.parquet import Content, checksum
from analytics.lake.storage import OWNER, TEMPORARY, Storage, lake_storage
from analytics.sealing import installation
from config import embedded
from config.backup.contents import (
    CREDENTIALS,
    DATABASE,
    LAKE,
    SECRETS,
    Contents,
    Facts,
    contents_read,
    damaged,
    migrations_known,
)
from config.backup.erasures import erasures_gather
from config.backup.errors import BackupError, Told, silently
from config.backup.keeping import chosen, one_at_a_time
from config.backup.server import (
    Program,
    admin_conninfo,
    database_name,
    in_database,
    is_embedded,
    programs_for,
    refuse_powerless,
)
from config.backup.snapshot import table_counts
from config.backup.taking import key_digests
from config.backup.unfinished import note_read, note_remove, note_write
from config.roles import roles_missing, roles_setup

LISTED: Final = 10
WALL: Final = re.compile(r"\d+; \d+ \d+ ROW SECURITY ")
# Quick, because the database is no one's yet: what makes it theirs is committed with everything before it.
OPTIONS: Final = "-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0 -c lock_timeout=0"


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted. `admin_url` is of an admin of the server ('' for the embedded one); `sample_days` of roll-ups are
    counted again afterwards, None for all of them. `erased` are logs of erasures that were kept elsewhere.
    """

    folder: Path
    admin_url: str = ""
    replace: bool = False
    jobs: int = 2
    sample_days: int | None = 2
    erased: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back. `problems` are what the proof found wrong, in words, `checked` what it looked at and whom it
    erased again; `unread` is what might have told of more erasures.
    """

    contents: Contents
    seconds: float
    problems: tuple[str, ...]
    checked: dict[str, Any]
    unread: tuple[str, ...]


def restore_check(folder: Path, *, told: Told = silently) -> tuple[Path, Contents]:
    """The backup that is meant, with every byte of it compared and nothing touched. Raises BackupError."""
    backup = chosen(folder)
    contents = contents_read(backup)
    if problems := list(damaged(backup, contents, told=told)):
        more = f"\n… and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise BackupError(
            f"{backup} is damaged; nothing was restored. Use another backup.\n" + "\n".join(problems[:LISTED]) + more
        )
    if unknown := sorted(set(contents.migrations) - migrations_known()):
        raise BackupError(
            f"{backup} has tables of a newer Bellwether ({contents.version}; migration {unknown[0]}): install that "
            "version, then restore again."
        )
    _refuse_wrong_keys(backup, contents)
    return backup, contents


def _refuse_wrong_keys(backup: Path, contents: Contents) -> None:
    given = os.environ.get("FIELD_ENCRYPTION_KEY", "")
    if contents.has_secrets and not given:
        known = key_digests(json.loads((backup / SECRETS).read_text())["FIELD_ENCRYPTION_KEY"])
    else:
        known = key_digests(settings.FIELD_ENCRYPTION_KEY)
    if set(contents.keys) <= set(known) and known[-1] == contents.keys[-1]:
        return
    where = f"it is in {backup / SECRETS}" if contents.has_secrets else "the backup was taken --without-secrets"
    raise BackupError(
        "FIELD_ENCRYPTION_KEY is not the one that sealed the backup's sensitive fields: nobody could read them. "
        f"Set it to that of the installation the backup is of ({where}), then restore again."
    )


def restore_run(order: Order, *, told: Told = silently) -> Restored:
    """Make this installation what the backup holds. May be killed anywhere and run again.

    Raises BackupError; as long as it was not switching, what was there before still is.
    """
    began = time.monotonic()
    home = Path(settings.BELLWETHER_HOME)
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    with one_at_a_time(home / "restore.lock", "restore"):
        backup, contents = restore_check(order.folder, told=told)
        target = Target.of(order, contents)
        note = note_read()
        # What a killed run has put here already is the backup itself.
        goes_on = note is not None and note.phase == "switching" and note.backup == str(backup)
        target.refuse_unfit(replace=order.replace or goes_on)
        note_write(backup, "preparing" if note is None else note.phase)
        # What a killed run was about to replace is in the log already; now there may be something else in its place.
        here = [] if note is not None and note.phase == "switching" else target.databases_here()
        gathered = erasures_gather(backup, contents, order.erased, here, told=told)
        failpoint("restore.after_gathering")
        target.put_lake(backup, told)
        failpoint("restore.after_lake")
        target.fill(backup, order.jobs, told)
        failpoint("restore.after_database")
        note_write(backup, "switching")
        target.switch(backup)
        checked = _proof(backup, order.sample_days, told)
        if not checked["is_walled"]:
            raise BackupError("Tenants are not walled off, so nothing starts:\n" + "\n".join(checked["problems"]))
        if remaining := checked.pop("not_erased"):
            raise BackupError(
                "Somebody who was erased is back, so nothing starts. Mend this, then run the same command again:\n"
                + "\n".join(remaining)
            )
        failpoint("restore.after_proof")
        note_remove()
        return Restored(contents, time.monotonic() - began, tuple(checked.pop("problems")), checked, gathered.unread)


@dataclass(frozen=True)
class Target:
    """This installation: its server, its database by name, its lake."""

    contents: Contents
    admin: str
    url: str
    name: str
    storage: Storage

    @classmethod
    def of(cls, order: Order, contents: Contents) -> Target:
        url = order.admin_url or settings.DATABASE_ADMIN_URL
        if not url:
            if not is_embedded():
                raise BackupError("Say who may make databases: DATABASE_ADMIN_URL, or --admin-url postgresql://…")
            url = embedded.admin_url(settings.BELLWETHER_HOME)
        return cls(contents, in_database(admin_conninfo(url), "postgres"), url, database_name(), lake_storage())

    @property
    def fresh(self) -> str:
        return f"{self.name}_restoring"

    @property
    def former(self) -> str:
        return f"{self.name}_replaced"

    # --- Before ---

    def refuse_unfit(self, *, replace: bool) -> None:
        """Raise BackupError unless everything can go here."""
        for alias in connections:
            connections[alias].close()
        with self._admin() as admin:
            refuse_powerless(admin)
            have, need = admin.info.server_version // 10_000, self.contents.postgres // 10_000
            if have < need:
                raise BackupError(f"The backup is of PostgreSQL {need}, this server is {have}: use {need} or later.")
            programs_for(max(admin.info.server_version, self.contents.postgres))
            if not is_embedded() and (missing := roles_missing(admin_url=self.url)):
                raise BackupError(
                    f"The server has no role {', '.join(missing)}: run `manage.py setup_roles --admin-url …`, put the "
                    "addresses that it prints into the environment, then restore again."
                )
            self._refuse_company(admin)
            found = self._found(admin)
        if found and not replace:
            raise BackupError(f"This installation is not empty ({found}). --replace puts the backup in its place.")
        self._refuse_foreign_lake(replace=replace)

    def _refuse_company(self, admin: psycopg.Connection[Any]) -> None:
        names = admin.execute(
            "SELECT coalesce(nullif(application_name, ''), usename::text) FROM pg_stat_activity"
            " WHERE datname = %s AND backend_type = 'client backend' ORDER BY 1",
            [self.name],
        ).fetchall()
        if names:
            who = ", ".join(sorted({name for (name,) in names}))
            raise BackupError(f"{len(names)} sessions use the database ({who}): stop the product (bin/up) first.")

    def _found(self, admin: psycopg.Connection[Any]) -> str:
        """What is here already, '' when nothing is."""
        if not self._exists(admin, self.name):
            return ""
        with psycopg.connect(in_database(self.admin, self.name)) as inside:
            if not _has_tables(inside):
                return ""
            tenants, accounts = (
                inside.execute("SELECT (SELECT count(*) FROM bw_tenants()), (SELECT count(*) FROM auth_user)")
            ).fetchone() or (0, 0)
        return f"{tenants} tenants, {accounts} accounts" if tenants or accounts else ""

    def _refuse_foreign_lake(self, *, replace: bool) -> None:
        owner = self._lake_owner()
        if owner not in ("", self.contents.installation, installation()):
            raise BackupError(
                f"The lake at {settings.ANALYTICS_LAKE_URL} belongs to another installation: set ANALYTICS_LAKE_URL to "
                "a place of its own."
            )
        if not replace and (strange := next(self._strays(self._tenants()), "")):
            raise BackupError(f"The lake is not empty ({strange}). --replace puts the backup in its place.")

    def _lake_owner(self) -> str:
        try:
            return self.storage.read(OWNER).decode("ascii")
        except FileNotFoundError:
            return ""

    def databases_here(self) -> list[str]:
        """Addresses of what is about to be replaced, if it is of the installation that the backup is of."""
        if self.contents.installation not in (installation(), self._lake_owner()):
            return []
        address = in_database(self.admin, self.name)
        with self._admin() as admin:
            if not self._exists(admin, self.name):
                return []
        with psycopg.connect(address) as inside:
            return [address] if _has_tables(inside) else []

    # --- Beside what is there ---

    def put_lake(self, backup: Path, told: Told) -> None:
        """Files that no manifest names yet; those of a killed run are used."""
        wanted = self.contents.lake
        for done, (path, facts) in enumerate(wanted.items(), 1):
            if not self._has(path, facts):
                data = (backup / LAKE / path).read_bytes()
                self.storage.put(path, Content(pa.py_buffer(data), facts.digest))
            told("files of the lake", done, len(wanted))

    def _has(self, path: str, facts: Facts) -> bool:
        try:
            found = self.storage.read(path)
        except FileNotFoundError:
            return False
        return len(found) == facts.bytes and checksum(found) == facts.digest

    def fill(self, backup: Path, jobs: int, told: Told) -> None:
        """A database of another name with everything in it.

        Row-level security is switched on last: foreign keys are checked as the owner, who is bound by it too, and so is
        an admin that counts rows without being a superuser.
        """
        with self._admin() as admin:
            self._drop(admin, self.fresh)
            server = admin.info.server_version
        known = embedded.passwords(settings.BELLWETHER_HOME) if is_embedded() else {}
        roles_setup(admin_url=self.url, database=self.fresh, passwords=known)
        inside = in_database(self.admin, self.fresh)
        program = programs_for(max(server, self.contents.postgres)) / "pg_restore"
        rest, walls = _parts(program, backup / DATABASE)
        self._run(program, backup, rest, jobs, told)
        with psycopg.connect(inside, autocommit=True, options=OPTIONS) as connection:
            told("statistics of the planner", 0, 0)
            connection.execute("ANALYZE")
            self._count(connection)
        self._run(program, backup, walls, 1, told)

    def _run(self, program: Path, backup: Path, entries: str, jobs: int, told: Told) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="bellwether-", suffix=".list") as wanted:
            wanted.write(entries)
            wanted.flush()
            command = [
                str(program),
                "--format=directory",
                f"--jobs={jobs}",
                "--exit-on-error",
                "--no-password",
                f"--use-list={wanted.name}",
                f"--dbname={make_conninfo(dbname=self.fresh)}",
                str(backup / DATABASE),
            ]
            inside = in_database(self.admin, self.fresh)
            with self._admin() as watch, Program(command, inside, options={"PGOPTIONS": OPTIONS}) as restore:
                failpoint("restore.while_filling")
                restore.wait(lambda: told("database, MiB restored", self._mebibytes(watch), 0))

    def _count(self, connection: psycopg.Connection[Any]) -> None:
        found = table_counts(connection)
        differing = [
            f"{table}: {found.get(table, 0)} rows instead of {rows}"
            for table, rows in self.contents.rows.items()
            if found.get(table, 0) != rows
        ]
        if differing:
            raise BackupError("The database is not as it was saved:\n" + "\n".join(differing[:LISTED]))

    def _mebibytes(self, admin: psycopg.Connection[Any]) -> int:
        row = admin.execute(
            "SELECT pg_database_size(oid) >> 20 FROM pg_database WHERE datname = %s", [self.fresh]
        ).fetchone()
        return int(row[0]) if row else 0

    # --- In its place ---

    def switch(self, backup: Path) -> None:
        """From here on only the backup's data are found; each step may be done again."""
        former_tenants = self._tenants()
        with self._admin() as admin:
            if self._exists(admin, self.name):
                self._drop(admin, self.former)
                self._rename(admin, self.name, self.former)
            failpoint("restore.after_farewell")
            if self._lake_owner() != self.contents.installation:
                self.storage.remove(OWNER)
                self.storage.claim(self.contents.installation)
            _secrets_put(backup, self.contents)
            failpoint("restore.after_secrets")
            self._rename(admin, self.fresh, self.name)
            failpoint("restore.after_switch")
            self._drop(admin, self.former)
        for path in list(self._strays(former_tenants)):
            self.storage.remove(path)

    def _tenants(self) -> set[int]:
        """Numbers of those whose files may lie in the lake: of the backup, and of what is here."""
        known = {int(path.split("/", 1)[0].removeprefix("t")) for path in self.contents.lake}
        with self._admin() as admin:
            for name in (self.name, self.former):
                if self._exists(admin, name):
                    with psycopg.connect(in_database(self.admin, name)) as inside:
                        if _has_tables(inside):
                            known |= {tenant for (tenant,) in inside.execute("SELECT id FROM bw_tenants()")}
        return known

    def _strays(self, tenants: set[int]) -> Iterator[str]:
        """Files of the lake that are not the backup's; not those that somebody was writing when it died."""
        for tenant in sorted(tenants):
            for path, _ in self.storage.listing(tenant):
                if path not in self.contents.lake and not Path(path).name.startswith(TEMPORARY):
                    yield path

    # --- Statements ---

    @contextmanager
    def _admin(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.admin, autocommit=True) as connection:
            yield connection

    def _exists(self, admin: psycopg.Connection[Any], name: str) -> bool:
        return admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None

    def _drop(self, admin: psycopg.Connection[Any], name: str) -> None:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _rename(self, admin: psycopg.Connection[Any], name: str, new: str) -> None:
        try:
            admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new)))
        except psycopg.errors.ObjectInUse as error:
            raise BackupError(f"{error.diag.message_primary}: stop the product (bin/up), then restore again.") from None


def _has_tables(inside: psycopg.Connection[Any]) -> bool:
    return inside.execute("SELECT to_regclass('public.bw_tenant') IS NOT NULL").fetchone() == (True,)


def _parts(program: Path, dump: Path) -> tuple[str, str]:
    """The list of what a dump holds, without and with only what switches row-level security on."""
    done = subprocess.run([str(program), "--list", str(dump)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupError(f"{dump} cannot be read:\n{done.stderr}")
    lines = [line for line in done.stdout.splitlines(keepends=True) if not line.startswith(";")]
    walls = [line for line in lines if WALL.match(line)]
    return "".join(line for line in lines if not WALL.match(line)), "".join(walls)


def _secrets_put(backup: Path, contents: Contents) -> None:
    """The keys of the backup, beside this home's own passwords of its servers."""
    home = Path(settings.BELLWETHER_HOME)
    is_given = all(os.environ.get(name) for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEY"))
    if contents.has_secrets and not is_given:
        known = {**embedded.secrets(home), **json.loads((backup / SECRETS).read_text())}
        write_whole(home / SECRETS, json.dumps(known, indent=1).encode(), mode=0o600)
    if CREDENTIALS in contents.files:
        write_whole(home / CREDENTIALS, (backup / CREDENTIALS).read_bytes(), mode=0o600)
    else:
        # They tell of keys and an administrator that are there no more.
        (home / CREDENTIALS).unlink(missing_ok=True)


def _proof(backup: Path, sample_days: int | None, told: Told) -> dict[str, Any]:
    """Erase again and look at the product as it would start now: another process, because ours has the former keys."""
    told("proof", 0, 0)
    days = "all" if sample_days is None else str(sample_days)
    with tempfile.TemporaryFile("w+", prefix="bellwether-") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.backup.proof", str(backup), days],
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "BELLWETHER_HOME": str(settings.BELLWETHER_HOME),
                "ANALYTICS_ERASED_LOG": str(erased_log()),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
        found: dict[str, Any] = {}
        with process as proof:
            for line in proof.stdout or ():
                if not line.startswith("{"):  # whatever else somebody's code prints
                    continue
                found = json.loads(line)
                if "told" in found:
                    told(*found["told"])
        if process.returncode:
            complaints.seek(0)
            raise BackupError(
                f"The restored product could not be looked at; nothing starts before it can:\n{complaints.read()}"
            )
    return found
