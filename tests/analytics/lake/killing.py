"""Kills a process at every failpoint of sealing, collecting and erasing, while others read. Nothing is lost or doubled.

python -m tests.analytics.lake.killing --rounds 50

One process boots Django and forks a child for each kill, so that a kill costs a tenth of a second and not two.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIRST, LAST = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
PUTS = ("seal.after_write", "seal.after_fsync", "seal.after_rename", "seal.after_folder_fsync")
TIMES = {**dict.fromkeys(PUTS, 3), "garbage.after_unlink": 3}
"""Points that are passed once for each of a piece's three files: every one of them is a step."""


@dataclass
class Tally:
    """What happened. All but the first two have to stay 0 and empty."""

    kills: int = 0
    reads: int = 0
    lost: int = 0
    doubled: int = 0
    failed_reads: int = 0
    wrong: list[str] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)


def steps() -> list[str]:
    """Every place to die, as ANALYTICS_FAILPOINT wants it."""
    from analytics.failpoints import POINTS

    elsewhere = ("retention.", "backup.", "restore.")  # those have tests of their own
    points = [point for point in POINTS if not point.startswith(elsewhere)]
    return [f"{point}:kill:{time}" for point in points for time in range(1, TIMES.get(point, 1) + 1)]


def run(rounds: int, folder: Path) -> Tally:
    """Kill at every step, so many times. Needs Django set up on a database of one's own, and an empty lake."""
    from django.conf import settings

    # Whole before the first child is forked, so that a run is of one version of the code.
    from analytics.access.services import tenant_create
    from analytics.lake import forgetting, garbage, sealing, snapshot  # noqa: F401

    settings.ANALYTICS_LAKE_URL = str(folder / "lake")
    settings.ANALYTICS_SEAL_WORKERS = 1
    tenant = tenant_create(slug=f"killed-{os.getpid()}", name="Killed", zone="UTC", base_currency="EUR")
    tally = Tally()
    with reader(tenant.pk, folder) as reads:
        for number in range(rounds):
            for step in steps():
                one(tenant, step, f"{number}-{step}", tally)
        _count_reads(reads, tally)
    return tally


def one(tenant: Any, step: str, name: str, tally: Tally) -> None:
    """New events, a process that dies at the step, another that does the same work; then everything is looked at."""
    from tests.analytics.events import event, write

    at = hash_minute(name)
    person = f"person-{name}"
    write(
        tenant,
        [event(tenant, f"{name}-{n}", minute=at + n, distinct_id=person if n else f"other-{name}") for n in range(3)],
    )
    if not step.startswith("seal."):
        forked(lambda: work(tenant.pk, step, person))
        write(tenant, [event(tenant, f"{name}-late", minute=at + 3, distinct_id=f"other-{name}")])
    how = forked(lambda: work(tenant.pk, step, person), step)
    tally.kills += how == signal.SIGKILL
    if how != signal.SIGKILL:
        tally.unreached.append(f"{step} ({how})")
    check(tenant, f"{name}: after the kill", tally, is_sealed=False)
    if (how := forked(lambda: work(tenant.pk, step, person))) != 0:
        tally.wrong.append(f"{name}: the second try ended with {how}")
    check(tenant, f"{name}: after the second try", tally, is_sealed=True)


def hash_minute(name: str) -> int:
    """One of 20 days, so that pieces are written again and again."""
    return sum(name.encode()) % 20 * 1440


def work(tenant_id: int, step: str, person: str) -> None:
    """What dies: sealing; with `garbage.` collecting too; with `erasure.` the erasure of a person."""
    from analytics.lake.garbage import collect
    from analytics.lake.sealing import seal_tenant

    if step.startswith("erasure."):
        seal_tenant(tenant_id, now=NOON)
        from analytics.privacy import erase_subject

        receipt = erase_subject(tenant_id=tenant_id, distinct_id=person, now=NOON)
        assert not receipt.traces["lake"], receipt
        return
    seal_tenant(tenant_id, now=NOON)
    if step.startswith("garbage."):
        collect(tenant_id, now=NOON + timedelta(days=1))


def check(tenant: Any, where: str, tally: Tally, *, is_sealed: bool) -> None:
    """What a reader sees is what is stored, each once; before the second try some of it may wait, marked."""
    from analytics.lake.check import findings
    from tests.analytics.events import rows

    stored = {row[0] for row in rows(tenant, "SELECT id::text FROM bw_event")}
    events = len(stored)
    (waiting,) = rows(tenant, "SELECT count(DISTINCT hour) + count(DISTINCT subject_id) FROM bw_lake_mark")[0]
    seen = look(tenant.pk)
    tally.reads += 1
    doubled = seen[0] - seen[1]
    tally.doubled += doubled
    lost = events - seen[0]
    if lost and (is_sealed or not waiting):
        tally.lost += abs(lost)
        tally.wrong.append(f"{where}: {seen[0]} events of {events}")
    if is_sealed:
        tally.wrong += [f"{where}: {problem}" for _, problem in findings(tenant.pk) if problem]


def look(tenant_id: int) -> tuple[int, int]:
    """Events in the lake, and different ones among them."""
    from analytics.store import event_store

    with event_store(tenant_id=tenant_id, start=FIRST, end=LAST, columns=("event_id",)) as store:
        e = store.events
        (row,) = store.run(e.agg(n=e.count(), ids=e.event_id.nunique())).to_pylist()
    return row["n"], row["ids"]


def forked(action: Callable[[], None], failpoint: str = "") -> int:
    """Do it in a child; its exit status, or the signal that ended it."""
    from django.db import connections

    connections.close_all()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if failpoint:
                os.environ["ANALYTICS_FAILPOINT"] = failpoint
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else os.waitstatus_to_exitcode(ended)


class reader:
    """A process that asks all the time, and writes down how it went."""

    def __init__(self, tenant_id: int, folder: Path) -> None:
        self._tenant_id, self._log = tenant_id, folder / "reads.log"

    def __enter__(self) -> Path:
        from django.db import connections

        connections.close_all()
        self._child = os.fork()
        if self._child == 0:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            with self._log.open("a", buffering=1) as log:
                while True:
                    try:
                        seen, different = look(self._tenant_id)
                        log.write("ok\n" if seen == different else "doubled\n")
                    except Exception as error:
                        log.write(f"failed {type(error).__name__} {error}\n")
                    time.sleep(0.02)
        return self._log

    def __exit__(self, *_: object) -> None:
        os.kill(self._child, signal.SIGTERM)
        os.waitpid(self._child, 0)


def _count_reads(log: Path, tally: Tally) -> None:
    for line in log.read_text().splitlines() if log.exists() else ():
        tally.reads += 1
        tally.doubled += line == "doubled"
        tally.failed_reads += line.startswith("failed")
        if line.startswith("failed"):
            tally.wrong.append(line)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.analytics.lake.killing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    chosen = parser.parse_args()
    from tests.bench.stage import prepare

    prepare(shared_buffers="256MB")
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bw-killing-") as folder:
        tally = run(chosen.rounds, Path(folder))
    result = {
        **tally.__dict__,
        "steps": len(steps()),
        "rounds": chosen.rounds,
        "seconds": round(time.perf_counter() - begun),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.exit(1 if tally.wrong or tally.unreached or tally.lost or tally.doubled or tally.failed_reads else 0)


if __name__ == "__main__":
    main()
