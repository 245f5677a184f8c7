"""An erased person is nowhere any more, stays away, and the numbers stay as they were."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from analytics.contracts import IdentityLink, LinkKind, Outcome, PersonChange, Refusal
from analytics.identity import UnknownSubject, person_of, subject_of
from analytics.models import Tenant
from analytics.privacy import erase_subject
from analytics.sealing import Keyring, SealBroken, seal, unseal
from analytics.signals import subject_erased
from analytics.spool import Spool, spool_folder
from analytics.writer import EventWriter
from config import embedded
from tests.analytics.events import NOON, event, ledger, rows, told, write

committed = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])

NAME, MAIL, PHONE, ID = "Zoë Canary-7193", "zoe.canary-7193@example.org", "+33 6 71 93 00 71", "canary-user-7193"
CANARIES = [NAME, MAIL, PHONE, ID, "canary-anonymous-7193"]


@pytest.fixture
def spool(settings: Any, tmp_path: Path) -> Iterator[Spool]:
    settings.ANALYTICS_SPOOL_DIR = str(tmp_path / "spool")
    spool = Spool(spool_folder(), max_bytes=10**6)
    yield spool
    spool.close()


def everywhere(tenant: Tenant, spool: Spool) -> None:
    """Zoë in every store that there is, and her neighbour Bob."""
    link = (IdentityLink(LinkKind.IDENTIFY, "canary-anonymous-7193"),)
    traits = PersonChange(set={"name": NAME, "email": MAIL, "plan": "pro"})
    events = [
        event(tenant, "e1", distinct_id="canary-anonymous-7193", properties={"path": "/a"}),
        event(tenant, "e2", distinct_id=ID, links=link, identifies=True, person=traits, name="$identify", minute=1),
        event(
            tenant, f"order-of-{ID[-4:]}", distinct_id=ID, minute=2, name="order_completed", amount=1999,
            currency="EUR", session_id="s-1", parent_id="e2",
            properties={"plan": "pro", "note": "leave it at the door", "n": 2, "order_id": 77},
            sensitive={"email": MAIL, "phone": PHONE},
        ),
        event(tenant, "bob-1", distinct_id="bob", minute=3, properties={"note": "hi"}),
    ]  # fmt: skip
    write(tenant, events)
    held = {"event": "x", "distinct_id": ID, "email": MAIL}
    refusal = Refusal(
        tenant_id=tenant.pk, outcome=Outcome.QUARANTINED, reason="bad_number", received_at=NOON, event_id="q1",
        payload=json.dumps(held).encode(),
    )  # fmt: skip
    other = event(tenant, "e2", distinct_id=ID, properties={"other": True}, sensitive={"email": MAIL})
    write(tenant, [other], [refusal])
    spool.append(
        [event(tenant, "late", distinct_id=ID, sensitive={"email": MAIL}), event(tenant, "bob-2", distinct_id="bob")]
    )
    spool.close()  # the process that wrote it is gone


@committed
def test_erasing_reaches_every_store_and_leaves_the_numbers(
    acme: Tenant, globex: Tenant, spool: Spool, settings: Any
) -> None:
    settings.POSTHOG_API_KEY = "phc_test"
    for tenant in (acme, globex):
        everywhere(tenant, spool)
    numbers = "SELECT name, count(*), count(DISTINCT s.person_id), sum(amount_base)::int FROM bw_event e" \
        " JOIN bw_subject s ON s.id = e.subject_id GROUP BY 1 ORDER BY 1"  # fmt: skip
    before, neighbour = rows(acme, numbers), person_of(tenant_id=acme.pk, distinct_id="bob")
    strangers = {t: rows(globex, f"SELECT t::text FROM {t} t ORDER BY 1") for t in STORES}
    heard: list[dict[str, Any]] = []
    subject_erased.connect(lambda **news: heard.append(news), weak=False, dispatch_uid="test")

    try:
        receipt = erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON)
    finally:
        subject_erased.disconnect(dispatch_uid="test")

    assert receipt.rows == {
        "dirty_minutes": 0, "events": 3, "events_about": 0, "outbox": 3, "sessions": 0,
        "profiles": 1, "identities": 2, "identity_edges": 2,
        "subject_keys": 2, "quarantine": 2, "dirty_marks": 2, "spool": 1,
        "lake": 0, "lake_hours": 0, "lake_marks": 2, "kept_answers": 0, "uploads": 0,
    }  # fmt: skip
    assert receipt.is_complete
    assert (len(heard), heard[0]["tenant_id"], len(heard[0]["subject_ids"])) == (1, acme.pk, 2)
    assert rows(acme, numbers) == before
    with pytest.raises(UnknownSubject):
        subject_of(tenant_id=acme.pk, distinct_id=ID)
    assert rows(acme, "SELECT count(*) FROM bw_subject WHERE wrapped_key IS NULL AND erased_at IS NOT NULL") == [(2,)]
    assert rows(
        acme, "SELECT properties::text, session_id = 's-1', event_id LIKE 'order%%' FROM bw_event WHERE amount > 0"
    ) == [('{"n": 2, "plan": "pro"}', False, False)], (
        "free texts, what looks like an id and sealed values are gone; coarse values stay"
    )
    assert person_of(tenant_id=acme.pk, distinct_id="bob") == neighbour
    assert rows(acme, "SELECT properties::text FROM bw_event WHERE event_id = 'bob-1'") == [('{"note": "hi"}',)]
    assert {t: rows(globex, f"SELECT t::text FROM {t} t ORDER BY 1") for t in STORES} == strangers
    assert ledger(acme) == {"conflict/id_taken": 1, "quarantined/bad_number": 1, "stored": 4}, (
        "the ledger still adds up"
    )


STORES = [
    "bw_event",
    "bw_event_key",
    "bw_identity",
    "bw_subject",
    "bw_identity_edge",
    "bw_profile",
    "bw_quarantine",
    "bw_outbox",
    "bw_suppression",
    "bw_dirty_mark",
    "bw_outcome",
]


@committed
def test_an_erased_person_cannot_come_back_by_late_events_or_aliases(
    acme: Tenant, globex: Tenant, spool: Spool
) -> None:
    for tenant in (acme, globex):
        everywhere(tenant, spool)
    erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON)

    late = [
        event(acme, "late-1", distinct_id=ID),
        event(acme, "late-2", distinct_id="canary-anonymous-7193", minute=10**6),
    ]
    alias = event(acme, "late-3", distinct_id="bob", links=(IdentityLink(LinkKind.ALIAS, ID),))
    assert told(write(acme, [*late, alias])) == ["rejected/erased_subject"] * 2 + ["stored"]

    assert person_of(tenant_id=acme.pk, distinct_id="bob").distinct_ids == ("bob",)
    assert told(write(globex, [event(globex, "late-1", distinct_id=ID)])) == ["stored"]
    assert rows(acme, "SELECT count(*) FROM bw_suppression") == [(2,)]


@committed
def test_events_of_others_about_the_person_lose_the_reference_and_are_counted_again(
    acme: Tenant, globex: Tenant
) -> None:
    for tenant in (acme, globex):
        write(tenant, [event(tenant, "e1", distinct_id="bob", object_id="carol"), event(tenant, "e2", minute=3)])

    receipt = erase_subject(tenant_id=acme.pk, distinct_id="carol", now=NOON)

    assert (receipt.rows["events_about"], receipt.rows["dirty_minutes"], receipt.is_complete) == (1, 1, True)
    objects = "SELECT object_id FROM bw_event WHERE event_id = 'e1'"
    assert (rows(acme, objects), rows(globex, objects)) == ([(None,)], [("carol",)])
    assert rows(acme, "SELECT minute FROM bw_dirty_mark WHERE reason = 'erasure'") == [(NOON,)]


@committed
def test_an_event_in_flight_cannot_slip_past_an_erasure(acme: Tenant, globex: Tenant) -> None:
    writers, stop = [EventWriter(workers=1) for _ in range(3)], threading.Event()

    def send(writer: EventWriter, number: int) -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            batch = [
                event(tenant, f"{number}-{turn}-{n}", distinct_id=f"user-{n}", properties={"note": "free text"})
                for n in range(10)
                for tenant in (acme, globex)
            ]
            writer.submit(batch).result(30)

    threads = [threading.Thread(target=send, args=(writer, n)) for n, writer in enumerate(writers)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    receipts = [erase_subject(tenant_id=acme.pk, distinct_id=f"user-{n}", now=NOON) for n in range(5)]
    stop.set()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.close()

    assert [receipt.is_complete for receipt in receipts] == [True] * 5
    readable = "SELECT count(DISTINCT subject_id) FROM bw_event WHERE properties ? 'note'"
    assert (rows(acme, readable), rows(globex, readable)) == ([(5,)], [(10,)])
    assert rows(acme, "SELECT count(*) FROM bw_identity") == [(5,)]


@committed
def test_somebody_unknown_is_suppressed_all_the_same(acme: Tenant, globex: Tenant) -> None:
    receipt = erase_subject(tenant_id=acme.pk, distinct_id="not seen yet", now=NOON)

    assert receipt.is_complete
    assert set(receipt.rows.values()) == {0}
    assert told(write(acme, [event(acme, "e1", distinct_id="not seen yet")])) == ["rejected/erased_subject"]
    assert told(write(globex, [event(globex, "e1", distinct_id="not seen yet")])) == ["stored"]


@committed
def test_it_may_be_run_again(acme: Tenant, globex: Tenant, spool: Spool) -> None:
    for tenant in (acme, globex):
        everywhere(tenant, spool)
    erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON)
    again = erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON)
    assert again.is_complete
    assert set(again.rows.values()) == {0}


@committed
def test_a_dry_run_tells_the_same_and_changes_nothing(acme: Tenant, globex: Tenant, spool: Spool) -> None:
    for tenant in (acme, globex):
        everywhere(tenant, spool)
    before = {t: rows(acme, f"SELECT t::text FROM {t} t ORDER BY 1") for t in STORES}
    output = StringIO()

    call_command("erase_subject", "--tenant", "acme", "--user", ID, "--dry-run", "--json", stdout=output)

    receipt = json.loads(output.getvalue())
    assert (receipt["is_dry_run"], receipt["is_complete"], receipt["subjects"]) == (True, False, 2)
    assert receipt["rows"]["events"] == 3
    assert {t: rows(acme, f"SELECT t::text FROM {t} t ORDER BY 1") for t in STORES} == before
    with pytest.raises(CommandError):
        call_command("erase_subject", "--tenant", "nobody", "--user", ID)


@committed
def test_no_byte_on_disk_ever_held_the_person_in_plain_text(
    acme: Tenant, globex: Tenant, spool: Spool, test_home: Path
) -> None:
    for tenant in (acme, globex):
        everywhere(tenant, spool)
    erase_subject(tenant_id=acme.pk, distinct_id=ID, now=NOON)
    with psycopg.connect(embedded.admin_url(test_home), autocommit=True) as admin:
        admin.execute("CHECKPOINT")
        (data,) = admin.execute("SHOW data_directory").fetchone() or ("",)

    found = {canary: _files_with(canary, [Path(data), spool.folder, test_home / "log"]) for canary in CANARIES}

    assert found == {canary: [] for canary in CANARIES}
    assert _files_with("bw_event", [Path(data)]), "the scan can see what is there"


def _files_with(text: str, folders: list[Path]) -> list[str]:
    existing = [str(folder) for folder in folders if folder.exists()]
    done = subprocess.run(["grep", "-rlaF", "--", text, *existing], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


# --- Seals ------------------------------------------------------------------------------------------------------------


def test_a_seal_opens_only_with_its_key_and_context_and_only_unchanged() -> None:
    key, other = b"k" * 32, b"o" * 32
    sealed = seal(key, b"secret", context=b"a")

    assert unseal(key, sealed, context=b"a") == b"secret"
    assert sealed != seal(key, b"secret", context=b"a"), "equal values do not look equal"
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong in (
        (other, sealed, b"a"),
        (key, sealed, b"b"),
        (key, changed, b"a"),
        (key, b"", b"a"),
        (key, b"\x01" * 40, b"a"),
    ):
        with pytest.raises(SealBroken):
            unseal(wrong[0], wrong[1], context=wrong[2])


def test_digests_depend_on_the_secret_and_the_tenant_only() -> None:
    ring = Keyring("one")
    assert ring.digest(1, "ada") == Keyring("one").digest(1, "ada")
    assert (
        len({ring.digest(1, "ada"), ring.digest(2, "ada"), ring.digest(1, "bob"), Keyring("two").digest(1, "ada")}) == 4
    )
    with pytest.raises(ValueError, match="empty"):
        Keyring("")


def test_a_data_key_is_wrapped_for_its_tenant() -> None:
    ring = Keyring("one")
    plain, wrapped = ring.new_data_key(1)
    assert ring.unwrap(1, wrapped) == plain
    assert plain not in wrapped
    for stranger, tenant in ((ring, 2), (Keyring("two"), 1)):
        with pytest.raises(SealBroken):
            stranger.unwrap(tenant, wrapped)
