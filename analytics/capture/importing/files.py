"""The bytes of a file, plain or gzipped, read once and bounded: bombs, truncation and foreign formats end here."""

from __future__ import annotations

import hashlib
import io
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .problems import ImportProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 256 * 1024
# Of packed bytes at once: zlib copies what it did not use after every member, and a file may be nothing but members.
PACKED_CHUNK = 16 * 1024
MAX_EMPTY_MEMBERS = 1_000
GZIP_MAGIC = b"\x1f\x8b"
# A ratio says nothing about a small file: the first 64 MiB are always read.
FREE_BYTES = 64 * 1024**2
MAX_RATIO = 200
MAX_BYTES = 256 * 1024**3

# What people hand in by mistake, and what to do about it.
FOREIGN = {
    b"PK\x03\x04": ("this is a ZIP archive or an Excel workbook", "unpack it, or save the sheet as CSV (UTF-8)"),
    b"\xd0\xcf\x11\xe0": ("this is an old Excel workbook", "save the sheet as CSV (UTF-8)"),
    b"%PDF": ("this is a PDF", "export the data as CSV, Parquet or JSON lines"),
    b"SQLite format 3": ("this is a SQLite database", "export the table as CSV"),
    b"BZh": ("this is a bzip2 file", "unpack it with bunzip2, or pack it with gzip"),
    b"\xfd7zXZ": ("this is an xz file", "unpack it with unxz, or pack it with gzip"),
    b"\x28\xb5\x2f\xfd": ("this is a zstd file", "unpack it with unzstd, or pack it with gzip"),
    b"\xff\xfe": ("this text is UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    b"\xfe\xff": ("this text is UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    GZIP_MAGIC: ("this file is gzipped twice", "unpack it once with gunzip"),
}


@dataclass(frozen=True)
class FileFacts:
    """What one pass over the bytes found out; `fingerprint` names these contents."""

    fingerprint: str
    size: int
    newlines: int


class GzipBytes(io.RawIOBase):
    """Inflates gzip as it is read, several members included; refuses bombs, truncation and noise."""

    def __init__(self, raw: BinaryIO, *, max_bytes: int = MAX_BYTES, max_ratio: int = MAX_RATIO) -> None:
        self._raw, self._max_bytes, self._max_ratio = raw, max_bytes, max_ratio
        self._member = zlib.decompressobj(wbits=31)
        self._pending = b""
        self._packed = self._unpacked = self._empty_members = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._inflate(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._raw.close()
        super().close()

    def _inflate(self, limit: int) -> bytes:
        while True:
            if not self._pending and not self._refill():
                return b""
            if self._member.eof:
                # Tape padding after the last member is not data; gzip itself ignores it.
                self._pending = self._pending.lstrip(b"\0")
                if not self._pending:
                    continue
                self._member = zlib.decompressobj(wbits=31)
                self._count_member()
            try:
                data = self._member.decompress(self._pending, limit)
            except zlib.error as error:
                message = f"the gzip data is damaged after {self._unpacked:,} bytes ({error})"
                raise ImportProblem(message, remedy="fetch the file again; check it with gzip -t FILE") from None
            self._pending = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if data:
                self._empty_members = 0
                self._count(len(data))
                return data

    def _refill(self) -> bool:
        self._pending = self._raw.read(PACKED_CHUNK)
        self._packed += len(self._pending)
        if self._pending or (self._member.eof or not self._packed):
            return bool(self._pending)
        raise ImportProblem(
            f"the gzip file is cut off after {self._unpacked:,} bytes of text",
            remedy="fetch the file again; check it with gzip -t FILE",
        )

    def _count_member(self) -> None:
        self._empty_members += 1
        if self._empty_members > MAX_EMPTY_MEMBERS:
            raise ImportProblem(
                f"the gzip file has {MAX_EMPTY_MEMBERS:,} empty parts one after another",
                remedy="unpack it with gunzip and import the plain file",
            )

    def _count(self, length: int) -> None:
        self._unpacked += length
        inflated_too_far = self._unpacked > FREE_BYTES and self._unpacked > self._packed * self._max_ratio
        if inflated_too_far or self._unpacked > self._max_bytes:
            raise ImportProblem(
                f"the gzip file inflates to more than {self._unpacked:,} bytes from {self._packed:,}",
                remedy="if it is not a bomb, unpack it with gunzip and import the plain file",
            )


def checked_file(path: Path) -> Path:
    """A path that can be read as a file, or the plain reason why not."""
    try:
        if path.is_dir():
            raise ImportProblem(f"{path} is a folder", remedy="name one file in it")
        if not path.is_file():
            raise ImportProblem(f"there is no file {path}", remedy="check the path; pipes are not read, name a file")
        with path.open("rb") as file:
            empty = not file.read(1)
    except (OSError, ValueError) as error:
        raise ImportProblem(f"{path} cannot be read ({error})", remedy="check the path and your rights") from None
    if empty:
        raise ImportProblem(f"{path} is empty", remedy="export it again; a header line and one row are the least")
    return path


@contextmanager
def opened(path: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[io.BufferedReader[Any]]:
    """The plain bytes of a file, gunzipped when its first bytes say so (whatever it is called)."""
    with path.open("rb") as raw:
        is_gzip = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if not is_gzip:
            yield raw
            return
        with io.BufferedReader(GzipBytes(raw, max_bytes=max_bytes), CHUNK) as unpacked:
            yield unpacked


def look_over(path: Path, *, is_text: bool, max_bytes: int = MAX_BYTES) -> FileFacts:
    """Read every byte once before anything is written: an unusable file leaves no trace in the tenant."""
    digest, size, newlines, last = hashlib.blake2b(digest_size=16), 0, 0, b""
    with opened(checked_file(path), max_bytes=max_bytes) as file:
        while chunk := file.read(CHUNK):
            if not size:
                refuse_foreign(chunk, is_text=is_text)
            digest.update(chunk)
            size += len(chunk)
            newlines += chunk.count(b"\n")
            last = chunk
    return FileFacts(digest.hexdigest(), size, newlines + (not last.endswith(b"\n")))


def refuse_foreign(head: bytes, *, is_text: bool) -> None:
    """Name the format of a file that is not the one it is said to be."""
    for magic, (message, remedy) in FOREIGN.items():
        if head.startswith(magic):
            raise ImportProblem(message, remedy=remedy)
    if is_text and head[:4] == b"PAR1":
        raise ImportProblem("this is a Parquet file", remedy="name it *.parquet or set file.format: parquet")
    if is_text and head.count(b"\0") > len(head) // 10:
        raise ImportProblem("this is not text: it is full of NUL bytes", remedy="export it as CSV in UTF-8")
