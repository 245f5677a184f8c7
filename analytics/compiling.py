"""Numba, whose cache on disk is whole after a power cut.

Numba renames what it has compiled into place without an fsync. After a power cut the name is there and the bytes are
not: each import of the module fails from then on, or runs half of a machine code.

Decided (2026-11-21): its writing of a file is replaced; because its cache has no door for that; instead of a cache for
each boot, which compiles for seconds after every restart of the machine, or none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final
from uuid import uuid4

import numba
from numba.core.caching import IndexDataCacheFile

__all__ = ["compiled"]

compiled: Final[Any] = numba.njit


@contextmanager
def _open_for_write(self: Any, filepath: str) -> Iterator[BinaryIO]:
    draft = f"{filepath}.tmp.{uuid4().hex[:16]}"
    try:
        with open(draft, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, filepath)
    except BaseException:
        if os.path.exists(draft):
            os.unlink(draft)
        raise


assert callable(IndexDataCacheFile._open_for_write), "Numba writes its cache in another way: see above"
setattr(IndexDataCacheFile, "_open_for_write", _open_for_write)  # noqa: B010 - mypy knows no other way
