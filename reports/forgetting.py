"""What members wrote on boards about people, when somebody is erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analytics.mentions import Written, mentions_forget
from reports.boards.models import Board, ShareLink

WRITTEN = (Written(Board, ("title", "description", "document"), version="version"), Written(ShareLink, ("name",)))


def mentions(sender: Any, *, tenant_id: int, names: Sequence[str], using: str = "default", **_: Any) -> dict[str, int]:
    """In the transaction of the erasure: how many rows lost an id."""
    return {"mentions": mentions_forget(WRITTEN, tenant_id=tenant_id, names=names, using=using)}
