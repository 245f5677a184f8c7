"""Lets go of files that nobody may read any more: of pieces whose grace has passed, and of seals that died."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from analytics.failpoints import failpoint
from analytics.lake.manifest import files_known, purge_rows
from analytics.lake.storage import Storage, own_storage
from analytics.tenancy import tenant_context


@dataclass(frozen=True, slots=True)
class Collected:
    """Files removed: of retired pieces, and strays that the manifest does not know."""

    retired: int = 0
    strays: int = 0

    def __add__(self, other: Collected) -> Collected:
        return Collected(self.retired + other.retired, self.strays + other.strays)


def collect(tenant_id: int, *, now: datetime, with_strays: bool = True, using: str = "default") -> Collected:
    """Remove what is due. Rows go first: a file without a row is a stray, and strays are found by every later run."""
    storage = own_storage()
    retired = purge(tenant_id, now=now, storage=storage, using=using)
    return Collected(retired, _strays(tenant_id, storage, using) if with_strays else 0)


def purge(tenant_id: int, *, now: datetime, storage: Storage | None = None, using: str = "default") -> int:
    """Remove the files of retired pieces whose time has come; how many files."""
    storage = storage or own_storage()
    removed = 0
    for piece in purge_rows(tenant_id, now=now, using=using):
        failpoint("garbage.after_rows")
        for which in piece.files:
            removed += storage.remove(piece.file(which))
            failpoint("garbage.after_unlink")
    return removed


def _strays(tenant_id: int, storage: Storage, using: str) -> int:
    """Files that are older than the grace and in no row. Listed before the rows are read, so that no new one is hit.

    A seal takes far less than the grace, so a file of a seal that is at work is never old enough.
    """
    before = time.time() - settings.ANALYTICS_LAKE_GRACE_SECONDS
    old = [path for path, made in storage.listing(tenant_id) if made < before]
    if not old:
        return 0
    with tenant_context(tenant_id, using=using):
        known = files_known(tenant_id, using=using)
    return sum(storage.remove(path) for path in old if path not in known)
