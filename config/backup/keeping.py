"""The folder that backups are kept in: which of them are whole, what a killed one left, and which are too old."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from config.backup.contents import MANIFEST, Contents, contents_read
from config.backup.errors import BackupError
from config.supervise import Lock

UNFINISHED: Final = ".unfinished-"
REMOVING: Final = ".removing-"


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole backup."""

    folder: Path
    contents: Contents


def kept_in(parent: Path) -> list[Kept]:
    """Whole backups, newest first. What cannot be read is none of them."""
    found = []
    for folder in parent.iterdir() if parent.is_dir() else ():
        if not folder.name.startswith(".") and (folder / MANIFEST).exists():
            try:
                found.append(Kept(folder, contents_read(folder)))
            except BackupError:
                continue  # another product's, or damaged: it is neither linked to nor removed
    return sorted(found, key=lambda each: each.contents.taken_at, reverse=True)


def unfinished_in(parent: Path) -> list[Path]:
    """What killed runs left."""
    return sorted(parent.glob(f"{UNFINISHED}*")) if parent.is_dir() else []


def chosen(folder: Path) -> Path:
    """The backup that is meant: the folder itself, or the newest whole one in it. Raises BackupError."""
    if (folder / MANIFEST).exists():
        return folder
    if not folder.is_dir():
        raise BackupError(f"There is no folder {folder}.")
    if kept := kept_in(folder):
        return kept[0].folder
    raise BackupError(f"{folder} is no backup, and there is none in it: name a folder that `backup` made.")


def too_old(parent: Path, *, keep: int, installation: str) -> list[Kept]:
    """Backups of this installation beyond the newest `keep`."""
    return [each for each in kept_in(parent) if each.contents.installation == installation][keep:]


def remove(folder: Path) -> None:
    """First no backup any more, then gone: one that is half deleted is never taken for a whole one."""
    going = folder.with_name(f"{REMOVING}{folder.name.removeprefix('.')}")
    if not folder.name.startswith(REMOVING):
        folder.rename(going)
    shutil.rmtree(going)


def clear(parent: Path) -> None:
    """Remove what killed runs left."""
    for folder in [*unfinished_in(parent), *parent.glob(f"{REMOVING}*")]:
        shutil.rmtree(folder)


def free_name(parent: Path, taken_at: datetime) -> Path:
    """Where a backup of that instant goes."""
    name, number = f"{taken_at:%Y-%m-%dT%H%M%SZ}", 1
    while (parent / name).exists():
        number += 1
        name = f"{taken_at:%Y-%m-%dT%H%M%SZ}-{number}"
    return parent / name


@contextmanager
def one_at_a_time(path: Path, what: str) -> Iterator[None]:
    """Raises BackupError when another process is at it. The lock goes with its process."""
    lock = Lock(path)
    if not lock.acquire():
        raise BackupError(f"Another {what} is at work ({path}).")
    try:
        yield
    finally:
        lock.release()
