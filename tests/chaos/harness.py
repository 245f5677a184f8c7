"""One chaos run: start the product, load it, hurt it, wait for quiet, check. Prints one line of JSON.

python -m tests.chaos --seconds 60 --seed 7
python -m tests.chaos --events 1000000 --kills 20 --freezes 20 --freeze-seconds 10 --seconds 1800
"""

from __future__ import annotations

import platform
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.invariants import COUNTED, INVARIANTS, Check, Evidence, await_quiet
from tests.chaos.load import Asker, Client, Ledger
from tests.chaos.nemesis import KINDS, Nemesis
from tests.chaos.product import Product


@dataclass(frozen=True)
class Plan:
    """How long, how hard. `events` ends the load early once that many have been made."""

    seed: int = 7
    seconds: float = 60.0
    clients: int = 8
    events: int = 10**9
    kills: int = 2
    freezes: int = 1
    freeze_seconds: float = 2.0
    flushes: int = 2
    kinds: tuple[str, ...] = KINDS
    environment: dict[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = INVARIANTS


def chaos_run(plan: Plan, home: Path, *, sabotage: Any = None) -> dict[str, Any]:
    """The result as JSON; `breaches` is empty when every promise held. `sabotage(product)` breaks it on purpose."""
    product = Product(home=home, environment=plan.environment)
    try:
        product.start()
        if sabotage:
            sabotage(product)
        return _attack(plan, product)
    finally:
        product.stop()


def _attack(plan: Plan, product: Product) -> dict[str, Any]:
    stop = threading.Event()
    ledgers = [Ledger(product.home / f"ledger-{n}.txt") for n in range(plan.clients)]
    clients = [
        Client(
            port=product.port,
            keys=product.keys,
            seed=plan.seed * 1000 + n,
            ledger=ledger,
            budget=plan.events // plan.clients,
            stop=stop,
        )
        for n, ledger in enumerate(ledgers)
    ]
    nemesis = Nemesis(
        product, plan.seed, plan.seconds * 0.8, plan.kinds, plan.kills, plan.freezes, plan.freeze_seconds, plan.flushes
    )
    attack = threading.Thread(target=nemesis.run, args=[stop], daemon=True)
    asker = Asker(port=product.port, keys=product.keys, stop=stop)
    began = time.monotonic()
    for thread in (*clients, attack, asker):
        thread.start()
    attack.join(plan.seconds * 3)
    while time.monotonic() - began < plan.seconds and any(client.is_alive() for client in clients):
        time.sleep(0.2)
    loaded = time.monotonic() - began
    stop.set()
    for thread in (*clients, asker):
        thread.join(120)
    return verdict(plan.seed, product, ledgers, nemesis.done, loaded, asker.accepted, checks=plan.checks)


def verdict(
    seed: int,
    product: Product,
    ledgers: list[Ledger],
    faults: Counter[str],
    loaded: float,
    jobs: list[str],
    *,
    checks: Sequence[Check] = INVARIANTS,
) -> dict[str, Any]:
    """Wait for quiet where it matters, and make the checks; what a run tells."""
    quiet, stored, breaches = breaches_of(product, ledgers, jobs, checks)
    acked = len({pair for ledger in ledgers for pair in ledger.acked})
    statuses = sum((ledger.statuses for ledger in ledgers), Counter[int]())
    return {
        "seed": seed,
        "machine": f"{platform.machine()} {platform.python_version()}",
        "load_seconds": round(loaded, 1),
        "acknowledged": acked,
        "acknowledged_per_second": round(acked / loaded),
        "stored": stored,
        "jobs": len(set(jobs)),
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "faults": dict(sorted(faults.items())),
        "longest_silence_seconds": round(max(ledger.longest_silence for ledger in ledgers), 1),
        "seconds_to_quiet": round(quiet, 1),
        # 0 in n trials bounds the rate by 3/n at 95 % (the rule of three).
        "loss_rate_below": round(3 / max(acked, 1), 9) if not breaches else None,
        "breaches": breaches,
    }


def breaches_of(
    product: Product, ledgers: list[Ledger], jobs: list[str], checks: Sequence[Check] = INVARIANTS
) -> tuple[float, int, dict[str, list[str]]]:
    """Seconds until it was quiet (-1: not waited for), events that are stored, and which promises were broken."""
    product.await_ready()
    with product.admin() as admin:
        evidence = Evidence(product, admin, ledgers, jobs)
        breaches: dict[str, list[str]] = {}
        try:
            quiet = await_quiet(evidence) if COUNTED & set(checks) else -1.0
        except TimeoutError as error:
            quiet, breaches["quiet"] = -1.0, [str(error)]
        for check in checks:
            if found := check(evidence):
                breaches[check.__name__] = found
        return quiet, evidence.number("SELECT count(*) FROM bw_event"), breaches
