"""A host's transaction that stays open keeps nobody waiting but the person it has just met."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections, transaction

from analytics.contracts import IdentityLink, LinkKind
from analytics.models import Tenant
from analytics.writer import EventWriter
from tests.analytics.events import event, rows, told, write

NAMES = "SELECT event_id FROM bw_event ORDER BY event_id"


@contextmanager
def host_holding(tenant: Tenant, person: str) -> Iterator[None]:
    """A transaction of the host's own process that has told of somebody new and has not ended."""
    held, ended = threading.Event(), threading.Event()

    def host() -> None:
        with transaction.atomic():
            linked = event(tenant, f"host-{person}", name="$identify", distinct_id=person)
            linked.links = (IdentityLink(kind=LinkKind.IDENTIFY, other=f"anonymous-{person}"),)
            linked.identifies = True
            write(tenant, [linked])
            held.set()
            ended.wait(30)
        connections.close_all()

    thread = threading.Thread(target=host)
    thread.start()
    try:
        assert held.wait(10)
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def writer(transactional_db: None) -> Iterator[EventWriter]:
    writer = EventWriter(workers=1)
    yield writer
    writer.close()


@pytest.mark.django_db(transaction=True)
def test_others_are_stored_while_one_person_is_held(acme: Tenant, globex: Tenant, writer: EventWriter) -> None:
    first = writer.submit([event(acme, "warm", distinct_id="warm")])
    assert told(first.result(5)) == ["stored"]
    with host_holding(acme, "new"):
        begun = time.monotonic()
        held = writer.submit([event(acme, "h", distinct_id="new")])
        others = [writer.submit([event(acme, f"o{n}", distinct_id=f"other-{n}")]) for n in range(50)]
        neighbour = writer.submit([event(globex, "n", distinct_id="new")])

        assert [told(each.result(6)) for each in others] == [["stored"]] * 50
        assert told(neighbour.result(6)) == ["stored"]
        with pytest.raises(psycopg.errors.LockNotAvailable):
            held.result(6)
        assert time.monotonic() - begun < 3.2  # what a door waits for

    # The client sends it again, as it does after any 503.
    assert told(writer.submit([event(acme, "h", distinct_id="new")]).result(6)) == ["stored"]
    assert len(rows(acme, NAMES)) == 53
    assert rows(globex, NAMES) == [("n",)]


@pytest.mark.django_db(transaction=True)
def test_who_is_held_alone_is_told_so(acme: Tenant, globex: Tenant, writer: EventWriter) -> None:
    for tenant in (acme, globex):
        writer.submit([event(tenant, "warm", distinct_id="warm")]).result(5)
    with host_holding(acme, "new"):
        with pytest.raises(psycopg.errors.LockNotAvailable):
            writer.submit([event(acme, "h", distinct_id="new")]).result(6)
        assert writer.pending_events == 0
        assert told(writer.submit([event(globex, "h", distinct_id="new")]).result(6)) == ["stored"]

    assert told(writer.submit([event(acme, "h", distinct_id="new")]).result(6)) == ["stored"]


@pytest.mark.django_db(transaction=True)
def test_claims_of_others_wait_no_longer_than_that(acme: Tenant, globex: Tenant, writer: EventWriter) -> None:
    writer.submit([event(acme, "warm", distinct_id="warm")]).result(5)
    claim = event(acme, "claim", name="$identify", distinct_id="eve")
    claim.links = (IdentityLink(kind=LinkKind.IDENTIFY, other="anonymous-eve"),)
    claim.identifies = True
    with host_holding(acme, "new"):
        held = writer.submit([claim])
        plain = writer.submit([event(acme, "p", distinct_id="eve")])

        assert told(plain.result(6)) == ["stored"]
        with pytest.raises(psycopg.errors.LockNotAvailable):
            held.result(6)

    assert told(writer.submit([claim]).result(6)) == ["stored"]
