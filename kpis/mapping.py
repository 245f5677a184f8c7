"""What a tenant's own names of events stand for: `{"Purchase Done": "order_completed"}`.

Events keep the name they were sent with; measures of a standard event count its own names too (`rollup/plan.py`). A
change is counted by a job as a new calendar version, and takes over in one COMMIT: until then every answer is by the
old meanings, afterwards by the new ones. Sessions are not derived again: no metric looks at their number of pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final
from uuid import UUID

from django.db import connection

from analytics.models import Job, Tenant
from analytics.tenancy import tenant_context
from kpis.base import measures, metrics
from kpis.catalogue import Catalogue
from kpis.needs import measures_in
from kpis.taxonomy import STANDARD_EVENTS, STANDARD_NAMES, named

MAX_NAMES: Final = 500
MAX_LENGTH: Final = 200
ALIKE: Final = 0.72
DAYS_SEEN: Final = 30
NEVER: Final[tuple[int, datetime | None, datetime | None]] = (0, None, None)

_COUNTS: Final = """
SELECT name, count(*), min(ts), max(ts) FROM bw_event
 WHERE tenant_id = %(tenant)s AND name = ANY(%(names)s) GROUP BY name"""
_ALL: Final = "SELECT count(*) FROM bw_event WHERE tenant_id = %(tenant)s"
_SEEN: Final = """
SELECT name, count(*) FROM bw_event
 WHERE tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(end)s GROUP BY name ORDER BY 2 DESC, 1 LIMIT %(limit)s"""


class MappingError(ValueError):
    """The mapping cannot be saved; `name` is the own name to change."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class EventNames:
    """What names stand for. Answers are by `live`; `building` is being counted by the job and then takes over."""

    live: Mapping[str, str]
    building: Mapping[str, str] | None = None
    job_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class SeenName:
    """A name that was sent, how often, and what it counts as ("" for nothing), with the nearest standard name."""

    name: str
    count: int
    means: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class ChangedName:
    """What a change does to one own name: "" is nothing. `metrics` are those whose numbers move."""

    name: str
    before: str
    after: str
    events: int
    first_at: datetime | None
    last_at: datetime | None
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do: events whose meaning changes, and all that are counted again for it."""

    changes: tuple[ChangedName, ...]
    events_affected: int
    events_to_count: int
    first_at: datetime | None
    last_at: datetime | None


def event_names_read(*, tenant_id: int) -> EventNames:
    """The tenant's own names."""
    with tenant_context(tenant_id):
        found = _settings(tenant_id)
        building = found.get("building")
        if not building:
            return EventNames(found.get("live", {}))
        job = Job.objects.filter(tenant_id=tenant_id, params__calendar_id=building["calendar"]).first()
        return EventNames(found.get("live", {}), building["names"], job.pk if job else None)


def names_live(*, tenant_id: int) -> Mapping[str, str]:
    """The tenant's own names that answers are by, and the standard name that each stands for."""
    with tenant_context(tenant_id):
        found: Mapping[str, str] = _settings(tenant_id).get("live", {})
        return found


def names_meaning(tenant_id: int, *standard: str) -> list[str]:
    """Every name under which the tenant sends these standard events, within the tenant that is set."""
    wanted = named(*standard)
    return sorted(wanted | {own for own, means in _settings(tenant_id).get("live", {}).items() if means in wanted})


def meanings(tenant_id: int, *standard: str) -> dict[str, str]:
    """As `names_meaning`, each with the standard name it stands for."""
    own = _settings(tenant_id).get("live", {})
    return {name: STANDARD_NAMES[own.get(name, name)] for name in names_meaning(tenant_id, *standard)}


def rows_named(
    *, tenant_id: int, query: str, names: Mapping[str, tuple[str, ...]], **parameters: Any
) -> tuple[list[Any], dict[str, str]]:
    """The rows of a query over events, and what each name in it stands for.

    `names` are lists of standard events; the query gets them with the names under which the tenant sends them.
    """
    with tenant_context(tenant_id), connection.cursor() as cursor:
        means = meanings(tenant_id, *(name for group in names.values() for name in group))
        told = {key: [own for own, standard in means.items() if standard in group] for key, group in names.items()}
        cursor.execute(query, {"tenant": tenant_id, **told, **parameters})
        return list(cursor.fetchall()), means


def event_names_seen(*, tenant_id: int, now: datetime, days: int = DAYS_SEEN, limit: int = 200) -> list[SeenName]:
    """The names sent in the last days, the most frequent first; those that only an SDK knows are left out."""
    with tenant_context(tenant_id), connection.cursor() as cursor:
        own = _settings(tenant_id).get("live", {})
        since = now - timedelta(days=days)
        cursor.execute(_SEEN, {"tenant": tenant_id, "start": since, "end": now, "limit": limit})
        rows = cursor.fetchall()
    return [
        SeenName(name, count, own.get(name) or STANDARD_NAMES.get(name, ""), "" if name in own else suggestion(name))
        for name, count in rows
        if not name.startswith("$") or name in STANDARD_NAMES
    ]


def suggestion(name: str) -> str:
    """The nearest standard name; "" for one that has a meaning already, or when none is near."""
    if name in STANDARD_NAMES:
        return ""
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")
    near = get_close_matches(words, STANDARD_NAMES, n=1, cutoff=ALIKE)
    return STANDARD_NAMES[near[0]] if near else ""


def event_names_preview(*, tenant_id: int, names: Mapping[str, str]) -> Preview:
    """What setting these names would do; nothing is written. Raises MappingError."""
    wanted = _checked(names)
    with tenant_context(tenant_id), connection.cursor() as cursor:
        before = _settings(tenant_id).get("live", {})
        changed = sorted(name for name in before.keys() | wanted.keys() if before.get(name) != wanted.get(name))
        cursor.execute(_COUNTS, {"tenant": tenant_id, "names": changed})
        counts = {name: (count, first, last) for name, count, first, last in cursor.fetchall()}
        cursor.execute(_ALL, {"tenant": tenant_id})
        (total,) = cursor.fetchone()
        catalogue = Catalogue(tenant_id)
        changes = tuple(
            ChangedName(
                name,
                before.get(name, ""),
                wanted.get(name, ""),
                *counts.get(name, NEVER),
                _moved(catalogue, before.get(name), wanted.get(name)),
            )
            for name in changed
        )
    return Preview(
        changes=changes,
        events_affected=sum(change.events for change in changes),
        events_to_count=total if changes else 0,
        first_at=min((change.first_at for change in changes if change.first_at), default=None),
        last_at=max((change.last_at for change in changes if change.last_at), default=None),
    )


def event_names_set(*, tenant_id: int, names: Mapping[str, str], created_by: str = "") -> Job | None:
    """Have events counted with these meanings, in place of the former ones; None when nothing changes.

    The job counts history; `event_names_read` tells when it is done. Raises MappingError.
    """
    from kpis.rollup.services import event_names_change

    wanted = _checked(names)
    known = event_names_read(tenant_id=tenant_id)
    if wanted == (known.live if known.building is None else known.building):
        return None
    return event_names_change(tenant_id=tenant_id, names=wanted, created_by=created_by)


def _moved(catalogue: Catalogue, *standard: str | None) -> tuple[str, ...]:
    """The metrics that count any of these standard events."""
    events = {name for name in standard if name}
    touched = {measure.id for measure in measures if measure.events and not events.isdisjoint(measure.events)}
    return tuple(metric.id for metric in metrics if not measures_in(metric, catalogue).isdisjoint(touched))


def _checked(names: Mapping[str, str]) -> dict[str, str]:
    """The mapping with aliases made standard. Raises MappingError for the first name that will not do."""
    if len(names) > MAX_NAMES:
        raise MappingError(f"at most {MAX_NAMES} names", "")
    for problem, name in _problems(names.items()):
        raise MappingError(problem, name)
    return {own: STANDARD_NAMES[standard] for own, standard in sorted(names.items())}


def _problems(items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for own, standard in items:
        if not own.strip() or len(own) > MAX_LENGTH or not own.isprintable():
            yield f"a name of an event has 1 to {MAX_LENGTH} characters that can be seen", own
        elif own in STANDARD_NAMES:
            yield f"{own!r} means {STANDARD_NAMES[own]} already; only names of your own can be given a meaning", own
        elif standard not in STANDARD_NAMES:
            near = get_close_matches(standard, STANDARD_EVENTS, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            yield f"there is no standard event {standard!r}{hint}", own


def _settings(tenant_id: int) -> dict[str, Any]:
    settings: dict[str, Any] = Tenant.objects.values_list("settings", flat=True).get(pk=tenant_id)
    found: dict[str, Any] = settings.get("event_names", {})
    return found
