"""What the lake has to forget: people, whole tenants, and what is older than a tenant keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from analytics.failpoints import failpoint
from analytics.lake import marks
from analytics.lake.check import EVER
from analytics.lake.garbage import purge
from analytics.lake.manifest import flip, hurry_purge, live_pieces, pieces_holding
from analytics.lake.sealing import seal_hours
from analytics.lake.storage import own_storage
from analytics.models import LakeMark, LakePiece
from analytics.tenancy import tenant_context

NO_GRACE = timedelta(0)


@dataclass(frozen=True, slots=True)
class LakeErased:
    """Pieces written again, and former ones that are still there (0 when it is complete)."""

    rewritten: int
    left: int


def lake_erase(*, tenant_id: int, subjects: Sequence[int], now: datetime, using: str = "erasure") -> LakeErased:
    """After these subjects were erased in PostgreSQL: write the pieces that hold them again.

    Found by the bitmaps of the manifest, and by the marks of the erasure for what others' events said of them. Former
    files go at once; who reads them looks at the newest snapshot. Safe to kill and repeat: the marks stay until then.
    """
    failpoint("erasure.after_commit")
    with tenant_context(tenant_id, using=using):
        marks.expand_subjects(tenant_id, using=using)
    with tenant_context(tenant_id, using=using):
        held = pieces_holding(tenant_id, subjects, using=using)
        holding = [piece for piece, is_live in held if is_live]
        urgent = [each.hour for each in marks.marked_hours(tenant_id, using=using) if each.is_urgent]
        marks.mark_hours(tenant_id, [piece.start for piece in holding], reason=marks.ERASURE, now=now, using=using)
        mentioning = [
            piece for hour in urgent for piece in live_pieces(tenant_id, hour, hour + timedelta(hours=1), using=using)
        ]
        touched = {piece.id: piece for piece in (*holding, *mentioning)}
    for piece in sorted(touched.values(), key=lambda each: each.start):
        seal_hours(tenant_id, [piece.start], now=now, using=using)
    failpoint("erasure.after_seal")
    former = {piece.id for piece, _ in held} | touched.keys()
    with tenant_context(tenant_id, using=using):
        hurry_purge(tenant_id, former, now=now, using=using)
    purge(tenant_id, now=now, using=using)
    failpoint("erasure.after_purge")
    with tenant_context(tenant_id, using=using):
        left = LakePiece.objects.using(using).filter(tenant_id=tenant_id, pk__in=former).count()
    return LakeErased(len(touched), left)


def lake_holds(*, tenant_id: int, subjects: Sequence[int], using: str = "erasure") -> int:
    """Live pieces with events of any of these subjects."""
    with tenant_context(tenant_id, using=using):
        return sum(is_live for _, is_live in pieces_holding(tenant_id, subjects, using=using))


def lake_trim(*, tenant_id: int, before: datetime, now: datetime, using: str = "default") -> int:
    """Forget everything older than `before`, after PostgreSQL has; how many pieces went or were written again.

    Whole pieces are let go without reading; the one that `before` cuts is sealed anew.
    """
    with tenant_context(tenant_id, using=using):
        old = live_pieces(tenant_id, EVER[0], before, using=using)
        whole = [piece for piece in old if piece.end <= before]
        flip(tenant_id, whole, [], now=now, grace=NO_GRACE, using=using)
        LakeMark.objects.using(using).filter(tenant_id=tenant_id, hour__lt=marks.hour_of(before)).delete()
        cut = [piece.start for piece in old if piece.end > before]
        marks.mark_hours(tenant_id, cut, reason=marks.RETENTION, now=now, using=using)
    for hour in cut:
        seal_hours(tenant_id, [hour], now=now, using=using)
    purge(tenant_id, now=now, using=using)
    return len(old)


def lake_forget_tenant(*, tenant_id: int, using: str = "default") -> int:
    """Every file of the tenant, those that no row names too; how many. For when the tenant itself is deleted."""
    with tenant_context(tenant_id, using=using):
        LakePiece.objects.using(using).filter(tenant_id=tenant_id).delete()
        LakeMark.objects.using(using).filter(tenant_id=tenant_id).delete()
    storage = own_storage()
    return sum(storage.remove(path) for path, _ in list(storage.listing(tenant_id)))
