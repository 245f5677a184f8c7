"""The capture application of a process, over the real writer and the real key ring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import close_old_connections
from django.utils import timezone

from analytics.access.authentication import key_ring
from analytics.access.services import api_key_create
from analytics.access.tokens import resolve_jwt
from analytics.capture.asgi import CaptureApp
from analytics.capture.intake import Intake
from analytics.models import Event, OutcomeCount, Tenant
from analytics.tenancy import tenant_context
from analytics.writer import EventWriter


@pytest.fixture
def writer(transactional_db: None) -> Iterator[EventWriter]:
    writer = EventWriter()
    yield writer
    writer.close()


@pytest.fixture
def app(writer: EventWriter) -> Iterator[CaptureApp]:
    key_ring().forget()
    intake = Intake(
        keys=key_ring(),
        writer=lambda: writer,
        clock=timezone.now,
        jwt=resolve_jwt,
        renew=close_old_connections,
        secret=b"secret",
    )
    yield CaptureApp(intake)
    # The look-ups' threads keep Django connections, and TRUNCATE would wait for nothing but them.
    intake.close()


def token_of(tenant: Tenant, kind: str = "pk", scopes: tuple[str, ...] = ()) -> str:
    return api_key_create(tenant_id=tenant.pk, kind=kind, name="sdk", scopes=scopes)[1]


def names_stored(tenant: Tenant) -> Counter[str]:
    with tenant_context(tenant.pk):
        return Counter(Event.objects.values_list("name", flat=True))


def outcomes(tenant: Tenant) -> dict[str, int]:
    counted: Counter[str] = Counter()
    with tenant_context(tenant.pk):
        for outcome, n in OutcomeCount.objects.values_list("outcome", "n"):
            counted[outcome] += n
    return dict(counted)
