"""Reads of what is recorded. Row-level security is the second wall: each query names its tenant first."""

from __future__ import annotations

from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from analytics.contracts import TenantInfo
from analytics.filters import (
    Parameters,
    calendar_of,
    choice_parameter,
    event_condition,
    list_parameter,
    span_parameters,
    text_parameter,
)
from analytics.identity import UnknownSubject, person_subjects, subject_of
from analytics.models import Event, EventKey, Quarantine, Subject
from analytics.writing.rows import dedupe_key


def events_matching(*, tenant: TenantInfo, parameters: Parameters) -> QuerySet[Event]:
    """Events that the query parameters of the event list ask for, unordered."""
    span = span_parameters(parameters, calendar_of(tenant))
    condition = span.condition("ts") & event_condition(parameters)
    if user := text_parameter(parameters, "user"):
        condition &= Q(subject_id__in=subjects_of_person(tenant_id=tenant.id, distinct_id=user))
    return Event.objects.filter(condition, tenant_id=tenant.id)


def event_of(*, tenant_id: int, id_: str) -> Event | None:
    """The event of that id: ours, else the one that it was sent with. Needs the tenant's context."""
    events = Event.objects.filter(tenant_id=tenant_id)
    try:
        if (found := events.filter(pk=UUID(id_)).first()) is not None:
            return found
    except ValueError:
        pass
    key = UUID(bytes=dedupe_key(id_))
    taken = EventKey.objects.filter(tenant_id=tenant_id, key=key).values_list("event_uuid", "ts").first()
    found = events.filter(pk=taken[0], ts=taken[1]).first() if taken else None
    # The event of somebody who was erased has another id, by which nobody comes from the former one.
    return found if found is not None and dedupe_key(found.event_id) == key.bytes else None


def subjects_of_person(*, tenant_id: int, distinct_id: str) -> list[int]:
    """Every subject of the person behind a distinct id; empty for a stranger. Needs the tenant's context."""
    try:
        subject = subject_of(tenant_id=tenant_id, distinct_id=distinct_id)
        return [member.pk for member in person_subjects(tenant_id=tenant_id, subject_id=subject)]
    except UnknownSubject:
        return []


def people_erased(*, tenant_id: int) -> list[int]:
    """The numbers of people who were erased: their events still count, but they stand in no list. Needs the tenant's
    context."""
    gone = Subject.objects.filter(tenant_id=tenant_id, erased_at__isnull=False)
    return list(gone.values_list("person_id", flat=True).distinct())


def quarantine_matching(*, tenant: TenantInfo, parameters: Parameters) -> QuerySet[Quarantine]:
    """Held events that the query parameters ask for, without their payloads."""
    held = Quarantine.objects.filter(span_parameters(parameters, calendar_of(tenant)).condition("received_at"))
    state = choice_parameter(parameters, "state", [*Quarantine.State.values, "any"], Quarantine.State.HELD)
    if state != "any":
        held = held.filter(state=state)
    if reasons := list_parameter(parameters, "reason"):
        held = held.filter(reason__in=reasons)
    return held.filter(tenant_id=tenant.id).defer("payload")


def statement_limit(seconds: int) -> None:
    """Let no further statement of the open transaction run longer than this."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds}s"])
