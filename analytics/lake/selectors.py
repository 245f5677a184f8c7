"""What lies in the lake of a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from analytics.lake import marks
from analytics.lake.check import EVER
from analytics.lake.manifest import snapshot
from analytics.models import LakeMark
from analytics.tenancy import tenant_context


@dataclass(frozen=True, slots=True)
class LakeStatus:
    """Live pieces, and what waits. Everything recorded before `data_through` is sealed."""

    pieces: int
    events: int
    bytes: int
    typed_bytes: int
    waiting_hours: int
    waiting_subjects: int
    data_through: datetime


def lake_status(*, tenant_id: int, now: datetime, using: str = "default") -> LakeStatus:
    """As of now."""
    with tenant_context(tenant_id, using=using):
        seen = snapshot(tenant_id, *EVER, using=using)
        hours = marks.marked_hours(tenant_id, using=using)
        subjects = LakeMark.objects.using(using).filter(tenant_id=tenant_id, subject_id__isnull=False)
        waiting = subjects.values("subject_id").distinct().count()
    return LakeStatus(
        pieces=len(seen.pieces),
        events=sum(piece.rows for piece in seen.pieces),
        bytes=sum(piece.bytes for piece in seen.pieces),
        typed_bytes=sum(piece.files["events"].bytes for piece in seen.pieces),
        waiting_hours=len(hours),
        waiting_subjects=waiting,
        data_through=min(seen.data_through, now),
    )
