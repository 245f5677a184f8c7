"""Takes a backup while the product runs. It may be killed anywhere and run again: what it had copied is used."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from django.conf import settings

from analytics.durable import sync_folder, write_whole
from analytics.failpoints import failpoint
from analytics.lake.parquet import checksum
from analytics.lake.storage import lake_storage
from analytics.sealing import installation
from config.backup.contents import (
    CREDENTIALS,
    DATABASE,
    LAKE,
    READERS,
    SECRETS,
    Contents,
    Facts,
    contents_write,
    facts_below,
    facts_of,
    product_version,
)
from config.backup.erasures import erasures_save
from config.backup.errors import BackupError, Told, silently
from config.backup.keeping import UNFINISHED, clear, free_name, kept_in, one_at_a_time, remove, too_old, unfinished_in
from config.backup.server import Program, ProgramFailed, in_database, programs_for, refuse_half_sighted
from config.backup.snapshot import Snapshot, lake_files, snapshot_held

TRIES: Final = 5
COMPRESSION: Final = "gzip:1"  # of nine: the others take times as long for a tenth less


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted: how many backups to keep (None: all), how many processes read the database."""

    parent: Path
    with_secrets: bool = True
    keep: int | None = None
    jobs: int = 2


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was just taken. `lake_linked` of its lake files are shared with the one before."""

    folder: Path
    contents: Contents
    lake_linked: int
    seconds: float
    removed: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: bytes of the database as it lies in the server, files of the lake, and what goes."""

    server: int
    program: Path
    database_bytes: int
    lake: int
    lake_new: int
    lake_new_bytes: int
    removed: tuple[Path, ...]


def backup_plan(wish: Wish, conninfo: str) -> Plan:
    """What `backup_take` would do; writes nothing. Raises BackupError for what would stop it."""
    kept = kept_in(wish.parent)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        refuse_half_sighted(connection)
        server = connection.info.server_version
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        named = lake_files(connection)
    held = kept[0].contents.lake if kept else {}
    new = [facts for path, facts in named.items() if held.get(path) != facts]
    going: tuple[Path, ...] = ()
    if wish.keep is not None:
        # One more will be there by then.
        going = tuple(each.folder for each in too_old(wish.parent, keep=wish.keep - 1, installation=installation()))
    size = int(row[0]) if row else 0
    return Plan(server, programs_for(server), size, len(named), len(new), sum(each.bytes for each in new), going)


def backup_take(wish: Wish, conninfo: str, *, told: Told = silently) -> Taken:
    """Everything as it was at one moment, in a new folder below `wish.parent`. `conninfo` has to see every row.

    Raises BackupError; then there is no new backup, and the former ones are as they were.
    """
    began = time.monotonic()
    wish.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with one_at_a_time(wish.parent / ".lock", "backup"):
        with psycopg.connect(conninfo, autocommit=True) as connection:
            refuse_half_sighted(connection)
        staging = _staging(wish.parent)
        copies = _LakeCopies(staging / LAKE, [*(each.folder for each in kept_in(wish.parent)[:1]), staging], told)
        # Most of the lake without a snapshot, which would hold up the cleaning of the database.
        with psycopg.connect(conninfo, autocommit=True) as connection:
            copies.take(lake_files(connection))
        failpoint("backup.after_first_files")
        contents = _consistent(wish, conninfo, staging, copies, told)
        contents = _with_files(contents, staging, wish, told)
        contents_write(staging, contents)
        failpoint("backup.after_manifest")
        for folder in (staging, *(path for path in staging.rglob("*") if path.is_dir())):
            sync_folder(folder)
        target = free_name(wish.parent, contents.taken_at.astimezone(UTC))
        staging.rename(target)
        failpoint("backup.after_rename")
        sync_folder(wish.parent)
        removed = _let_go(wish, contents.installation)
        return Taken(target, contents, copies.linked, time.monotonic() - began, removed)


def _staging(parent: Path) -> Path:
    """The unfinished backup of a killed run, as far as its lake files are of use, or a new one."""
    left = unfinished_in(parent)
    for folder in left[1:]:
        shutil.rmtree(folder)
    staging = left[0] if left else parent / f"{UNFINISHED}{os.getpid()}"
    staging.mkdir(mode=0o700, exist_ok=True)
    for path in staging.iterdir():
        if path.name != LAKE:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return staging


def _consistent(wish: Wish, conninfo: str, staging: Path, copies: _LakeCopies, told: Told) -> Contents:
    """The database and the lake's files of one and the same snapshot.

    A file that the snapshot names may be gone already, because somebody was erased or events were let go of: then the
    next snapshot names another one instead. Nothing that has to be forgotten is held for our sake.
    """
    gone: set[str] = set()
    for last in (*[False] * (TRIES - 1), True):
        with snapshot_held(conninfo) as held:
            missing = copies.take(held.lake_files())
            if still := missing & gone:
                raise BackupError(_lake_advice(f"{min(still)} is missing"))
            gone |= missing
            if missing:
                continue
            copies.keep_only(held.lake_files())
            failpoint("backup.after_lake")
            try:
                return _dumped(wish, conninfo, staging, held, told)
            except ProgramFailed as error:
                if last or not error.is_lock:
                    raise
                shutil.rmtree(staging / DATABASE, ignore_errors=True)
    raise BackupError("The lake changes too quickly to be copied: files were erased again and again. Try again later.")


def _dumped(wish: Wish, conninfo: str, staging: Path, held: Snapshot, told: Told) -> Contents:
    target = staging / DATABASE
    shutil.rmtree(target, ignore_errors=True)
    command = [
        str(programs_for(held.server) / "pg_dump"),
        "--format=directory",
        f"--file={target}",
        f"--jobs={wish.jobs}",
        f"--snapshot={held.id}",
        f"--compress={COMPRESSION}",
        "--lock-wait-timeout=60s",
        "--no-password",
    ]
    with Program(command, in_database(conninfo, held.connection.info.dbname)) as dump:
        counted = held.counted(told)  # of the same snapshot, while it is written
        failpoint("backup.while_dumping")
        dump.wait(lambda: told("database, MiB written", _bytes_below(target) >> 20, 0))
    erasures_save(staging, held.connection, installation())
    failpoint("backup.after_dump")
    return Contents(
        version=product_version(),
        taken_at=held.taken_at,
        newest_event_at=counted.newest_event_at,
        postgres=held.server,
        migrations=held.migrations(),
        keys=key_digests(settings.FIELD_ENCRYPTION_KEY),
        installation=installation(),
        rows=counted.rows,
        events=counted.events,
        files={},
    )


def _with_files(contents: Contents, staging: Path, wish: Wish, told: Told) -> Contents:
    """With the secrets written and every file's digest."""
    for name in (SECRETS, CREDENTIALS):
        (staging / name).unlink(missing_ok=True)
    if wish.with_secrets:
        own = {"SECRET_KEY": settings.SECRET_KEY, "FIELD_ENCRYPTION_KEY": settings.FIELD_ENCRYPTION_KEY}
        write_whole(staging / SECRETS, msgspec.json.format(msgspec.json.encode(own), indent=1), mode=0o600)
        credentials = Path(settings.BELLWETHER_HOME) / CREDENTIALS
        if credentials.exists():
            write_whole(staging / CREDENTIALS, credentials.read_bytes(), mode=0o600)
    return msgspec.structs.replace(contents, files=facts_below(staging, told=told))


def key_digests(secret: str) -> tuple[str, ...]:
    """What tells the keys of FIELD_ENCRYPTION_KEY apart without telling them."""
    keys = [part.strip() for part in secret.split(",") if part.strip()]
    return tuple(hashlib.blake2b(b"bellwether.backup:" + key.encode(), digest_size=8).hexdigest() for key in keys)


def _let_go(wish: Wish, own: str) -> tuple[Path, ...]:
    clear(wish.parent)
    if wish.keep is None:
        return ()
    going = [each.folder for each in too_old(wish.parent, keep=wish.keep, installation=own)]
    for folder in going:
        remove(folder)
    return tuple(going)


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0


def _lake_advice(problem: str) -> str:
    return f"The lake is not whole: {problem}. `manage.py lake verify --repair` makes it anew; then take the backup."


class _LakeCopies:
    """Copies of the lake's files, which never change: one that an earlier backup holds is linked, not copied."""

    def __init__(self, folder: Path, earlier: Sequence[Path], told: Told) -> None:
        self._folder, self._told = folder, told
        self._earlier = [each / LAKE for each in earlier]
        self._storage = lake_storage()
        self._have: set[str] = set()
        self.linked = 0

    def take(self, wanted: dict[str, Facts]) -> set[str]:
        """Have copies of these; which of them are no longer in the lake. Raises BackupError for a damaged one."""
        new = sorted(set(wanted) - self._have)
        gone: set[str] = set()
        with ThreadPoolExecutor(READERS) as pool:
            for done, (path, is_there) in enumerate(
                zip(new, pool.map(lambda path: self._copy(path, wanted[path]), new), strict=True), 1
            ):
                (self._have if is_there else gone).add(path)
                self._told("files of the lake", done, len(new))
        return gone

    def keep_only(self, wanted: dict[str, Facts]) -> None:
        """Let go of copies that only an earlier moment named, and of what a killed run left."""
        for path in list(self._folder.rglob("*")) if self._folder.exists() else []:
            if path.is_file() and path.relative_to(self._folder).as_posix() not in wanted:
                path.unlink()
        self._folder.mkdir(exist_ok=True)

    def _copy(self, path: str, facts: Facts) -> bool:
        target = self._folder / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._linked(path, facts, target):
            return True
        try:
            data = self._storage.read(path)
        except FileNotFoundError:
            return False
        if len(data) != facts.bytes or checksum(data) != facts.digest:
            raise BackupError(_lake_advice(f"{path} is damaged"))
        write_whole(target, data, mode=0o600)
        return True

    def _linked(self, path: str, facts: Facts, target: Path) -> bool:
        """Is it there by a link? Every byte is looked at first: a link to a damaged copy would be worth nothing."""
        for earlier in self._earlier:
            candidate = earlier / path
            try:
                if facts_of(candidate) != facts:
                    continue
                if candidate != target:
                    target.unlink(missing_ok=True)
                    os.link(candidate, target)
                    self.linked += 1
            except OSError:
                continue  # not there, or a file system without links: it is copied
            return True
        return False
