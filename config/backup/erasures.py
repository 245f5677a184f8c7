"""Who was erased, from wherever that is still known: a backup is older than some erasures, and must not undo them.

Known by this home's log of erasures (`analytics.erased`), by the copy of it in every backup, by the database that a
restore replaces, and by files that somebody kept. Before anything is given up, all of it goes into this home's log;
`proof.py` erases by that log, however often the restore is killed in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg

from analytics.durable import write_whole
from analytics.erased import NAME, Erased, erased_append, erased_bytes, erased_log, erased_read
from analytics.models import Suppression
from analytics.sealing import installation
from analytics.tenancy import tenant_context, tenants
from config.backup.contents import Contents
from config.backup.errors import BackupError, Told, silently
from config.backup.keeping import kept_in

ERASED: Final = NAME

Latest = dict[tuple[int, UUID], datetime]
"""When a digest of a tenant was last erased."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Digests of whoever was erased, and in words what could not be asked."""

    latest: Latest
    unread: tuple[str, ...] = ()

    def since(self, instant: datetime) -> int:
        """Ids that were erased after it."""
        return sum(at > instant for at in self.latest.values())


# --- Into a backup ----------------------------------------------------------------------------------------------------


def erasures_save(folder: Path, connection: psycopg.Connection[Any], own: str) -> None:
    """The log of this home, and what the database refuses beyond it (of before there was a log, or after it was lost).

    The role of the connection has to see every row.
    """
    lines: list[Erased] = []
    with suppress(OSError):  # somebody else's file: what the database refuses is nearly all of it
        lines = list(erased_read(erased_log(), installation=own))
    rows = connection.execute("SELECT tenant_id, digest, created_at FROM bw_suppression")
    refused = {(tenant, digest): at for tenant, digest, at in rows}
    write_whole(folder / ERASED, erased_bytes([*lines, *_beyond(refused, _latest(lines), own)]), mode=0o600)


# --- Out of wherever it is known --------------------------------------------------------------------------------------


def erasures_known(backup: Path, contents: Contents, given: Sequence[Path] = ()) -> Gathered:
    """By this home's log, the files in `given`, this backup and every later one beside it. Raises BackupError."""
    own = contents.installation
    found = erasures_logged(own)
    unread = []
    for path in given:
        _merge(found, _given(path, own))
    later = [each.folder for each in kept_in(backup.parent) if _is_later(each.contents, contents)]
    for folder in (backup, *later):
        try:
            _merge(found, _latest(erased_read(folder / ERASED, installation=own)))
        except OSError as error:
            unread.append(f"{folder / ERASED} cannot be read ({error.strerror})")
    return Gathered(found, tuple(unread))


def _is_later(other: Contents, contents: Contents) -> bool:
    return other.installation == contents.installation and other.taken_at > contents.taken_at


def _given(path: Path, own: str) -> Latest:
    try:
        found = _latest(erased_read(path, installation=own))
        is_wrong = not found and path.stat().st_size > 0
    except OSError as error:
        raise BackupError(f"{path} cannot be read ({error.strerror}). Nothing was restored.") from None
    if is_wrong:
        raise BackupError(f"{path} tells of no erasure of the installation that the backup is of.")
    return found


def erasures_gather(
    backup: Path, contents: Contents, given: Sequence[Path], databases: Iterable[str], *, told: Told = silently
) -> Gathered:
    """All of it, also of the databases that are about to be replaced (their addresses), into this home's log.

    Raises BackupError, and OSError when it cannot be written down: then nothing may be given up.
    """
    told("whoever was erased since", 0, 0)
    own = contents.installation
    known = erasures_known(backup, contents, given)
    found, unread = dict(known.latest), [*known.unread]
    for address in databases:
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                _merge(found, refused_by(connection))
        except psycopg.Error as error:
            unread.append(f"the database that is replaced cannot be asked ({str(error).splitlines()[0]})")
    erased_append(_beyond(found, erasures_logged(own), own))
    return Gathered(found, tuple(unread))


def erasures_logged(own: str) -> Latest:
    """What this home's log tells of an installation. Raises OSError."""
    return _latest(erased_read(erased_log(), installation=own))


def erasures_unlogged() -> list[Erased]:
    """What the product's database refuses and this home's log does not tell. Raises OSError."""
    found: Latest = {}
    for tenant in tenants():
        with tenant_context(tenant.id):
            refused = Suppression.objects.filter(tenant_id=tenant.id).values_list("digest", "created_at")
            found |= {(tenant.id, digest): at for digest, at in refused}
    own = installation()
    return _beyond(found, erasures_logged(own), own)


def refused_by(connection: psycopg.Connection[Any]) -> Latest:
    """What a database refuses, tenant by tenant: the admin of a managed server is bound by row-level security too."""
    found: Latest = {}
    for (tenant,) in connection.execute("SELECT id FROM bw_tenants()").fetchall():
        with connection.transaction():
            connection.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant)])
            rows = connection.execute("SELECT digest, created_at FROM bw_suppression WHERE tenant_id = %s", [tenant])
            found |= {(tenant, digest): at for digest, at in rows}
    return found


def _latest(lines: Iterable[Erased]) -> Latest:
    found: Latest = {}
    for line in lines:
        _merge(found, {(line.tenant, digest): line.at for digest in line.digests})
    return found


def _merge(found: Latest, more: Latest) -> None:
    for key, at in more.items():
        if key not in found or found[key] < at:
            found[key] = at


def _beyond(all_: Latest, known: Latest, own: str) -> list[Erased]:
    """Lines for what is not known yet, or only of earlier: a person's ids, refused at one instant, share a line."""
    lines: dict[tuple[int, datetime], list[UUID]] = {}
    for (tenant, digest), at in all_.items():
        if (tenant, digest) not in known or known[tenant, digest] < at:
            lines.setdefault((tenant, at), []).append(digest)
    return [
        Erased(at=at, installation=own, tenant=tenant, digests=tuple(sorted(digests)))
        for (tenant, at), digests in sorted(lines.items())
    ]
