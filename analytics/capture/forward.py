"""Forwards stored events to PostHog, anonymised, at least once; on as soon as POSTHOG_API_KEY is set.

The writer puts a row into the outbox in the event's own transaction. A job claims rows by moving their next try ahead,
sends them in one request of PostHog's own client, and deletes them once PostgreSQL knows the answer. Killed anywhere
in between, the rows come due again and go out under the same uuid, which PostHog's server takes for the same event.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connections
from django.utils import timezone

from analytics.capture.money import exponents
from analytics.capture.visits import keyed
from analytics.jobs import RunningJob, enqueue, job_kind
from analytics.models import Event, Outbox, Subject
from analytics.tenancy import tenant_context

KIND: Final = "forward.posthog"
DESTINATION: Final = "posthog"
BATCH: Final = 100
TIMEOUT_SECONDS: Final = 15
# Longer than a request may take, so that nobody else sends the same rows meanwhile.
CLAIM: Final = timedelta(seconds=60)
MAX_ATTEMPTS: Final = 20
LONGEST_PAUSE_SECONDS: Final = 3600
# The request is at fault, not the moment: trying the same again is useless.
HOPELESS: Final = (400, 413, 422)
# They carry ids and traits of people, and nothing else.
NOT_FORWARDED: Final = frozenset(
    {"$identify", "$set", "$set_once", "$create_alias", "$merge_dangerously", "$groupidentify"}
)
PRIVATE: Final = frozenset({"$sealed", "network", "text_fields", "request_id", "$groups", "$session_id", "$window_id"})
COLUMNS: Final = (
    "type", "action", "source", "platform", "country", "campaign", "channel", "content_type", "object_type",
    "object_id", "method", "tier", "reason", "value", "duration_ms", "sentiment", "engagement", "is_bot",
)  # fmt: skip

Wire = dict[str, Any]


@job_kind(KIND)
def forward_posthog(job: RunningJob) -> dict[str, Any]:
    """Sends what is due of one tenant until nothing is, or until PostHog takes nothing more."""
    assert job.tenant_id is not None
    settled = 0
    while rows := rows_claim(tenant_id=job.tenant_id, now=timezone.now()):
        done = rows_send(rows, tenant_id=job.tenant_id)
        settled += done
        job.progress(settled, settled)
        if not done:
            break
    return {"settled": settled}


def forward_due(*, now: datetime) -> int:
    """Enqueues a job for each tenant with rows that are due; how many tenants those are."""
    if not settings.POSTHOG_API_KEY:
        return 0
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT tenant_id FROM bw_outbox_tenants(%s)", [now])
        tenants = [row[0] for row in cursor.fetchall()]
    for tenant_id in tenants:
        enqueue(kind=KIND, tenant_id=tenant_id, dedupe_key=KIND)
    return len(tenants)


def rows_claim(*, tenant_id: int, now: datetime) -> list[Outbox]:
    """Up to a batch of due rows; nobody else is given them for a minute."""
    with tenant_context(tenant_id):
        due = Outbox.objects.filter(
            tenant_id=tenant_id, destination=DESTINATION, state=Outbox.State.WAITING, next_at__lte=now
        )
        rows = list(due.order_by("next_at", "id").select_for_update(skip_locked=True)[:BATCH])
        Outbox.objects.filter(pk__in=[row.pk for row in rows]).update(next_at=now + CLAIM)
    return rows


def rows_send(rows: Sequence[Outbox], *, tenant_id: int) -> int:
    """Sends claimed rows; how many are done with. A batch that is refused is halved to find the culprit."""
    with tenant_context(tenant_id):
        wires = _wires(rows)
    wanted = [row for row in rows if row.pk in wires]
    unwanted = [row for row in rows if row.pk not in wires]
    _delete(unwanted, tenant_id)
    return len(unwanted) + (_post(wanted, wires, tenant_id) if wanted else 0)


def anonymised(payload: Mapping[str, Any], event: Event) -> Wire:
    """What leaves the house: a keyed hash of the distinct id's own digest, no address, no text, no query strings."""
    told = {name: _plain(value) for name, value in event.properties.items() if name not in PRIVATE}
    columns = {name: getattr(event, name) for name in COLUMNS}
    told.update({name: value for name, value in columns.items() if value is not None})
    if event.amount is not None and event.currency:
        told["revenue"] = float(Decimal(event.amount).scaleb(-exponents().get(event.currency, 2)))
        told["currency"] = event.currency
    told.update({"$geoip_disable": True, "$lib": "bellwether"})
    if event.subject_id is None:
        told["$process_person_profile"] = False
    return {
        "event": event.name,
        "uuid": str(event.pk),
        "distinct_id": keyed("forward", str(payload["distinct_id"])),
        "timestamp": event.ts.isoformat(),
        "properties": told,
    }


def _wires(rows: Sequence[Outbox]) -> dict[Any, Wire]:
    """The messages by row; an event that was erased meanwhile, or tells of people only, has none."""
    times = [row.event_ts for row in rows if row.event_ts is not None]
    events = Event.objects.filter(pk__in=[row.event_uuid for row in rows], ts__range=(min(times), max(times)))
    known = {event.pk: event for event in events}
    subjects = {event.subject_id for event in known.values() if event.subject_id is not None}
    erased = set(Subject.objects.filter(pk__in=subjects, erased_at__isnull=False).values_list("pk", flat=True))
    found = {row: known.get(row.event_uuid) for row in rows if row.event_uuid is not None}
    return {
        row.pk: anonymised(row.payload, event)
        for row, event in found.items()
        if event is not None and event.name not in NOT_FORWARDED and event.subject_id not in erased
    }


def posthog_post(batch: Sequence[Wire]) -> None:
    """One request of PostHog's client. Raises its APIError, or what `requests` raises."""
    # Imported here: it weighs 30 MB, and processes that forward nothing are many.
    from posthog.request import batch_post

    batch_post(
        settings.POSTHOG_API_KEY,
        settings.POSTHOG_HOST,
        gzip=True,
        timeout=TIMEOUT_SECONDS,
        batch=list(batch),
        historical_migration=False,
    )


def _post(rows: Sequence[Outbox], wires: Mapping[Any, Wire], tenant_id: int) -> int:
    import requests
    from posthog.request import APIError

    try:
        posthog_post([wires[row.pk] for row in rows])
    except APIError as error:
        if error.status in HOPELESS and len(rows) > 1:
            middle = len(rows) // 2
            return _post(rows[:middle], wires, tenant_id) + _post(rows[middle:], wires, tenant_id)
        _put_off(rows, str(error), tenant_id, pause=error.retry_after, is_hopeless=error.status in HOPELESS)
        return 0
    except requests.RequestException as error:
        _put_off(rows, type(error).__name__, tenant_id)
        return 0
    _delete(rows, tenant_id)
    return len(rows)


def _delete(rows: Sequence[Outbox], tenant_id: int) -> None:
    with tenant_context(tenant_id):
        Outbox.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _put_off(
    rows: Sequence[Outbox], error: str, tenant_id: int, *, pause: float | None = None, is_hopeless: bool = False
) -> None:
    """Has rows wait, longer each time; after the last try, or when trying is useless, they are dead letters."""
    now = timezone.now()
    for row in rows:
        row.attempts += 1
        row.error = error[:500]
        row.next_at = now + timedelta(seconds=pause or _pause(row.attempts))
        if is_hopeless or row.attempts >= MAX_ATTEMPTS:
            row.state = Outbox.State.DEAD
    with tenant_context(tenant_id):
        Outbox.objects.bulk_update(rows, ["attempts", "error", "next_at", "state"])


def _pause(attempts: int) -> float:
    """Seconds: 2, 4, 8 … up to an hour, spread by half so that a recovering server is not hit at once."""
    longest: int = min(2**attempts, LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)


def _plain(value: Any) -> Any:
    """A URL without what may identify somebody; everything else as it is."""
    if not isinstance(value, str) or "://" not in value:
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
