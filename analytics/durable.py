"""Files that are still there after a power cut: bytes are safe after an fsync of the file, names after the folder's.

Neither follows from the other, and a folder that was just made is itself only a name in the folder above.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["folder_ensure", "sync_folder", "sync_tree", "write_synced", "write_whole"]

REMEMBERED: Final = 10_000
_safe: set[Path] = set()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def folder_ensure(folder: Path, *, mode: int = 0o777) -> None:
    """The folder is there, and so it will be: its name is safe, and those of all folders that lead to it.

    Each process makes sure once, of folders that were there before too: whoever made one may have died before its name
    was safe.
    """
    if folder.parent == folder or (folder in _safe and folder.is_dir()):
        return
    folder_ensure(folder.parent)
    folder.mkdir(mode=mode, exist_ok=True)
    with suppress(PermissionError):  # folders far above may be closed to us; whoever made them had to see to them
        sync_folder(folder.parent)
    if len(_safe) >= REMEMBERED:
        _safe.clear()
    _safe.add(folder)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file whose bytes are safe; its name is not yet."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that appears whole or not at all, and stays; nobody but `mode` allows can ever open it."""
    fresh = path.with_name(f".new-{path.name}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_tree(folder: Path) -> None:
    """Make everything below a folder safe, bytes and names."""
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names):
            if not path.is_symlink():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        sync_folder(Path(place))
