"""Files that were sent to be imported: streamed to disk as they arrive, kept until their job has ended.

They lie below BELLWETHER_HOME/uploads/<tenant>/<id>/, for their owner only. Machines that share the work share that
folder too.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from rest_framework.exceptions import APIException

from analytics.durable import folder_ensure, sync_folder, write_synced
from analytics.ids import uuid7

from .mapping import MAX_MAPPING_BYTES

FORM_BYTES: Final = 1024 * 1024  # boundaries and fields around the file
KEPT: Final = timedelta(days=7)
MAPPING: Final = "mapping.yaml"


class UploadTooLarge(APIException):
    """More than the limit of one import."""

    status_code = 413
    default_code = "too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A file has at most {limit:,} bytes: send it in parts, or gzip it. (IMPORT_MAX_BYTES)")


class DiskFull(APIException):
    """There is no room for the file."""

    status_code = 507
    default_code = "disk_full"
    default_detail = "There is no room for the file on this server. Nothing was kept of it."


class HomeFile(UploadedFile):  # type: ignore[type-arg]  # Django's class takes none at run time
    """A file that was received whole; gone when it is closed, unless somebody has moved it."""

    def __init__(self, stream: Any, *, name: str | None, content_type: str | None, digest: str, size: int) -> None:
        super().__init__(file=stream, name=name, content_type=content_type, size=size)
        self.stream, self.digest = stream, digest

    @property
    def path(self) -> Path:
        """Where all of it lies."""
        self.stream.flush()
        return Path(self.stream.name)

    def close(self) -> None:
        with suppress(FileNotFoundError):
            super().close()


class HomeUpload(FileUploadHandler):
    """Writes each part of a form to disk as it comes, and stops at the limit."""

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._limit, self._taken = int(settings.IMPORT_MAX_BYTES), 0

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: str | None = None
    ) -> None:
        if content_length > self._limit + FORM_BYTES:
            raise UploadTooLarge(self._limit)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        folder = made(uploads_folder() / "arriving")
        # Closed by Django: with the request, or at once when reading it fails.
        self.file = NamedTemporaryFile(dir=folder)  # noqa: SIM115
        self._digest = blake2b(digest_size=16)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._taken += len(raw_data)
        if self._taken > self._limit:
            self.file.close()
            raise UploadTooLarge(self._limit)
        self._digest.update(raw_data)
        try:
            self.file.write(raw_data)
        except OSError:
            self.file.close()
            raise DiskFull from None

    def file_complete(self, file_size: int) -> HomeFile:
        self.file.seek(0)
        return HomeFile(
            self.file,
            name=self.file_name,
            content_type=self.content_type,
            digest=self._digest.hexdigest(),
            size=file_size,
        )


@dataclass(frozen=True, slots=True)
class Upload:
    """A kept file and its mapping."""

    folder: Path

    @property
    def data(self) -> Path:
        """The file itself; what it was called is in the job."""
        return self.folder / "data"

    @property
    def mapping(self) -> Path:
        return self.folder / MAPPING

    @property
    def exists(self) -> bool:
        return self.data.is_file() and self.mapping.is_file()

    def drop(self) -> None:
        """Delete both."""
        shutil.rmtree(self.folder, ignore_errors=True)


def uploads_folder() -> Path:
    """Where all of them lie."""
    return Path(settings.BELLWETHER_HOME) / "uploads"


def upload_of(tenant_id: int, id_: str) -> Upload:
    """The upload of that id, whether it is there or not."""
    return Upload(uploads_folder() / str(tenant_id) / str(UUID(id_)))


def upload_keep(tenant_id: int, file: HomeFile, mapping: bytes) -> tuple[str, Upload]:
    """Move a received file to its place, safe from a power cut; its new id and itself."""
    id_ = str(uuid7())
    upload = upload_of(tenant_id, id_)
    made(upload.folder)
    try:
        write_synced(upload.mapping, mapping[: MAX_MAPPING_BYTES + 1])
        received = file.path
        os.fsync(file.stream.fileno())
        received.replace(upload.data)
        sync_folder(upload.folder)
    except OSError:
        upload.drop()
        raise DiskFull from None
    return id_, upload


def uploads_sweep(tenant_id: int, *, active: set[str], older_than: timedelta = KEPT) -> int:
    """Delete uploads that no active job waits for and that have lain here for longer; how many. Real time decides."""
    limit, gone = time.time() - older_than.total_seconds(), 0
    for folder in (uploads_folder() / str(tenant_id)).glob("*"):
        if folder.name not in active and _made_before(folder, limit):
            Upload(folder).drop()
            gone += 1
    for file in (uploads_folder() / "arriving").glob("*"):  # of processes that were killed while receiving
        if _made_before(file, time.time() - KEPT.total_seconds()):
            file.unlink(missing_ok=True)
    return gone


def _made_before(path: Path, limit: float) -> bool:
    try:
        return path.stat().st_mtime <= limit
    except FileNotFoundError:
        return False


def made(folder: Path) -> Path:
    """The folder, for its owner only."""
    folder_ensure(folder, mode=0o700)
    return folder
