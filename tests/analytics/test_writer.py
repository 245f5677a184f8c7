"""Storing batches: every event gets its verdict, the ledger adds up, one bad event hurts nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import psycopg
import pytest
from django.db import connections, transaction

from analytics.contracts import GroupChange, IdentityLink, LinkKind, Outcome, PersonChange, Refusal, Verdict
from analytics.models import Tenant
from analytics.rates import Rate, rates_import
from analytics.tenancy import tenant_by_slug, tenant_context
from analytics.writer import EventWriter, WriterBusy, write_batch
from analytics.writing.loop import connect
from analytics.writing.rows import dedupe_key, event_uuids
from tests.analytics.events import NOON, event, ledger, rows, told, write

UUIDS = [f"0192d1c0-0000-7000-8000-00000000000{n}" for n in range(10)]


# --- One batch ------------------------------------------------------------------------------------------------------


def test_it_stores_every_column_as_it_was_captured(acme: Tenant, globex: Tenant) -> None:
    sent = NOON - timedelta(seconds=3)
    full = event(
        acme, "order-1", name="order_completed", distinct_id="ada", sent_at=sent, client_timestamp="12:00",
        type="payment", action="buy", source="import", session_id="s1", parent_id="p1", platform="web", country="FR",
        campaign="spring",
        channel="news", content_type="page", object_type="product", object_id="85123A", method="card", tier="gold",
        reason="none", value=1.5, duration_ms=12.25, amount=1999, currency="EUR", sentiment=0.5, engagement="high",
        is_bot=True, bot_reason="ua", is_internal=True, is_historical=True, is_clamped=True,
        properties={"é": [1, None, {"deep": True}], "big": 2**53},
    )  # fmt: skip

    assert told(write(acme, [full])) == ["stored"]

    columns = (
        "event_id, name, type, action, source, session_id, parent_id, platform, country, campaign, channel,"
        " content_type, object_type, object_id, method, tier, reason, value, duration_ms, amount, currency,"
        " amount_base, sentiment, engagement, is_bot, bot_reason, is_internal, is_historical, is_clamped,"
        " client_timestamp, ts, received_at, sent_at, properties::text, subject_id"
    )
    assert rows(acme, f"SELECT {columns} FROM bw_event") == [
        (
            "order-1", "order_completed", "payment", "buy", "import", "s1", "p1", "web", "FR", "spring", "news", "page",
            "product", "85123A", "card", "gold", "none", 1.5, 12.25, 1999, "EUR", 1999, 0.5,
            "high", True, "ua", True, True, True, "12:00", NOON, NOON, sent,
            '{"é": [1, null, {"deep": true}], "big": 9007199254740992}', 1,
        )
    ]  # fmt: skip
    assert rows(acme, "SELECT key, event_uuid = (SELECT id FROM bw_event), ts FROM bw_event_key") == [
        (uuid5(NAMESPACE_OID, "order-1"), True, NOON)
    ]
    assert rows(acme, "SELECT minute, subject_id, reason FROM bw_dirty_mark") == [(NOON, None, "event")]
    assert (
        rows(
            globex, "SELECT 1 FROM bw_event UNION ALL SELECT 1 FROM bw_event_key UNION ALL SELECT 1 FROM bw_dirty_mark"
        )
        == []
    )


def test_the_same_event_again_is_a_duplicate_and_another_under_its_id_a_conflict(acme: Tenant, globex: Tenant) -> None:
    first = event(acme, UUIDS[1], distinct_id="ada")
    later = event(acme, UUIDS[1], distinct_id="ada", minute=7)  # a retry whose corrected time drifted
    other = event(acme, UUIDS[1], distinct_id="ada", properties={"n": 2})

    assert told(write(acme, [first, later])) == ["stored", "duplicate"]
    assert told(write(acme, [other, first, other])) == ["conflict/id_taken", "duplicate", "conflict/id_taken"]
    assert told(write(globex, [event(globex, UUIDS[1])])) == ["stored"], "ids belong to their tenant"

    assert rows(acme, "SELECT ts FROM bw_event") == [(NOON,)]
    assert rows(acme, "SELECT outcome, reason, event_id, state FROM bw_quarantine") == [
        ("conflict", "id_taken", UUIDS[1], "held")
    ], "a conflict that is repeated is held once"
    assert ledger(acme) == {"conflict/id_taken": 2, "duplicate": 2, "stored": 1}
    assert ledger(globex) == {"stored": 1}
    assert rows(acme, "SELECT minute FROM bw_dirty_mark") == [(NOON,)], "only stored events dirty a minute"


POISON: dict[str, dict[str, Any]] = {
    "NUL in a column": {"name": "nul\0inside"},
    "surrogate in a column": {"name": "lone\ud800surrogate"},
    "NUL in a property": {"properties": {"key": "nul\0inside"}},
    "surrogate in a property": {"properties": {"lone": "\udfff"}},
    "no JSON": {"properties": {"object": object()}},
    "amount beyond 64 bits": {"amount": 2**63},
    "hash beyond 64 bits": {"payload_hash": 2**64},
    "NUL in a session": {"session_id": "\0"},
    "surrogate in a distinct id": {"distinct_id": "\udfff", "name": "\0"},
}


@pytest.mark.parametrize("kind", POISON)
@pytest.mark.parametrize("place", [0, 4, 8])
def test_one_event_that_cannot_be_stored_does_not_cost_its_neighbours(
    acme: Tenant, globex: Tenant, kind: str, place: int
) -> None:
    batch = [event(acme, f"good-{n}", distinct_id=f"user-{n}", minute=n) for n in range(8)]
    batch.insert(place, event(acme, "bad", **{"payload_hash": 1, **POISON[kind]}))

    outcomes = told(write(acme, batch))

    assert outcomes[place] == "quarantined/unstorable"
    assert outcomes[:place] + outcomes[place + 1 :] == ["stored"] * 8
    assert rows(acme, "SELECT event_id FROM bw_event ORDER BY event_id") == [(f"good-{n}",) for n in range(8)]
    assert rows(acme, "SELECT outcome, reason, event_id FROM bw_quarantine") == [("quarantined", "unstorable", "bad")]
    assert ledger(acme) == {"quarantined/unstorable": 1, "stored": 8}
    assert ledger(globex) == {}


def test_a_quarantined_event_does_not_use_up_its_id(acme: Tenant) -> None:
    assert told(write(acme, [event(acme, "e1", name="nul\0")])) == ["quarantined/unstorable"]
    assert told(write(acme, [event(acme, "e1", name="healed")])) == ["stored"]


def test_refusals_of_the_door_are_counted_and_quarantined_ones_kept_encrypted(acme: Tenant, globex: Tenant) -> None:
    def refusal(outcome: Outcome, reason: str, payload: bytes) -> Refusal:
        return Refusal(
            tenant_id=acme.pk, outcome=outcome, reason=reason, received_at=NOON, event_id="x", payload=payload
        )

    held = refusal(Outcome.QUARANTINED, "bad_number", b'{"secret":"canary"}')
    empty = refusal(Outcome.REJECTED, "no_event_name", b"")

    assert write(acme, [], [held, held, empty]) == []

    assert ledger(acme) == {"quarantined/bad_number": 2, "rejected/no_event_name": 1}
    kept = rows(acme, "SELECT outcome, reason, event_id, name, position('canary' in payload) FROM bw_quarantine")
    assert kept == [("quarantined", "bad_number", "x", None, 0)]
    assert ledger(globex) == {}


def test_outcomes_are_counted_by_hour_of_receipt(acme: Tenant) -> None:
    write(acme, [event(acme, f"e{n}", received_at=NOON + timedelta(minutes=n * 40)) for n in range(4)])

    assert rows(acme, "SELECT hour, n FROM bw_outcome ORDER BY hour") == [
        (NOON, 2),
        (NOON + timedelta(hours=1), 1),
        (NOON + timedelta(hours=2), 1),
    ]


def test_traits_are_folded_in_order_of_time_and_sensitive_ones_are_sealed(acme: Tenant, globex: Tenant) -> None:
    change = PersonChange
    write(
        acme,
        [
            event(acme, "e2", minute=2, distinct_id="ada", person=change(set={"plan": "pro"}, unset=("trial",))),
            event(acme, "e1", minute=1, distinct_id="ada", person=change(set={"plan": "free", "trial": True})),
            event(
                acme,
                "e3",
                minute=3,
                distinct_id="ada",
                person=change(set_once={"plan": "no", "ref": "ads", "gone": None}),
            ),
            event(acme, "e4", minute=4, distinct_id="ada", person=change(set={"email": "ada@example.org"})),
        ],
    )

    stored = "SELECT subject_id, traits::text, position('ada' in sealed_traits), updated_at FROM bw_profile"
    assert rows(acme, stored) == [(1, '{"ref": "ads", "plan": "pro"}', 0, NOON)]
    write(
        acme, [event(acme, "e5", distinct_id="ada", person=change(set={"plan": "pro"}))], now=NOON + timedelta(hours=1)
    )
    assert rows(acme, stored) == [(1, '{"ref": "ads", "plan": "pro"}', 0, NOON)], "what does not change is not written"
    assert rows(globex, stored) == []


def test_groups_are_merged_and_their_secrets_sealed(acme: Tenant, globex: Tenant) -> None:
    def grouped(event_id: str, minute: int, **traits: Any) -> Any:
        return event(acme, event_id, minute=minute, group=GroupChange("company", "acme", traits))

    write(acme, [grouped("e1", 1, seats=3, plan="pro"), grouped("e2", 2, seats=4, phone="+33 1 23")])

    query = "SELECT type, key, traits - 'phone', traits ? 'phone', traits::text LIKE '%%33 1%%' FROM bw_group"
    assert [(*row[:2], *row[3:]) for row in rows(acme, query)] == [("company", "acme", True, False)]
    assert rows(acme, "SELECT traits ->> 'seats', traits ->> 'plan' FROM bw_group") == [("4", "pro")]
    assert rows(globex, "SELECT 1 FROM bw_group") == []


def test_stored_events_are_forwarded_without_identity_when_a_key_is_set(acme: Tenant, settings: Any) -> None:
    settings.POSTHOG_API_KEY = "phc_test"
    write(acme, [event(acme, "e1", distinct_id="ada", properties={"n": 1}, sensitive={"email": "ada@example.org"})])
    write(acme, [event(acme, "e1", distinct_id="ada", properties={"n": 1}, sensitive={"email": "ada@example.org"})])

    query = """
        SELECT destination, state, payload ->> 'event', payload -> 'properties' ->> 'n',
               payload -> 'properties' ? '$sealed',
               (payload ->> 'uuid')::uuid = event_uuid, event_uuid = (SELECT id FROM bw_event),
               payload ->> 'distinct_id' = (SELECT replace(digest::text, '-', '') FROM bw_identity)
          FROM bw_outbox"""
    assert rows(acme, query) == [("posthog", "waiting", "page_viewed", "1", False, True, True, True)]


def test_it_joins_the_callers_transaction(acme: Tenant) -> None:
    with tenant_context(acme.pk), transaction.atomic():
        write_batch(connections["default"], [event(acme, "e1")], now=NOON)
        transaction.set_rollback(True)  # the host changes its mind

    assert rows(acme, "SELECT 1 FROM bw_event UNION ALL SELECT 1 FROM bw_outcome") == []


def test_several_batches_in_one_transaction_do_not_mix(acme: Tenant) -> None:
    with tenant_context(acme.pk):
        answers = [told(write_batch(connections["default"], [event(acme, f"e{n}")], now=NOON)) for n in (1, 2, 1)]

    assert answers == [["stored"], ["stored"], ["duplicate"]]
    assert ledger(acme) == {"duplicate": 1, "stored": 2}


def test_the_app_role_cannot_write_into_another_tenant(acme: Tenant, globex: Tenant) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), tenant_context(acme.pk), transaction.atomic():
        write_batch(connections["default"], [event(globex, "e1")], now=NOON)

    assert rows(globex, "SELECT 1 FROM bw_event") == []


def test_a_uuid_is_its_own_key_however_it_is_written_and_other_ids_get_one() -> None:
    assert dedupe_key(UUIDS[1]) == dedupe_key(UUIDS[1].upper()) == UUID(UUIDS[1]).bytes
    for text in ("order-1", "", "é", UUIDS[1][:-1] + "x", " " * 36, UUIDS[1].replace("-", "")):
        assert dedupe_key(text) == uuid5(NAMESPACE_OID, text).bytes


def test_event_ids_rise_and_are_version_7() -> None:
    made = event_uuids()
    ids = [UUID(int=high << 64 | low) for high, low in (next(made) for _ in range(1000))]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}


# --- The writer of a process ------------------------------------------------------------------------------------------

committed = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])


@pytest.fixture
def writer() -> Iterator[EventWriter]:
    writer = EventWriter(workers=2)
    yield writer
    writer.close()


@committed
def test_a_batch_may_hold_two_tenants(acme: Tenant, globex: Tenant, writer: EventWriter) -> None:
    batch = [event((acme, globex)[n % 2], f"e{n // 2}", distinct_id="ada") for n in range(6)]

    assert told(writer.submit(batch).result(10)) == ["stored"] * 6

    for tenant in (acme, globex):
        assert rows(tenant, "SELECT event_id, subject_id FROM bw_event ORDER BY 1") == [("e0", 1), ("e1", 1), ("e2", 1)]
        assert ledger(tenant) == {"stored": 3}


@committed
def test_the_ingest_role_can_do_all_that_a_batch_asks_for(
    acme: Tenant, globex: Tenant, writer: EventWriter, settings: Any
) -> None:
    settings.POSTHOG_API_KEY = "phc_test"
    for tenant in (acme, globex):
        rates_import(tenant=tenant_by_slug(tenant.slug), rates=[Rate(NOON.date(), "USD", Decimal(2))], now=NOON)
    link = (IdentityLink(LinkKind.IDENTIFY, "anon"),)
    traits = PersonChange(set={"email": "ada@example.org", "plan": "pro"})
    batch = [
        one
        for tenant in (acme, globex)
        for one in (
            event(tenant, "e1", distinct_id="ada", identifies=True, links=link, person=traits),
            event(tenant, "e2", distinct_id="ada", amount=100, currency="USD", sensitive={"phone": "1"}),
            event(tenant, "e3", group=GroupChange("company", "acme", {"seats": 3})),
            event(tenant, "e1", distinct_id="somebody else"),
            event(tenant, "e4", name="NUL\0"),
        )
    ]

    ends = ["stored", "stored", "stored", "conflict/id_taken", "quarantined/unstorable"]
    assert told(writer.submit(batch).result(10)) == ends * 2
    assert told(writer.submit(batch).result(10)) == ["duplicate"] * 3 + ends[3:] + ["duplicate"] * 3 + ends[3:]

    for tenant in (acme, globex):
        assert rows(tenant, "SELECT amount_base FROM bw_event WHERE amount > 0") == [(200,)]
        assert rows(tenant, "SELECT count(DISTINCT person_id) FROM bw_subject WHERE is_identified") == [(1,)]
        counts = "SELECT (SELECT count(*) FROM bw_profile), (SELECT count(*) FROM bw_group)," \
            " (SELECT count(*) FROM bw_quarantine), (SELECT count(*) FROM bw_outbox)"  # fmt: skip
        assert rows(tenant, counts) == [(1, 1, 2, 3)]
        assert ledger(tenant) == {"conflict/id_taken": 2, "duplicate": 3, "quarantined/unstorable": 2, "stored": 3}


@committed
def test_each_submission_gets_its_own_verdicts_after_commit(acme: Tenant, globex: Tenant, writer: EventWriter) -> None:
    answers: dict[int, list[str]] = {}

    def send(client: int) -> None:
        futures = [writer.submit([event(acme, f"e{client}-{n}"), event(globex, f"e{n}")]) for n in range(20)]
        answers[client] = [outcome for future in futures for outcome in told(future.result(30))]

    threads = [threading.Thread(target=send, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    everything = [outcome for client in answers.values() for outcome in client]
    assert (everything.count("stored"), everything.count("duplicate")) == (160 + 20, 140)
    assert rows(acme, "SELECT count(*) FROM bw_event") == [(160,)]
    assert rows(globex, "SELECT count(*) FROM bw_event") == [(20,)]
    assert (ledger(acme), ledger(globex)) == ({"stored": 160}, {"duplicate": 140, "stored": 20})


@committed
def test_two_writers_with_the_same_events_in_opposite_order_store_each_once(acme: Tenant, globex: Tenant) -> None:
    writers = [EventWriter(workers=1) for _ in range(2)]
    batch = [event((acme, globex)[n % 2], f"e{n}", distinct_id=f"user-{n % 50}") for n in range(600)]
    futures = [w.submit(b) for _ in range(3) for w, b in zip(writers, (batch, batch[::-1]), strict=True)]
    outcomes = [outcome for future in futures for outcome in told(future.result(60))]
    for each in writers:
        each.close()

    assert (outcomes.count("stored"), outcomes.count("duplicate")) == (600, 3000)
    for tenant in (acme, globex):
        assert rows(tenant, "SELECT count(*), count(DISTINCT subject_id) FROM bw_event") == [(300, 25)]
        assert rows(tenant, "SELECT count(*) FROM bw_subject") == [(25,)]


@committed
def test_it_is_busy_instead_of_growing_without_bound(acme: Tenant) -> None:
    gate = threading.Event()

    def opener() -> psycopg.Connection[Any]:
        gate.wait(10)
        return connect()

    writer = EventWriter(workers=1, max_pending_events=10, opener=opener)
    futures = [writer.submit([event(acme, f"e{n}")]) for n in range(10)]
    with pytest.raises(WriterBusy):
        writer.submit([event(acme, "one too many")])
    gate.set()

    assert [told(future.result(10)) for future in futures] == [["stored"]] * 10
    writer.close()
    assert writer.pending_events == 0


@committed
def test_a_connection_that_died_while_idle_is_replaced(acme: Tenant, globex: Tenant, writer: EventWriter) -> None:
    assert told(writer.submit([event(acme, "e1"), event(globex, "e1")]).result(10)) == ["stored"] * 2
    _end_writers_connections()

    assert told(writer.submit([event(acme, "e2"), event(globex, "e1")]).result(10)) == ["stored", "duplicate"]

    assert rows(acme, "SELECT event_id FROM bw_event ORDER BY 1") == [("e1",), ("e2",)]
    assert (ledger(acme), ledger(globex)) == ({"stored": 2}, {"duplicate": 1, "stored": 1})


@committed
def test_while_postgresql_is_away_submissions_fail_at_once(acme: Tenant) -> None:
    def opener() -> psycopg.Connection[Any]:
        raise psycopg.OperationalError("connection refused")

    writer = EventWriter(workers=1, opener=opener)
    begun = time.monotonic()
    for number in range(50):
        with pytest.raises(psycopg.OperationalError):
            writer.submit([event(acme, f"e{number}")]).result(5)
    assert time.monotonic() - begun < 2
    writer.close()


@committed
def test_one_faulty_submission_does_not_fail_those_it_was_grouped_with(acme: Tenant) -> None:
    gate = threading.Event()

    def opener() -> psycopg.Connection[Any]:
        gate.wait(10)
        return connect()

    writer = EventWriter(workers=1, opener=opener)
    first: Future[list[Verdict]] = writer.submit([event(acme, "e0")])
    futures = [writer.submit([event(acme, f"good-{n}")]) for n in range(3)]
    nobody = Tenant(pk=2_000_000_000)
    faulty = writer.submit([event(nobody, "bad", distinct_id="ada")])
    gate.set()

    assert told(first.result(10)) == ["stored"]
    assert [told(future.result(10)) for future in futures] == [["stored"]] * 3
    with pytest.raises(psycopg.ProgrammingError):
        faulty.result(10)
    writer.close()


@committed
def test_closing_writes_what_is_waiting(acme: Tenant) -> None:
    writer = EventWriter(workers=1)
    futures = [writer.submit([event(acme, f"e{n}")]) for n in range(100)]
    writer.close()

    assert [told(future.result(0)) for future in futures] == [["stored"]] * 100
    with pytest.raises(WriterBusy):
        writer.submit([event(acme, "late")])


def _end_writers_connections() -> None:
    parameters = {
        k: v
        for k, v in connections["ingest"].get_connection_params().items()
        if k in ("dbname", "user", "password", "host", "port")
    }
    with psycopg.connect(**parameters, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
        )
