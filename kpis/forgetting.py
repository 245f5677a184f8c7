"""What members wrote about people, and what answers say of them, when somebody is erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analytics.mentions import Written, mentions_forget
from kpis.explore.models import PeopleRead
from kpis.goals.models import CheckIn, Goal
from kpis.models import Annotation, MetricDefinition, PeopleSegment

WRITTEN = (
    Written(PeopleSegment, ("name", "description", "definition", "error"), unique="name"),
    Written(Annotation, ("title", "text")),
    Written(Goal, ("name", "filters", "objective", "note")),
    Written(CheckIn, ("note",)),
    Written(MetricDefinition, ("name", "help")),
    Written(PeopleRead, ("question",)),
)
"""One more table is one more line. That somebody looked stays; whom they asked for by id does not."""


def mentions(sender: Any, *, tenant_id: int, names: Sequence[str], using: str = "default", **_: Any) -> dict[str, int]:
    """In the transaction of the erasure: how many rows lost an id."""
    return {"mentions": mentions_forget(WRITTEN, tenant_id=tenant_id, names=names, using=using)}


def answers(sender: Any, *, tenant_id: int, **_: Any) -> None:
    """What erased people wrote goes out of the answers that are kept."""
    from kpis.explore.services import answers_forget

    answers_forget(tenant_id=tenant_id)


def segments(sender: Any, *, tenant_id: int, subject_ids: list[int], **_: Any) -> None:
    """They go out of the segments that are kept."""
    from kpis.segments.services import people_forget

    people_forget(tenant_id=tenant_id, people=subject_ids)
