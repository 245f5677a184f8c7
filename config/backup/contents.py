"""`manifest.json` of a backup: what is in it, and the digest of every file. A folder without one is no backup."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec
from django.conf import settings
from django.db.migrations.loader import MigrationLoader

from analytics.durable import write_whole
from config.backup.errors import BackupError, Told, silently

PRODUCT: Final = "bellwether"
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SECRETS: Final = "secrets.json"
CREDENTIALS: Final = "credentials.json"
DATABASE: Final = "database"
LAKE: Final = "lake"
READERS: Final = 4  # hashing leaves the interpreter's lock alone


class Facts(msgspec.Struct, frozen=True):
    """What is known of a file. `digest` is BLAKE2b of 16 bytes in hex, as the lake's own manifest has it."""

    bytes: int
    digest: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds: every event that was acknowledged before `taken_at`, and none that was not by then.

    `rows` counts each table, `events` each tenant by its slug. `keys` are digests of FIELD_ENCRYPTION_KEY's keys in
    their order, `installation` is the name under which its lake is claimed.
    """

    product: str = PRODUCT
    format: int = FORMAT
    version: str
    taken_at: datetime
    newest_event_at: datetime | None
    postgres: int
    migrations: tuple[str, ...]
    keys: tuple[str, ...]
    installation: str
    rows: dict[str, int]
    events: dict[str, int]
    files: dict[str, Facts]

    @property
    def bytes(self) -> int:
        return sum(facts.bytes for facts in self.files.values())

    @property
    def has_secrets(self) -> bool:
        return SECRETS in self.files

    @property
    def lake(self) -> dict[str, Facts]:
        """The lake's files by their path in the lake."""
        prefix = f"{LAKE}/"
        return {name.removeprefix(prefix): facts for name, facts in self.files.items() if name.startswith(prefix)}


class _Sealed(msgspec.Struct):
    digest: str
    contents: msgspec.Raw


class _Head(msgspec.Struct):
    """What every format has, to be read before anything else is believed."""

    product: str
    format: int
    version: str


def contents_write(folder: Path, contents: Contents) -> None:
    """Make the folder's manifest, durably."""
    body = msgspec.json.format(msgspec.json.encode(contents), indent=1)
    text = b'{"digest": "%s",\n"contents": %s}\n' % (_digest(body).encode(), body)
    write_whole(folder / MANIFEST, text, mode=0o600)


def contents_read(folder: Path) -> Contents:
    """Raises BackupError for whatever is no whole backup of a version that this one understands."""
    path = folder / MANIFEST
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
    except FileNotFoundError:
        raise BackupError(f"{folder} is no backup: it has no {MANIFEST}. Name a folder that `backup` made.") from None
    except OSError as error:
        raise BackupError(f"{path} cannot be read ({error.strerror}).") from None
    except msgspec.DecodeError:
        raise BackupError(f"{path} is damaged, or not Bellwether's. Take another backup.") from None
    body = bytes(sealed.contents)
    if _digest(body) != sealed.digest:
        raise BackupError(f"{path} is damaged: its digest differs. Take another backup.")
    try:
        _refuse_foreign(folder, msgspec.json.decode(body, type=_Head))
        contents = msgspec.json.decode(body, type=Contents)
    except msgspec.DecodeError:
        raise BackupError(f"{path} does not say what a backup of Bellwether says.") from None
    if strange := [name for name in contents.files if not _is_inside(name)]:
        raise BackupError(f"{path} names files outside its folder ({strange[0]}): do not use this backup.")
    return contents


def _refuse_foreign(folder: Path, head: _Head) -> None:
    if head.product != PRODUCT:
        raise BackupError(f"{folder} is a backup of {head.product!r}, not of Bellwether.")
    if head.format > FORMAT or _numbers(head.version) > _numbers(product_version()):
        raise BackupError(
            f"{folder} was made by Bellwether {head.version}, this is {product_version()}: install {head.version} or "
            "later, then restore again."
        )


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def product_version() -> str:
    """The newest version of CHANGELOG.md."""
    found = re.search(r"^## (\d+(?:\.\d+)*) ", (settings.BASE_DIR / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def migrations_known() -> set[str]:
    """Every migration that this version could apply, as `app.name`."""
    return {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}


# --- Files ------------------------------------------------------------------------------------------------------------


def facts_of(path: Path) -> Facts:
    """Size and digest, from every byte of the file. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        return Facts(os.fstat(file.fileno()).st_size, digest)


def facts_below(folder: Path, *, told: Told = silently) -> dict[str, Facts]:
    """Each file below the folder by its path from there."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor(READERS) as pool:
        found = {}
        for name, facts in zip(names, pool.map(lambda name: facts_of(folder / name), names), strict=True):
            found[name] = facts
            told("digests", len(found), len(names))
    return found


def damaged(folder: Path, contents: Contents, *, told: Told = silently) -> Iterator[str]:
    """What is wrong with the files of a backup, each in words. Reads every byte."""
    names = list(contents.files)
    with ThreadPoolExecutor(READERS) as pool:
        problems = pool.map(lambda name: _problem(folder / name, contents.files[name]), names)
        for done, (name, problem) in enumerate(zip(names, problems, strict=True), 1):
            told("checking files", done, len(names))
            if problem:
                yield f"{name} {problem}"


def _problem(path: Path, expected: Facts) -> str:
    try:
        found = facts_of(path)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or type(error).__name__})"
    if found.bytes != expected.bytes:
        return f"has {found.bytes} bytes instead of {expected.bytes}"
    return "" if found.digest == expected.digest else "is damaged: its digest differs"


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
