"""What exploration writes: who looked at whom; and what it forgets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from analytics import jobs
from analytics.models import Job
from analytics.tenancy import tenant_context
from kpis.explore.jobs import ANSWER
from kpis.explore.models import PeopleRead

AT_ONCE: Final = 10
"""Questions of one person or key that wait or run. Each may work for a quarter of an hour."""


class TooManyAnswers(Exception):
    """So many of one's questions are at work already."""


def answer_enqueue(*, tenant_id: int, kind: str, question: Mapping[str, Any], actor: str) -> Job:
    """Have a job answer the question; the one that is at it already, if there is. Raises TooManyAnswers."""
    written = msgspec.json.encode(question, order="sorted")
    key = f"{kind}:{hashlib.blake2b(written, digest_size=12).hexdigest()}"
    with tenant_context(tenant_id):
        mine = Job.objects.filter(tenant_id=tenant_id, kind=ANSWER, created_by=actor, state__in=jobs.ACTIVE)
        if mine.exclude(dedupe_key=key).count() >= AT_ONCE:
            raise TooManyAnswers(f"{AT_ONCE} of your questions are at work already: wait for one, or cancel it.")
    return jobs.enqueue(
        kind=ANSWER,
        tenant_id=tenant_id,
        params={"kind": kind, "question": question},
        dedupe_key=key,
        created_by=actor,
        max_attempts=2,
    )


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
