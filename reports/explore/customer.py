"""`/customers/<subject>/`: one person: what they brought, what they may still bring, everything they did."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from analytics.access.roles import Scope
from analytics.models import Event, Subject
from analytics.periods import from_micros, to_micros
from insights.contracts import CustomerValue
from insights.selectors import NoCustomer, customer_value
from kpis.explore.services import people_read_record
from kpis.series import NoCalendar
from reports.dashboard import shown
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.explore.asking import actor_of
from reports.explore.frame import head_of, share

PAGE: Final = 50
DETAILS: Final = ("platform", "country", "channel", "campaign", "content_type", "object_type", "object_id", "method",
                  "tier", "reason")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the value."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """Something the person did."""

    at: datetime
    name: str
    details: tuple[str, ...]
    amount: str
    is_odd: str


@require_GET
@tenant_page(Scope.EVENTS_READ)
def customer(request: HttpRequest, subject: int) -> HttpResponse:
    """One person. The value is shown to who may work with persons, the events to who may read events."""
    tenant = tenant_of(request)
    person = _person(tenant.id, subject)
    people_read_record(
        tenant_id=tenant.id,
        actor=actor_of(request),
        what="timeline",
        question={"person": person},
        people=1,
        at=timezone.now(),
    )
    events, following = _timeline(tenant.id, person, request.GET.get("before", ""))
    value = _value(request, subject)
    ids = Subject.objects.filter(tenant_id=tenant.id, person_id=person).count()
    context = {
        "head": head_of(
            tenant, f"Person {person}", "Numbers and events of one person. That you looked is written down."
        ),
        "value": value,
        "facts": _facts(value) if value else (),
        "events": events,
        "next": f"{request.path}?before={following}" if following else "",
        "is_first": not request.GET.get("before"),
        "ids": ids,
        "may_value": Scope.SUBJECTS_WRITE in scopes_of(request),
    }
    return render(request, "reports/explore/customer.html", context)


def _person(tenant_id: int, subject: int) -> int:
    found = None
    if subject < 2**31:
        rows = Subject.objects.filter(tenant_id=tenant_id, pk=subject, erased_at=None)
        found = rows.values_list("person_id", flat=True).first()
    if found is None:
        raise Http404("There is no such person.")
    return found


def _value(request: HttpRequest, subject: int) -> CustomerValue | None:
    if Scope.SUBJECTS_WRITE not in scopes_of(request):
        return None
    try:
        return customer_value(tenant_id=tenant_of(request).id, subject=subject, now=timezone.now())
    except (NoCustomer, NoCalendar):
        return None


def _facts(value: CustomerValue) -> tuple[Fact, ...]:
    """Money first; what is a guess says how sure it is."""

    def money(minor: float | None) -> str:
        return shown.UNKNOWN if minor is None else shown.minor_shown(round(minor), value.currency)

    facts = [
        Fact("Net value so far", money(value.net), f"{money(value.gross)} sold, {money(value.refunds)} given back"),
        Fact("Orders", f"{value.orders:,}", f"on {value.purchases:,} days" if value.purchases else ""),
        Fact("First and last purchase", _days(value)),
    ]
    if value.segment:
        facts.append(Fact("Segment", value.segment, _scores(value.scores)))
    if value.alive is not None:
        facts.append(Fact("Chance of still being a customer", share(value.alive)))
    if value.expected_value is not None:
        interval = f"{share(value.level, 0)} interval {money(value.expected_low)} to {money(value.expected_high)}"
        facts.append(Fact(f"May bring in the next {value.horizon_days} days", money(value.expected_value), interval))
    if value.note:
        facts.append(Fact("Note", value.note))
    return tuple(facts)


def _days(value: CustomerValue) -> str:
    first, last = value.first_purchase_on, value.last_purchase_on
    return f"{first:%-d %b %Y} and {last:%-d %b %Y}" if first and last else "never bought"


def _scores(scores: tuple[int, int, int] | None) -> str:
    return "" if scores is None else "recency {}, frequency {}, money {} of 5".format(*scores)


def _timeline(tenant_id: int, person: int, before: str) -> tuple[list[Done], str]:
    ids = list(Subject.objects.filter(tenant_id=tenant_id, person_id=person).values_list("pk", flat=True))
    rows = Event.objects.filter(_before(before), tenant_id=tenant_id, subject_id__in=ids)
    columns = ("ts", "id", "name", "amount", "currency", "is_bot", "is_internal", *DETAILS)
    found = list(rows.order_by("-ts", "-id").values(*columns)[: PAGE + 1])
    last = found[PAGE - 1] if len(found) > PAGE else None
    return [_done(row) for row in found[:PAGE]], _cursor(last["ts"], last["id"]) if last else ""


def _done(row: Mapping[str, Any]) -> Done:
    amount = shown.minor_shown(row["amount"], row["currency"]) if row["amount"] is not None and row["currency"] else ""
    odd = "bot" if row["is_bot"] else "internal" if row["is_internal"] else ""
    return Done(row["ts"], row["name"], tuple(str(row[name]) for name in DETAILS if row[name]), amount, odd)


def _cursor(instant: datetime, key: UUID) -> str:
    return base64.urlsafe_b64encode(to_micros(instant).to_bytes(8, signed=True) + key.bytes).decode().rstrip("=")


def _before(text: str) -> Q:
    """Earlier than the cursor; an odd one begins anew."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        instant, key = from_micros(int.from_bytes(raw[:8], signed=True)), UUID(bytes=raw[8:])
    except (ValueError, OverflowError, binascii.Error):
        return Q()
    return Q(ts__lte=instant) & (Q(ts__lt=instant) | Q(id__lt=key))
