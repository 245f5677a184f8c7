"""Reads of what is recorded. Row-level security is the second wall: each query names its tenant first."""

from __future__ import annotations



from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from analytics.contracts import Outcome, TenantInfo
from analytics.filters import (
    Parameters,
    Span,
    calendar_of,
    choice_parameter,
    event_condition,
    list_parameter,
    span_parameters,
    text_parameter,
)
from analytics.models import Event, Identity, OutcomeCount, Quarantine, Subject
from analytics.sealing import keyring


def events_matching(*, tenant: TenantInfo, parameters: Parameters) -> QuerySet[Event]:
    """Events that the query parameters of the event list ask for, unordered."""
    span = span_parameters(parameters, calendar_of(tenant))
    condition = span.condition("ts") & event_condition(parameters)
    if user := text_parameter(parameters, "user"):
        condition &= Q(subject_id__in=subjects_of_person(tenant_id=tenant.id, distinct_id=user))
    return Event.objects.filter(condition, tenant_id=tenant.id)


def subjects_of_person(*, tenant_id: int, distinct_id: str) -> list[int]:
    """Every subject of the person behind a distinct id; empty for a stranger."""
    digest = UUID(bytes=keyring().digest(tenant_id, distinct_id))
    subject = Identity.objects.filter(tenant_id=tenant_id, digest=digest).values("subject_id")
    person = Subject.objects.filter(tenant_id=tenant_id, id__in=subject).values("person_id")
    return list(Subject.objects.filter(tenant_id=tenant_id, person_id__in=person).values_list("id", flat=True))


def outcomes_between(*, tenant_id: int, span: Span) -> dict[str, int]:
    """Received events by outcome, for the hours (UTC) of receipt that begin in the span."""
    counts = OutcomeCount.objects.filter(span.condition("hour"), tenant_id=tenant_id)
    found = dict(counts.values_list("outcome").annotate(total=Sum("n")).values_list("outcome", "total"))
    return {outcome.value: int(found.get(outcome.value, 0)) for outcome in Outcome}


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
