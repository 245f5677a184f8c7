"""Faults that systems like this one really had, each as changes of loaded modules: name → module → what to do to it."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import ModuleType
from typing import Any

Spoil = Callable[[ModuleType], None]


def _ack_before_commit(module: ModuleType) -> None:
    """Success is told as soon as the events are in memory."""
    contracts = __import__("analytics.contracts", fromlist=["Verdict"])
    submit = module.EventWriter.submit

    def eager(self: Any, events: Any, refusals: Any = ()) -> Future[Any]:
        submit(self, events, refusals)
        told: Future[Any] = Future()
        told.set_result([contracts.Verdict(event.event_id, contracts.Outcome.STORED) for event in events])
        return told

    module.EventWriter.submit = eager


def _no_dedupe(module: ModuleType) -> None:
    """Every delivery is new."""
    module.dedupe_key = lambda event_id: os.urandom(16)  # type: ignore[attr-defined]


def _time_in_key(module: ModuleType) -> None:
    """The corrected time is part of the key, and it drifts between retries."""
    encode = module.encode_row

    def timed(place: int, event: Any, uuid: Any, *, key: bytes, **rest: Any) -> bytes:
        drifting = hashlib.md5(key + event.timestamp.isoformat().encode()).digest()
        return bytes(encode(place, event, uuid, key=drifting, **rest))

    module.encode_row = timed  # type: ignore[attr-defined]


def _no_marks(module: ModuleType) -> None:
    """Nobody is told that there is something to count."""
    of_the_marks = "'event', %(now)s::timestamptz\n      FROM pg_temp.bw_stage s WHERE"
    spoilt = module.STORE.replace(of_the_marks, f"{of_the_marks} false AND")
    assert spoilt != module.STORE
    module.STORE = spoilt  # type: ignore[attr-defined]


def _late_commits_skipped(module: ModuleType) -> None:
    """Everything that is marked when a refresh ends counts as done, and so do writers that committed in between."""
    recount = module.recount

    def careless(scope: Any, *rest: Any, now: Any) -> None:
        recount(scope, *rest, now=now)
        time.sleep(0.2)
        with __import__("django.db", fromlist=["connections"]).connections[scope.using].cursor() as cursor:
            cursor.execute("DELETE FROM bw_dirty_mark WHERE tenant_id = %s", [scope.tenant_id])

    module.recount = careless  # type: ignore[attr-defined]


def _uncounted(module: ModuleType) -> None:
    """The last event of a batch has no outcome."""
    record = module.record_outcomes

    def forgetful(cursor: Any, events: Any, verdicts: Any, refusals: Any) -> None:
        record(cursor, events[:-1], verdicts[:-1], refusals)

    module.record_outcomes = forgetful  # type: ignore[attr-defined]


def _poison_spoils_batch(module: ModuleType) -> None:
    """A bad event takes its good neighbours with it."""
    write = module.Intake.write

    async def spoilt(self: Any, shaped: Any) -> Any:
        refused = [each for each in shaped if type(each) is module.Refusal]
        return await write(self, refused or shaped)

    module.Intake.write = spoilt


def _clocks_believed(module: ModuleType) -> None:
    """The client's clock is taken at its word."""
    corrected = module.event_time
    module.event_time = lambda raw, *, received_at, sent_at, offset=None: corrected(  # type: ignore[attr-defined]
        raw, received_at=received_at, sent_at=None, offset=offset
    )


def _merges_unmarked(module: ModuleType) -> None:
    """A merge changes who is whom, and no bucket hears of it."""
    module.MARK += " LIMIT 0"  # type: ignore[attr-defined]


def _tenants_crossed(module: ModuleType) -> None:
    """Now and then an event goes to the neighbour."""
    shape = module.event_of
    pick = random.Random(7)

    def crossed(message: Any, arrival: Any) -> Any:
        event = shape(message, arrival)
        if pick.random() < 0.01:
            event.tenant_id = 3 - event.tenant_id
        return event

    module.event_of = crossed  # type: ignore[attr-defined]


class _UnsyncedOs:
    """`os` whose fsync does nothing."""

    def fsync(self, descriptor: int) -> None:
        return

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def _nothing_synced(module: ModuleType) -> None:
    """Written is taken for safe."""
    module.os = _UnsyncedOs()  # type: ignore[attr-defined]


def _names_unsynced(module: ModuleType) -> None:
    """Files are made safe, and their names are not."""
    module.sync_folder = lambda folder: None  # type: ignore[attr-defined]


FAULTS: Mapping[str, Mapping[str, Spoil]] = {
    "ack_before_commit": {"analytics.writing.loop": _ack_before_commit},
    "no_dedupe": {"analytics.writing.rows": _no_dedupe},
    "time_in_key": {"analytics.writing.rows": _time_in_key},
    "no_marks": {"analytics.writing.staging": _no_marks},
    "late_commits_skipped": {"kpis.rollup.refresh": _late_commits_skipped},
    "uncounted": {"analytics.writing.batch": _uncounted},
    "poison_spoils_batch": {"analytics.capture.intake": _poison_spoils_batch},
    "clocks_believed": {"analytics.capture.normalise": _clocks_believed},
    "merges_unmarked": {"analytics.writing.merging": _merges_unmarked},
    "tenants_crossed": {"analytics.capture.intake": _tenants_crossed},
    "spool_not_synced": {"analytics.writing.segments": _nothing_synced},
    "lake_not_synced": {"analytics.lake.storage": _nothing_synced},
    "lake_names_not_synced": {"analytics.lake.storage": _names_unsynced},
}
