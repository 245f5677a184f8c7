"""An erased person leaves the lake at once, a tenant altogether, and old events when they are due."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics.identity import subject_of
from analytics.lake.forgetting import lake_forget_tenant, lake_trim
from analytics.lake.garbage import Collected, collect
from analytics.models import LakePiece, Tenant
from analytics.privacy import erase_subject
from analytics.store import event_store
from tests.analytics.events import NOON, event, rows, write
from tests.analytics.lake.lakes import DAY, FIRST, LAST, event_ids, files_of, lake_rows, live, on_disk, seal, stored_ids

CANARY = "canary-ann"
committed = pytest.mark.django_db(transaction=True, databases=["default", "erasure"])


def ann_and_bob(tenant: Tenant) -> None:
    """Ann on the first and third day, Bob on all three; on the second, Bob writes to Ann."""
    write(
        tenant,
        [
            event(tenant, f"{CANARY}-1", distinct_id=CANARY, session_id=f"{CANARY}-s", properties={"note": CANARY}),
            event(tenant, f"{CANARY}-3", distinct_id=CANARY, minute=2880, amount=700, currency="EUR"),
            event(tenant, "b1", distinct_id="bob", minute=1),
            event(tenant, "b2", distinct_id="bob", minute=1441, name="message.sent", object_id=CANARY),
            event(tenant, "b3", distinct_id="bob", minute=2881),
        ],
    )


@committed
def test_an_erasure_rewrites_the_files_that_hold_the_person_and_leaves_no_trace_on_disk(
    acme: Tenant, globex: Tenant, lake: Path
) -> None:
    for tenant in (acme, globex):
        ann_and_bob(tenant)
        write(tenant, [event(tenant, "b4", distinct_id="bob", minute=4320)])
        seal(tenant)
    write(acme, [event(acme, "b5", distinct_id="bob", minute=2)])
    seal(acme)  # a former piece of the first day is still there, for its readers
    before, theirs = {piece.start: piece.path for piece in live(acme)}, on_disk(lake / f"t{globex.pk}")
    ann = subject_of(tenant_id=acme.pk, distinct_id=CANARY)

    dry = erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOON, dry_run=True)
    assert (dry.rows["lake"], CANARY.encode() in on_disk(lake / f"t{acme.pk}")) == (2, True)

    receipt = erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOON)

    assert (receipt.rows["lake"], receipt.traces["lake"], receipt.is_complete) == (3, 0, True)
    assert CANARY.encode() not in on_disk(lake / f"t{acme.pk}")
    after = {piece.start: piece.path for piece in live(acme)}
    assert sum(before[start] != after[start] for start in before) == 3, "the fourth day was not touched"
    assert len(event_ids(acme)) == 7, "numbers stay"
    assert lake_rows(acme, "person_id", "amount").count((ann, 700)) == 1
    assert event_ids(acme) == stored_ids(acme)
    assert on_disk(lake / f"t{globex.pk}") == theirs


@committed
def test_a_reader_who_was_there_before_the_erasure_gets_the_new_files(acme: Tenant, lake: Path) -> None:
    ann_and_bob(acme)
    seal(acme)
    with event_store(tenant_id=acme.pk, start=FIRST, end=LAST, columns=("event_id",)) as store:
        erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOON)
        ids = store.run(store.events.select("event_id")).column(0).to_pylist()
    assert len(ids) == 5
    assert not [each for each in ids if CANARY in each]


@committed
def test_an_erasure_before_the_first_seal_is_sealed_erased(acme: Tenant, lake: Path) -> None:
    ann_and_bob(acme)
    assert erase_subject(tenant_id=acme.pk, distinct_id=CANARY, now=NOON).is_complete
    seal(acme)
    assert CANARY.encode() not in on_disk(lake)
    assert len(event_ids(acme)) == 5


@pytest.mark.django_db
def test_former_files_stay_for_their_grace_and_strays_go(acme: Tenant, lake: Path, settings: Any) -> None:
    write(acme, [event(acme, "a")])
    seal(acme)
    write(acme, [event(acme, "b", minute=1)])
    seal(acme)
    assert len(files_of(lake, acme)) == 6
    assert collect(acme.pk, now=NOON + timedelta(minutes=59)) == Collected()
    stray = files_of(lake, acme)[0].with_name("00-24-dead.events.parquet")
    stray.write_bytes(b"half")
    (stray.parent / ".tmp-dead").write_bytes(b"half")
    settings.ANALYTICS_LAKE_GRACE_SECONDS = 0
    assert collect(acme.pk, now=NOON + timedelta(minutes=61)) == Collected(retired=3, strays=2)
    assert len(files_of(lake, acme)) == 3
    assert event_ids(acme) == ["a", "b"]


@pytest.mark.django_db
def test_retention_lets_whole_pieces_go_and_writes_the_one_it_cuts_again(acme: Tenant, lake: Path) -> None:
    write(acme, [event(acme, f"e{n}", minute=1440 * n) for n in range(4)])
    seal(acme)
    before = NOON + 2 * DAY + timedelta(minutes=1)
    rows(acme, f"DELETE FROM bw_event WHERE ts < '{before.isoformat()}' RETURNING 1")
    assert lake_trim(tenant_id=acme.pk, before=before, now=NOON) == 3
    assert event_ids(acme) == ["e3"]
    assert len(files_of(lake, acme)) == 3
    assert lake_trim(tenant_id=acme.pk, before=before, now=NOON) == 0, "nothing is left to do"


@pytest.mark.django_db
def test_a_deleted_tenant_leaves_no_file_and_its_neighbour_all(acme: Tenant, globex: Tenant, lake: Path) -> None:
    for tenant in (acme, globex):
        write(tenant, [event(tenant, "a")])
        seal(tenant)
    theirs = on_disk(lake / f"t{globex.pk}")
    assert lake_forget_tenant(tenant_id=acme.pk) == 3
    assert files_of(lake, acme) == []
    assert LakePiece.objects.count() == 0
    assert on_disk(lake / f"t{globex.pk}") == theirs
