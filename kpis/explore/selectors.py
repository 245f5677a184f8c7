"""Answers to questions of any kind: what API, jobs and pages call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pyroaring import BitMap

from analytics.cache import DEFINITIONS, LIVE, METRICS, Audience, cache
from analytics.contracts import TenantInfo
from analytics.filters import refuse
from analytics.selectors import people_erased
from analytics.tenancy import tenant_context
from kpis.explore import questions  # noqa: F401  registers the kinds
from kpis.explore.grammar import Asking, checked
from kpis.explore.kept import noting, with_events_from
from kpis.explore.kinds import Desk, Known, QuestionKind, kinds, opener
from kpis.explore.names import names_check, with_own_names
from kpis.mapping import names_live
from kpis.models import PeopleSegment
from kpis.parameters import refusals
from kpis.segments.selectors import NoSegment, people_of, segment_read
from kpis.series.question import QuestionError

PAGE: Final = 100
MAX_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that has been read and found answerable."""

    kind: QuestionKind
    question: Any
    asking: Asking
    segment: PeopleSegment | None = None

    @property
    def people(self) -> BitMap | None:
        """Those whose events alone are asked about."""
        return None if self.segment is None else people_of(self.segment)


def asked_of(*, kind: str, wanted: Mapping[str, Any], asking: Asking) -> Asked:
    """JSON as a question. Raises ValidationError (400) field by field, UnknownName for a kind that does not exist.

    `segment`, of any kind that reads events: the id of a kept segment, whose people alone are asked about.
    """
    found = kinds[kind]
    segment = _segment(found, wanted.get("segment"), asking)
    valid = checked(found.body, {name: value for name, value in wanted.items() if name != "segment"})
    with refusals():
        question = with_own_names(found.build(valid, asking), names_live(tenant_id=asking.tenant.id))
    names_check((name for pick in found.picks(question) for name in pick.names), tenant_id=asking.tenant.id)
    return Asked(found, question, asking, segment)


def _segment(kind: QuestionKind, wanted: Any, asking: Asking) -> PeopleSegment | None:
    if wanted in (None, ""):
        return None
    if not kind.has_segments:
        refuse("segment", "invalid_segment", f"An answer of {kind.id} is not narrowed to a segment.")
    try:
        return segment_read(tenant_id=asking.tenant.id, segment_id=UUID(str(wanted)))
    except (ValueError, NoSegment):
        refuse("segment", "unknown_segment", "There is no such segment; GET /api/v1/segments/ shows yours.")


def explore(
    *,
    kind: str,
    wanted: Mapping[str, Any],
    asking: Asking,
    audience: Audience | None = None,
    timeout: float | None = None,
    cancelled: Callable[[], bool] | None = None,
    engine: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """The answer as JSON-ready values, remembered for half a minute where an audience is given.

    `engine`: other than ANALYTICS_ENGINE. Raises ValidationError for a question that cannot be answered, LakeError
    where the store cannot.
    """
    asked = asked_of(kind=kind, wanted=wanted, asking=asking)
    segment, people = asked.segment, asked.people
    known = Known(asking)
    opens = opener(asking, timeout=timeout, cancelled=cancelled, engine=engine, people=people, known=known)
    starts: list[datetime] = []
    desk = Desk(asking, noting(opens, starts), progress, known, people)

    def compute() -> dict[str, Any]:
        with refusals():
            answer = with_events_from(asked.kind.answer(asked.question, desk), starts, asking)
        narrowed = {} if segment is None else {"segment": segment_told(segment)}
        return {"kind": kind, "question": dict(wanted), **answer, **narrowed}

    if audience is None:
        return compute()
    question = {"kind": kind, "asked": repr(asked.question), "written": dict(wanted)}
    if segment is not None:
        question["segment"] = f"{segment.pk} {segment.refreshed_at} {segment.size}"
    return cache().answer(
        audience=audience,
        name=f"explore.{kind}",
        question=question,
        compute=compute,
        ttl=LIVE,
        tags=(METRICS, DEFINITIONS),
    )


def explore_people(*, kind: str, wanted: Mapping[str, Any], place: Mapping[str, Any], asking: Asking) -> BitMap:
    """The people behind a place in an answer: all of them but those who were erased, whose events still count.

    Callers ask for permission and write the reading down.
    """
    asked = asked_of(kind=kind, wanted=wanted, asking=asking)
    if asked.kind.people is None:
        raise QuestionError(f"an answer of {kind} has no lists of people", "kind")
    known = Known(asking)
    opens = opener(asking, people=asked.people, known=known)
    desk = Desk(asking, opens, lambda done, total: None, known, asked.people)
    found = asked.kind.people(asked.question, place, desk)
    with tenant_context(asking.tenant.id):
        return found - BitMap(people_erased(tenant_id=asking.tenant.id))


def segment_told(segment: PeopleSegment) -> dict[str, Any]:
    """Of whom an answer is: as of when."""
    as_of = segment.as_of.isoformat() if segment.as_of else None
    return {"id": str(segment.pk), "name": segment.name, "size": segment.size, "as_of": as_of}


def page_of(people: BitMap, *, after: int, limit: int) -> list[int]:
    """The next `limit` people by number."""
    place = people.rank(after) if after >= 0 else 0
    return list(people[place : place + limit])


def explore_funnel(
    *, tenant: TenantInfo, question: Mapping[str, Any], now: Any, audience: Any = None
) -> dict[str, Any]:
    """A funnel in the API's own JSON."""
    return explore(kind="funnel", wanted=question, asking=Asking(tenant, now), audience=audience)


def explore_attribution(
    *, tenant: TenantInfo, question: Mapping[str, Any], now: Any, audience: Any = None
) -> dict[str, Any]:
    """An attribution in the API's own JSON."""
    return explore(kind="attribution", wanted=question, asking=Asking(tenant, now), audience=audience)


def explore_retention(
    *, tenant: TenantInfo, question: Mapping[str, Any], now: Any, audience: Any = None
) -> dict[str, Any]:
    """Retention in the API's own JSON."""
    return explore(kind="retention", wanted=question, asking=Asking(tenant, now), audience=audience)


def explore_lifecycle(
    *, tenant: TenantInfo, question: Mapping[str, Any], now: Any, audience: Any = None
) -> dict[str, Any]:
    """Lifecycle in the API's own JSON."""
    return explore(kind="lifecycle", wanted=question, asking=Asking(tenant, now), audience=audience)


def explore_paths(*, tenant: TenantInfo, question: Mapping[str, Any], now: Any, audience: Any = None) -> dict[str, Any]:
    """Paths in the API's own JSON."""
    return explore(kind="paths", wanted=question, asking=Asking(tenant, now), audience=audience)
