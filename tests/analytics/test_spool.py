"""Events wait on disk while PostgreSQL is away, and are stored once when it is back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics.contracts import CapturedEvent, Outcome, PersonChange, Refusal
from analytics.models import Tenant
from analytics.spool import Spool, SpooledWriter, SpoolFull
from analytics.writer import EventWriter
from analytics.writing.loop import connect
from tests.analytics.events import NOON, event, ledger, rows

committed = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])

ACME, GLOBEX = Tenant(pk=1), Tenant(pk=2)


class Line:
    """PostgreSQL with a switch."""

    def __init__(self) -> None:
        self.is_up = True

    def __call__(self) -> psycopg.Connection[Any]:
        if not self.is_up:
            raise psycopg.OperationalError("connection refused")
        return connect()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def writer(line: Line, tmp_path: Path) -> Iterator[SpooledWriter]:
    writer = SpooledWriter(tmp_path / "spool", EventWriter(workers=1, opener=line))
    yield writer
    writer.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", 10**6)
    yield spool
    spool.close()


def read(spool: Spool) -> list[str]:
    ids: list[str] = []
    spool.replay(lambda events, refusals: ids.extend(e.event_id for e in events))
    return ids


def eventually(claim: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not claim() and time.monotonic() < deadline:
        time.sleep(0.02)
    return claim()


# --- The folder -------------------------------------------------------------------------------------------------------


def test_what_was_put_on_disk_comes_back_whole_and_in_order(tmp_path: Path, spool: Spool) -> None:
    full = event(
        ACME, "e1", distinct_id="ada", sent_at=NOON, amount=5, currency="EUR", properties={"é": [1, None, {"a": 2.5}]},
        sensitive={"email": "a@x.org"}, person=PersonChange(set={"a": 1}, unset=("b",)),
    )  # fmt: skip
    refusal = Refusal(tenant_id=2, outcome=Outcome.REJECTED, reason="no_name", received_at=NOON, payload=b"\0")
    spool.append([full, event(GLOBEX, "e2")], [refusal])
    spool.append([event(ACME, "e3")])

    loads: list[tuple[list[CapturedEvent], list[Refusal]]] = []
    assert Spool(tmp_path / "spool", 10**6).replay(lambda *load: None) == 0, "a living process still writes it"
    assert spool.replay(lambda events, refusals: loads.append((list(events), list(refusals)))) == 3

    assert loads == [([full, event(GLOBEX, "e2"), event(ACME, "e3")], [refusal])]
    assert spool.is_empty()


def test_nobody_else_may_read_it_and_it_is_not_in_plain_text(tmp_path: Path, spool: Spool) -> None:
    spool.append([event(ACME, "e1", distinct_id="canary", sensitive={"email": "canary"})])
    (segment,) = (tmp_path / "spool").glob("*.spool")

    assert (os.stat(tmp_path / "spool").st_mode & 0o777, os.stat(segment).st_mode & 0o777) == (0o700, 0o600)
    assert b"canary" not in segment.read_bytes()


def test_it_is_bounded(spool: Spool) -> None:
    spool.max_bytes = 2000
    kept = 0
    with suppress(SpoolFull):
        for kept in range(100):
            spool.append([event(ACME, f"e{kept}")])
    assert 0 < spool.size() <= 2000
    assert read(spool) == [f"e{n}" for n in range(kept)]


def test_a_record_cut_off_by_a_kill_is_left_out_and_nothing_else(tmp_path: Path, spool: Spool) -> None:
    spool.append([event(ACME, "e1")])
    spool.append([event(GLOBEX, "e2")])
    spool.close()
    (segment,) = (tmp_path / "spool").glob("*.spool")
    whole = segment.read_bytes()

    for cut in (len(whole) - 1, len(whole) // 2 + 2, len(whole) // 2 + 6):
        segment.write_bytes(whole[:cut])
        assert read(spool) == ["e1"]


def test_a_record_that_was_changed_is_set_aside(tmp_path: Path, spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    spool.append([event(ACME, "e1")])
    spool.append([event(GLOBEX, "e2")])
    spool.close()
    (segment,) = (tmp_path / "spool").glob("*.spool")
    whole = bytearray(segment.read_bytes())
    whole[40] ^= 1
    segment.write_bytes(bytes(whole))

    assert read(spool) == ["e2"]
    assert len(list((tmp_path / "spool").glob("*.unreadable"))) == 1
    assert "cannot be read" in caplog.text


def test_a_failed_replay_keeps_everything(spool: Spool) -> None:
    spool.append([event(ACME, "e1"), event(GLOBEX, "e2")])

    def fail(*load: object) -> None:
        raise psycopg.OperationalError("gone")

    with pytest.raises(psycopg.OperationalError):
        spool.replay(fail)
    assert read(spool) == ["e1", "e2"]


def test_one_event_that_cannot_be_written_down_does_not_cost_its_neighbours(spool: Spool) -> None:
    spool.append([event(ACME, "e1"), event(ACME, "bad", name="lone\ud800"), event(GLOBEX, "e2")])

    held: list[str | None] = []
    ids: list[str] = []

    def write(events: Any, refusals: Any) -> None:
        ids.extend(e.event_id for e in events)
        held.extend(r.event_id for r in refusals)

    spool.replay(write)
    assert (ids, held) == (["e1", "e2"], ["bad"])


def test_a_person_can_be_removed_from_waiting_events(spool: Spool) -> None:
    spool.append([event(t, f"{who}-{t.pk}", distinct_id=who) for t in (ACME, GLOBEX) for who in ("ada", "bob")])

    assert spool.forget(lambda tenant, name: (tenant, name) == (1, "ada")) == 1
    assert read(spool) == ["bob-1", "ada-2", "bob-2"]


# --- The writer -------------------------------------------------------------------------------------------------------


@committed
def test_events_are_stored_within_a_quarter_of_a_second(acme: Tenant, globex: Tenant, writer: SpooledWriter) -> None:
    writer.put(event(acme, "warm"))
    assert writer.flush()
    begun = time.monotonic()
    writer.put([event(acme, "e1"), event(globex, "e1")])
    assert eventually(lambda: rows(acme, "SELECT count(*) FROM bw_event") == [(2,)])
    assert time.monotonic() - begun < 1
    assert writer.flush()
    assert rows(globex, "SELECT count(*) FROM bw_event") == [(1,)]


@committed
def test_while_postgresql_is_away_nothing_raises_and_nothing_is_lost(
    acme: Tenant, globex: Tenant, line: Line, writer: SpooledWriter
) -> None:
    line.is_up = False
    for number in range(50):
        writer.put([event(acme, f"e{number}"), event(globex, f"e{number}")])
    assert writer.flush(), "on disk is safe"
    assert not writer.spool.is_empty()
    assert rows(acme, "SELECT count(*) FROM bw_event") == [(0,)]

    line.is_up = True
    assert eventually(writer.spool.is_empty)
    for tenant in (acme, globex):
        assert rows(tenant, "SELECT count(*), count(DISTINCT event_id) FROM bw_event") == [(50, 50)]
        assert ledger(tenant) == {"stored": 50}


@committed
def test_a_new_process_replays_what_a_dead_one_left(acme: Tenant, globex: Tenant, tmp_path: Path) -> None:
    dead = Spool(tmp_path / "spool", 10**6)
    dead.append([event(acme, "e1"), event(globex, "e1")])
    dead.close()

    heir = SpooledWriter(tmp_path / "spool", EventWriter(workers=1))
    heir.put(event(acme, "e2"))
    assert eventually(heir.spool.is_empty)
    heir.close()
    assert rows(acme, "SELECT event_id FROM bw_event ORDER BY 1") == [("e1",), ("e2",)]
    assert rows(globex, "SELECT event_id FROM bw_event ORDER BY 1") == [("e1",)]


@committed
def test_over_the_bound_events_are_dropped_and_the_ledger_says_so(
    acme: Tenant, globex: Tenant, line: Line, tmp_path: Path
) -> None:
    line.is_up = False
    writer = SpooledWriter(tmp_path / "spool", EventWriter(workers=1, opener=line), max_bytes=1)
    writer.put([event(acme, "e1"), event(acme, "e2"), event(globex, "e1")])
    assert writer.flush()
    assert sum(writer.dropped.values()) == 3

    line.is_up = True
    assert eventually(lambda: not writer.dropped)
    writer.close()
    assert ledger(acme) == {"rejected/spool_full": 2}
    assert ledger(globex) == {"rejected/spool_full": 1}


@committed
def test_a_full_queue_drops_and_counts(acme: Tenant, tmp_path: Path, line: Line) -> None:
    writer = SpooledWriter(tmp_path / "spool", EventWriter(workers=1, opener=line), max_queued=0)
    writer.put([event(acme, "e1")])
    assert {reason: n for (_, _, reason), n in writer.dropped.items()} == {"queue_full": 1}
    writer.close()


@committed
def test_closing_stores_or_keeps_what_waits(acme: Tenant, globex: Tenant, line: Line, tmp_path: Path) -> None:
    line.is_up = False
    writer = SpooledWriter(tmp_path / "spool", EventWriter(workers=1, opener=line))
    writer.put([event(acme, "e1"), event(globex, "e2")])
    writer.close()

    assert read(Spool(tmp_path / "spool", 10**6)) == ["e1", "e2"]


@committed
def test_a_forked_process_writes_its_own_events(acme: Tenant, globex: Tenant, writer: SpooledWriter) -> None:
    writer.put(event(acme, "parent"))
    assert writer.flush()
    # A fork inside a test process with threads is reported by Python as dangerous, so the pid is changed instead.
    writer._pid = -1
    writer._writer._pid = -1
    writer.put([event(acme, "child"), event(globex, "child")])
    assert writer.flush()
    assert rows(acme, "SELECT event_id FROM bw_event ORDER BY 1") == [("child",), ("parent",)]
