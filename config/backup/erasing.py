"""Erases again, by this home's log, whoever is back: after a restore, before anything of the product starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Final
from uuid import UUID

from django.db import connections

from analytics.contracts import TenantInfo
from analytics.failpoints import failpoint
from analytics.lake.forgetting import lake_erase
from analytics.lake.marks import ERASURE
from analytics.models import LakeMark, Tenant
from analytics.privacy import SETTLE_SECONDS, erase_subject
from analytics.sealing import SealBroken, installation
from analytics.tenancy import tenant_context, tenants
from config.backup.erasures import erasures_logged
from config.backup.errors import Told, silently

PEOPLE: Final = 20
"""At once: what has to be opened to be searched is opened once for all of them."""

# What the restored database knows of itself is looked at too: the backup may be of the middle of an erasure.
DUE: Final = """
SELECT d.digest, s.person_id
  FROM (SELECT unnest(%(digests)s::uuid[]) AS digest
         UNION SELECT digest FROM bw_suppression WHERE tenant_id = %(tenant)s) d
  LEFT JOIN bw_identity i ON i.tenant_id = %(tenant)s AND i.digest = d.digest
  LEFT JOIN bw_subject s ON s.tenant_id = i.tenant_id AND s.id = i.subject_id
 WHERE i.digest IS NOT NULL
    OR NOT EXISTS (SELECT 1 FROM bw_suppression x WHERE x.tenant_id = %(tenant)s AND x.digest = d.digest)
 ORDER BY s.person_id NULLS LAST, d.digest"""


@dataclass(slots=True)
class ErasedAgain:
    """Ids that are refused again, and the people whom the backup knew by them. `not_erased` says of whom something is
    still there, `waiting` which parts a job will ask again.
    """

    ids: int = 0
    people: int = 0
    not_erased: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def erase_again(
    *, now: datetime, told: Told = silently, settle_seconds: float = SETTLE_SECONDS, using: str = "erasure"
) -> ErasedAgain:
    """Of every tenant. May be run again. No `settle_seconds`: nobody writes whom an erasure would have to wait for."""
    done = ErasedAgain()
    for tenant, digests in _logged(using):
        try:
            _erase(tenant, digests, done, now, told, settle_seconds, using)
        except SealBroken as error:
            done.not_erased.append(f"{tenant.slug}: {error}")
    return done


def ids_back(*, using: str = "default") -> int:
    """Ids that were erased, and that the database does not refuse or still knows somebody by."""
    return sum(len(_due(tenant.id, digests, using)) for tenant, digests in _logged(using))


def _logged(using: str) -> Iterator[tuple[TenantInfo, list[UUID]]]:
    """Every tenant, with what the log tells of it."""
    found: dict[int, dict[UUID, datetime]] = {}
    for (tenant_id, digest), at in erasures_logged(installation()).items():
        found.setdefault(tenant_id, {})[digest] = at
    for tenant in tenants(using=using):
        yield tenant, _of_this_tenant(tenant.id, found.get(tenant.id, {}), using)


def _of_this_tenant(tenant_id: int, digests: dict[UUID, datetime], using: str) -> list[UUID]:
    """Without those of a tenant that had the same number before an earlier restore, and the same digests with it."""
    with tenant_context(tenant_id, using=using):
        founded = Tenant.objects.using(using).values_list("created_at", flat=True).get(pk=tenant_id)
    return [digest for digest, at in digests.items() if at >= founded]


def _erase(
    tenant: TenantInfo,
    digests: Sequence[UUID],
    done: ErasedAgain,
    now: datetime,
    told: Told,
    settle_seconds: float,
    using: str,
) -> None:
    due, slug = _due(tenant.id, digests, using), tenant.slug
    people = [[digest for digest, _ in ids] for _, ids in groupby(due, key=lambda each: each[1])]
    erased = 0
    for some in (people[start : start + PEOPLE] for start in range(0, len(people), PEOPLE)):
        ids = [digest for of_one in some for digest in of_one]
        receipt = erase_subject(tenant_id=tenant.id, digests=ids, now=now, settle_seconds=settle_seconds, using=using)
        if settle_seconds and not receipt.is_settled:
            done.not_erased.append(f"{slug}: writers that began before are still open")
        done.waiting += [f"{slug}: {part}" for part in receipt.failed]
        done.not_erased += [f"{slug}: {rows} traces in {store}" for store, rows in receipt.traces.items() if rows]
        erased += len(ids)
        told(f"erasing again, ids of {slug}", erased, len(due))
        failpoint("restore.while_erasing")
    done.ids += len(due)
    done.people += len({person for _, person in due if person is not None})
    done.not_erased += _left(tenant, digests, now, using)


def _left(tenant: TenantInfo, digests: Sequence[UUID], now: datetime, using: str) -> Iterator[str]:
    """What is still wrong, after the lake has forgotten what an erasure had marked when the backup was taken."""
    with tenant_context(tenant.id, using=using):
        is_marked = LakeMark.objects.using(using).filter(tenant_id=tenant.id, reason=ERASURE).exists()
    if is_marked and (left := lake_erase(tenant_id=tenant.id, subjects=(), now=now, using=using).left):
        yield f"{tenant.slug}: {left} former pieces of the lake"
    if still := _due(tenant.id, digests, using):
        yield f"{tenant.slug}: {len(still)} ids"


def _due(tenant_id: int, digests: Sequence[UUID], using: str) -> list[tuple[UUID, int | None]]:
    """Ids that are not refused or still lead to somebody, with the person; those of a person are together."""
    with tenant_context(tenant_id, using=using), connections[using].cursor() as cursor:
        cursor.execute(DUE, {"tenant": tenant_id, "digests": list(digests)})
        return [(digest, person) for digest, person in cursor.fetchall()]
