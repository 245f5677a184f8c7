"""Backs a product up under load, destroys it at random, restores it and checks the clients' ledger (R19).

python -m tests.chaos.drill --times 10 --seconds 8

Prints one line of JSON and ends with 1 when any drill failed. Every acknowledged event of before a backup began has to
be there afterwards, once; none that was never sent; the outcomes, the roll-ups and the lake have to agree. Whoever was
erased after the backup has to be refused; the log of erasures lies outside of the home, as the README advises.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.invariants import Evidence, everything_accounted_for, nothing_doubled, nothing_lost, tenants_walled_off
from tests.chaos.load import Client, Ledger
from tests.chaos.product import Product


@dataclass
class Drill:
    """One product over many catastrophes. `dice` decides what is destroyed."""

    folder: Path
    seed: int
    seconds: float
    clients: int
    kinds: list[str]
    ahead: list[str] = field(default_factory=list)
    dice: random.Random = field(init=False)
    product: Product = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        log = {"ANALYTICS_ERASED_LOG": str(self.folder / "elsewhere" / "erased.jsonl")}
        self.product = Product(home=self.folder / "home", environment=log)

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    def run(self, times: int) -> list[dict[str, Any]]:
        """The rounds, each with what it found."""
        rounds = []
        sent: set[str] = set()  # by all clients of all rounds: a restored event may be of any
        try:
            self.product.start()
            for number in range(times):
                rounds.append(self._round(number, sent))
                sys.stderr.write(json.dumps(rounds[-1]) + "\n")
                if number + 1 < times:
                    self.product.launch()
        finally:
            self.product.stop()
        return rounds

    def _round(self, number: int, sent: set[str]) -> dict[str, Any]:
        stop = threading.Event()
        ledgers = [Ledger(self.folder / f"ledger-{number}-{n}.txt") for n in range(self.clients)]
        clients = [
            Client(
                port=self.product.port,
                keys=self.product.keys,
                seed=self.seed * 10_000 + number * 100 + n,
                ledger=ledger,
                budget=10**9,
                stop=stop,
            )
            for n, ledger in enumerate(ledgers)
        ]
        for client in clients:
            client.start()
        time.sleep(self.seconds)
        promised = _frozen(ledgers)
        began = time.monotonic()
        taken = json.loads(self.product.manage("backup", str(self.kept), "--keep", "2", "--json").stdout)
        backup_seconds = time.monotonic() - began
        # Somebody without events, because those of an erased person lose the ids that the ledger knows them by.
        self.product.manage("erase_subject", "--tenant", "acme", "--user", f"erased-{self.seed}-{number}")
        time.sleep(self.dice.uniform(0, 2))
        stop.set()
        for client in clients:
            client.join(120)
        sent |= set().union(*(ledger.sent for ledger in ledgers))
        promised.sent |= sent
        if not self.ahead:  # in another order each time, so that none is left out for long
            self.ahead = self.dice.sample(self.kinds, len(self.kinds))
        kind = self.ahead.pop()
        destroyed_at = datetime.now(UTC)
        extra = KINDS[kind](self)
        return {
            "round": number,
            "destroyed": kind,
            **self._restored(promised, extra),
            "events": taken["events"],
            "bytes": taken["bytes"],
            "backup_seconds": round(backup_seconds, 1),
            "seconds_lost": round((destroyed_at - datetime.fromisoformat(taken["taken_at"])).total_seconds(), 1),
        }

    def _restored(self, promised: Ledger, extra: list[str]) -> dict[str, Any]:
        began = time.monotonic()
        told = json.loads(
            self.product.manage("restore", str(self.kept), "--check", "--json", *extra).stdout.splitlines()[-1]
        )
        seconds = time.monotonic() - began
        self.product.serve()
        with self.product.admin() as admin:
            evidence = Evidence(self.product, admin, [promised], [])
            checks = (nothing_lost, nothing_doubled, everything_accounted_for, tenants_walled_off)
            breaches = [breach for check in checks for breach in check(evidence)]
        return {
            "promised": len(promised.acked),
            "breaches": [*breaches, *told["problems"], *_forgotten_erasures(told)],
            "restore_seconds": round(seconds, 1),
        }


def _forgotten_erasures(told: dict[str, Any]) -> list[str]:
    again = told["ids_erased_again"]
    return [] if again == 1 else [f"{again} ids were erased again instead of the 1 of after the backup"]


def _frozen(ledgers: list[Ledger]) -> Ledger:
    """What was acknowledged up to now."""
    return Ledger(
        Path("nowhere"),
        acked=[pair for ledger in ledgers for pair in list(ledger.acked)],
        deliveries=sum((Counter(ledger.deliveries) for ledger in ledgers), Counter[str]()),
    )


# --- Catastrophes. Each says how `restore` has to be called. ---


def _home_is_gone(drill: Drill) -> list[str]:
    """The disk."""
    drill.product.halt()
    shutil.rmtree(drill.product.home)
    drill.product.home.mkdir()
    return []


def _database_files_are_gone(drill: Drill) -> list[str]:
    """A third of PGDATA, while it runs; what is left is of no use and moved away."""
    data = drill.product.home / "postgres"
    files = [path for path in data.rglob("*") if path.is_file()]
    for path in drill.dice.sample(files, len(files) // 3):
        path.unlink(missing_ok=True)
    return _home_is_gone(drill)


def _lake_is_damaged(drill: Drill) -> list[str]:
    """Half of the lake's files are gone, some of the others cut short."""
    drill.product.halt()
    files = sorted((drill.product.home / "lake").rglob("*.parquet"))
    for path in drill.dice.sample(files, len(files) // 2):
        path.unlink() if drill.dice.random() < 0.7 else path.write_bytes(path.read_bytes()[:50])
    return ["--replace", "--yes"]


def _rows_are_gone(drill: Drill) -> list[str]:
    """Somebody with too many rights."""
    with drill.product.admin() as admin:
        admin.execute("DELETE FROM bw_event WHERE random() < 0.5")
        admin.execute("DROP TABLE bw_bucket CASCADE")
    drill.product.halt()
    return ["--replace", "--yes"]


KINDS: dict[str, Callable[[Drill], list[str]]] = {
    "home": _home_is_gone,
    "pgdata": _database_files_are_gone,
    "lake": _lake_is_damaged,
    "rows": _rows_are_gone,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.drill", description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8.0, help="of load before each backup")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--destroy", default=",".join(KINDS), help="what is destroyed (default: %(default)s)")
    options = parser.parse_args()
    kinds = options.destroy.split(",")
    if strange := set(kinds) - set(KINDS):
        parser.error(f"--destroy knows {', '.join(KINDS)}, not {', '.join(sorted(strange))}")
    with tempfile.TemporaryDirectory(prefix="bw-drill-") as folder:
        Path(folder).chmod(0o711)
        rounds = Drill(Path(folder), options.seed, options.seconds, options.clients, kinds).run(options.times)
    passed = sum(not each["breaches"] for each in rounds)
    told = {
        "seed": options.seed,
        "times": options.times,
        "passed": passed,
        "destroyed": dict(Counter(each["destroyed"] for each in rounds)),
        **{
            f"{name}_{which.__name__}": which(each[name] for each in rounds)
            for name in ("events", "bytes", "backup_seconds", "restore_seconds", "seconds_lost")
            for which in (min, max)
        },
        "promised": sum(each["promised"] for each in rounds),
        "breaches": [breach for each in rounds for breach in each["breaches"]],
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.exit(0 if passed == options.times else 1)


if __name__ == "__main__":
    main()
