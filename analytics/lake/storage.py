"""Where the files lie: a local folder, or object storage through fsspec with a bounded cache on this machine.

Paths are made of numbers and random ids (`t7/2026/03/02/00-24-0197….events.parquet`), never of what a user typed. The
tenant's folder is the only one its engine may open.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

from django.conf import settings

from analytics.durable import folder_ensure, sync_folder, write_synced
from analytics.failpoints import failpoint
from analytics.lake.errors import LakeFileBroken, LakeTaken
from analytics.lake.parquet import Content, checksum
from analytics.sealing import installation

TEMPORARY: Final = ".tmp-"
OWNER: Final = "installation"


class Storage(Protocol):
    """Holds files that never change: they are put, read and removed."""

    def folder(self, tenant_id: int) -> Path:
        """The local folder below which every path of `local` lies."""

    def put(self, path: str, content: Content) -> None:
        """Durable and whole when it returns; not there, or of no use to anybody, when it does not."""

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError."""

    def local(self, path: str, size: int, digest: str) -> str:
        """Where an engine on this machine may open it. Raises LakeFileBroken when it is missing or has another size."""

    def remove(self, path: str) -> bool:
        """False when it was not there."""

    def claim(self, owner: str) -> str:
        """Who this lake belongs to: `owner`, unless somebody was here before."""

    def listing(self, tenant_id: int) -> Iterator[tuple[str, float]]:
        """Every file of the tenant with the time of its making (seconds since 1970), temporary ones too."""


def tenant_folder(tenant_id: int) -> str:
    return f"t{int(tenant_id)}"


class LocalStorage:
    """A folder. Written as: temporary name, fsync, rename, fsync of the folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, tenant_id: int) -> Path:
        return self._root / tenant_folder(tenant_id)

    def put(self, path: str, content: Content) -> None:
        target = self._root / path
        folder_ensure(target.parent)
        temporary = target.with_name(f"{TEMPORARY}{uuid4().hex}")
        try:
            with temporary.open("wb") as file:
                file.write(content.data)
                failpoint("seal.after_write")
                file.flush()
                os.fsync(file.fileno())
            failpoint("seal.after_fsync")
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        failpoint("seal.after_rename")
        sync_folder(target.parent)
        failpoint("seal.after_folder_fsync")

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def local(self, path: str, size: int, digest: str) -> str:
        target = self._root / path
        try:
            found = target.stat().st_size
        except FileNotFoundError:
            raise LakeFileBroken(f"{path} is missing") from None
        if found != size:
            raise LakeFileBroken(f"{path} has {found} bytes instead of {size}")
        return str(target)

    def remove(self, path: str) -> bool:
        try:
            (self._root / path).unlink()
        except FileNotFoundError:
            return False
        return True

    def claim(self, owner: str) -> str:
        record = self._root / OWNER
        if not record.exists():
            folder_ensure(self._root)
            temporary = record.with_name(f"{TEMPORARY}{uuid4().hex}")
            write_synced(temporary, owner.encode("ascii"))  # an empty one after a power cut would shut us out for good
            try:
                os.link(temporary, record)  # fails where two claim at once and one was quicker
            except FileExistsError:
                pass
            temporary.unlink()
            sync_folder(self._root)
        return record.read_text(encoding="ascii")

    def listing(self, tenant_id: int) -> Iterator[tuple[str, float]]:
        for folder, _, names in os.walk(self.folder(tenant_id)):
            for name in names:
                file = Path(folder) / name
                try:
                    yield str(file.relative_to(self._root)), file.stat().st_mtime
                except FileNotFoundError:
                    continue


class ObjectStorage:
    """A bucket through fsspec. A put is whole or not there by itself; engines read copies from the cache."""

    def __init__(self, url: str, cache: Path, limit: int) -> None:
        import fsspec

        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")
        self._cache = LocalStorage(cache)
        self._folder, self._limit = cache, limit

    def folder(self, tenant_id: int) -> Path:
        return self._cache.folder(tenant_id)

    def put(self, path: str, content: Content) -> None:
        self._fs.pipe_file(f"{self._root}/{path}", content.data.to_pybytes())
        failpoint("seal.after_rename")

    def read(self, path: str) -> bytes:
        found: bytes = self._fs.cat_file(f"{self._root}/{path}")
        return found

    def local(self, path: str, size: int, digest: str) -> str:
        try:
            found = self._cache.local(path, size, digest)
            os.utime(found)
        except (LakeFileBroken, FileNotFoundError):
            self._fetch(path, digest)
            found = self._cache.local(path, size, digest)
        return found

    def _fetch(self, path: str, digest: str) -> None:
        try:
            data = self.read(path)
        except FileNotFoundError:
            raise LakeFileBroken(f"{path} is missing") from None
        if checksum(data) != digest:
            raise LakeFileBroken(f"{path} is damaged")
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{TEMPORARY}{uuid4().hex}")
        write_synced(temporary, data)  # after a power cut only its size is looked at
        temporary.rename(target)
        self._shrink(keep=str(target))

    def _shrink(self, keep: str) -> None:
        """Let go of what was used longest ago. Who still reads it asks again and fetches it anew."""
        with _shrinking:
            files = [(file, file.stat()) for file in self._folder.rglob("*.parquet")]
            total = sum(stat.st_size for _, stat in files)
            for file, stat in sorted(files, key=lambda each: each[1].st_mtime):
                if total <= self._limit:
                    break
                if str(file) != keep:
                    file.unlink(missing_ok=True)
                    total -= stat.st_size

    def remove(self, path: str) -> bool:
        self._cache.remove(path)
        try:
            self._fs.rm_file(f"{self._root}/{path}")
        except FileNotFoundError:
            return False
        return True

    def claim(self, owner: str) -> str:
        try:
            return self.read(OWNER).decode("ascii")
        except FileNotFoundError:
            self._fs.pipe_file(f"{self._root}/{OWNER}", owner.encode("ascii"))
            return owner

    def listing(self, tenant_id: int) -> Iterator[tuple[str, float]]:
        self._fs.invalidate_cache()
        found: dict[str, dict[str, Any]] = self._fs.find(f"{self._root}/{tenant_folder(tenant_id)}", detail=True)
        for name, info in found.items():
            made = info.get("LastModified") or info.get("mtime") or info.get("created") or time.time()
            seconds = made.timestamp() if isinstance(made, datetime) else float(made)
            yield name.removeprefix(f"{self._root}/"), seconds


_shrinking = threading.Lock()


def lake_storage() -> Storage:
    """What ANALYTICS_LAKE_URL names."""
    url = settings.ANALYTICS_LAKE_URL
    scheme, found, _ = url.partition("://")
    if not found or scheme == "file":
        return LocalStorage(Path(url.removeprefix("file://")))
    return ObjectStorage(url, Path(settings.BELLWETHER_HOME) / "lake-cache", settings.ANALYTICS_LAKE_CACHE_BYTES)


def own_storage() -> Storage:
    """The lake, for whoever writes or removes: tenants of two installations have the same numbers, and one would remove
    the files of the other. Raises LakeTaken.
    """
    storage = lake_storage()
    url, own = str(settings.ANALYTICS_LAKE_URL), installation()
    if (url, own) not in _claimed:
        if storage.claim(own) != own:
            raise LakeTaken(
                f"The lake at {url} belongs to another installation: set ANALYTICS_LAKE_URL to a place of its own. "
                "(If this one was restored with a new FIELD_ENCRYPTION_KEY, remove the file `installation` there.)"
            )
        _claimed.add((url, own))
    return storage


_claimed: set[tuple[str, str]] = set()
