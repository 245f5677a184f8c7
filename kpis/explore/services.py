"""What exploration writes: who looked at whom; and what it forgets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from analytics.models import Job
from analytics.tenancy import tenant_context
from kpis.explore.jobs import ANSWER
from kpis.explore.models import PeopleRead


def people_read_record(
    *, tenant_id: int, actor: str, what: str, question: Mapping[str, Any], people: int, at: datetime
) -> PeopleRead:
    """Write down that somebody was shown people, before they are."""
    with tenant_context(tenant_id):
        return PeopleRead.objects.create(
            tenant_id=tenant_id, at=at, actor=actor, what=what, question=dict(question), people=people
        )


def answers_forget(*, tenant_id: int) -> int:
    """Take away the answers that jobs hold, and the jobs at work on one: a breakdown by a property may show what
    somebody wrote who is erased now. Whoever wants one asks again. Returns how many."""
    with tenant_context(tenant_id):
        count, _ = Job.objects.filter(tenant_id=tenant_id, kind=ANSWER).delete()
    return count
