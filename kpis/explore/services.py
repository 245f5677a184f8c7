"""What exploration writes: who looked at whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from analytics.tenancy import tenant_context
from kpis.explore.models import PeopleRead


def people_read_record(
    *, tenant_id: int, actor: str, what: str, question: Mapping[str, Any], people: int, at: datetime
) -> PeopleRead:
    """Write down that somebody was shown people, before they are."""
    with tenant_context(tenant_id):
        return PeopleRead.objects.create(
            tenant_id=tenant_id, at=at, actor=actor, what=what, question=dict(question), people=people
        )
