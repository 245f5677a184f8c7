"""The log of erasures, a file beside the database: who was erased, for backups that were taken before.

One line of JSON for each erasure that refuses somebody anew, with keyed digests only. It is on disk before the
suppression commits, so that no restore can miss an erasure that somebody was told of; one that died in between is
merely repeated. Lines are only ever added, by any process, one at a time; one that was cut short counts for nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from django.conf import settings

from analytics.durable import folder_ensure, sync_folder

NAME: Final = "erased.jsonl"


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """One person's ids as the digests by which they are refused. Only the keys of `installation` make the same ones."""

    at: datetime
    installation: str
    tenant: int
    digests: tuple[UUID, ...]


_decoder: Final = msgspec.json.Decoder(Erased)


def erased_log() -> Path:
    """Where it is."""
    named = getattr(settings, "ANALYTICS_ERASED_LOG", "")
    return Path(named) if named else Path(getattr(settings, "BELLWETHER_HOME", "var")) / NAME


def erased_append(erasures: Sequence[Erased], *, path: Path | None = None) -> None:
    """Add them at the end; they are safe when it returns. Raises OSError."""
    path = path or erased_log()
    folder_ensure(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        is_cut_short = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        left = memoryview(b"\n" * is_cut_short + erased_bytes(erasures))
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_folder(path.parent)  # each time: who made the file may have died before its name was safe


def erased_bytes(erasures: Iterable[Erased]) -> bytes:
    """As they stand in a file."""
    return b"".join(msgspec.json.encode(each) + b"\n" for each in erasures)


def erased_read(path: Path, *, installation: str) -> Iterator[Erased]:
    """The erasures of one installation in a file, nothing when there is no file. Raises OSError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                found = _decoder.decode(line)
            except msgspec.DecodeError:  # cut short, by a power cut or a full disk: that erasure had not happened yet
                continue
            if found.installation == installation:
                yield found
