"""Deploys under load: events and questions keep coming while every process is replaced, again and again.

python -m tests.chaos --reloads 50 --rate 1000
"""

from __future__ import annotations

import http.client
import platform
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.harness import breaches_of
from tests.chaos.load import Asker, Client, Ledger
from tests.chaos.product import Product

BATCH = 10
FRESH_SHARE = 0.1
"""Of requests that open a connection of their own, as short-lived clients do."""
QUESTION = "/api/v1/kpis/revenue.gross/series/?period=today"
WEB_PROCESSES = 2


@dataclass(frozen=True)
class Deploys:
    """How often, and how many events a second meanwhile."""

    seed: int = 7
    reloads: int = 3
    rate: float = 1000.0
    clients: int = 8


@dataclass
class Experience:
    """What clients went through. `statuses` counts all answers, `unanswered` requests without one, by what happened:

    `refused`: no connection was to be had. `fresh`: a connection that had never carried an answer was closed.
    `reused`: one that had was closed before the next answer began, which an SDK repeats. `cut`: within an answer.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


class Line:
    """A connection that is kept, and opened anew when it was closed."""

    def __init__(self, port: int, experience: Experience) -> None:
        self._port, self._experience = port, experience
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str], *, keep: bool) -> int:
        """The status, 0 without an answer."""
        has_answered, answer = self._connection.sock is not None, None
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except ConnectionRefusedError:
            return self._without_answer("refused")
        except (OSError, http.client.HTTPException):
            return self._without_answer("cut" if answer else "reused" if has_answered else "fresh")
        self._experience.statuses[answer.status] += 1
        if not keep:
            self._connection.close()
        return answer.status

    def _without_answer(self, what: str) -> int:
        self._experience.unanswered[what] += 1
        self._connection.close()
        return 0

    def close(self) -> None:
        self._connection.close()


class Paced(Client):
    """A client whose batches come at a steady rate, whatever becomes of the ones before."""

    def __init__(self, *, rate: float, experience: Experience, **settings: Any) -> None:
        super().__init__(budget=0, **settings)
        self._pause = BATCH / rate
        self._experience = experience
        self._line = Line(settings["port"], experience)

    def run(self) -> None:
        turn, began = 0, time.monotonic()
        while not self._stop_asked.is_set():
            turn += 1
            tenant, batch = self._again() or self._fresh()
            asked = time.monotonic()
            self._deliver(tenant, batch)
            self._experience.seconds.append(time.monotonic() - asked)
            self._stop_asked.wait(max(0.0, began + turn * self._pause - time.monotonic()))
        self._line.close()

    def _fresh(self) -> tuple[str, list[dict[str, Any]]]:
        tenant = self._random.choice(sorted(self._keys))
        batch = [self._event() for _ in range(BATCH)]
        self._past = [*self._past[-50:], (tenant, batch)]
        return tenant, batch

    def _post(self, tenant: str, batch: list[dict[str, Any]]) -> bool:
        keep = self._random.random() >= FRESH_SHARE
        headers = {"Content-Type": "application/json"}
        return self._line.ask("POST", "/batch/", self._body(tenant, batch), headers, keep=keep) == 200


class Reader(threading.Thread):
    """Somebody who looks at a number of each tenant, five times a second."""

    def __init__(self, *, port: int, keys: dict[str, str], experience: Experience, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._line, self._keys, self._experience, self._stop_asked = Line(port, experience), keys, experience, stop

    def run(self) -> None:
        while not self._stop_asked.wait(0.1):
            for key in self._keys.values():
                asked = time.monotonic()
                if not self._line.ask("GET", QUESTION, None, {"Authorization": f"Bearer {key}"}, keep=True):
                    continue  # it is counted, and a person presses the key again
                self._experience.seconds.append(time.monotonic() - asked)
        self._line.close()


def deploys_run(plan: Deploys, home: Path) -> dict[str, Any]:
    """The result as JSON; `breaches` is empty when every promise held."""
    product = Product(home=home, environment={"WEB_WORKERS": str(WEB_PROCESSES)})
    try:
        product.start()
        return _deploy_under_load(plan, product)
    finally:
        product.stop()


def _deploy_under_load(plan: Deploys, product: Product) -> dict[str, Any]:
    stop, ledgers = threading.Event(), [Ledger(product.home / f"ledger-{n}.txt") for n in range(plan.clients)]
    sending, asking = Experience(), Experience()
    common: dict[str, Any] = {"port": product.port, "keys": product.keys, "stop": stop}
    asker = Asker(**common)
    threads = [Reader(**common, experience=asking), asker]
    threads += [
        Paced(**common, seed=plan.seed * 1000 + n, ledger=ledger, rate=plan.rate / plan.clients, experience=sending)
        for n, ledger in enumerate(ledgers)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    took = []
    replaced = Counter[str]()
    for _ in range(plan.reloads):
        stop.wait(1.0)
        former = {kind: set(product.pids(kind)) for kind in ("web", "worker", "beat")}
        asked = time.monotonic()
        product.deploy()
        took.append(time.monotonic() - asked)
        for kind, pids in former.items():
            replaced[kind] += len(pids - set(product.pids(kind)))
    stop.wait(1.0)
    loaded = time.monotonic() - began
    stop.set()
    for thread in threads:
        thread.join(120)
    quiet, stored, breaches = breaches_of(product, ledgers, asker.accepted)
    acked = len({pair for ledger in ledgers for pair in ledger.acked})
    return {
        "seed": plan.seed,
        "machine": f"{platform.machine()} {platform.python_version()}",
        "reloads": len(took),
        "seconds_of_a_reload": round(statistics.median(took), 1),
        "replaced": dict(sorted(replaced.items())),
        "load_seconds": round(loaded, 1),
        "acknowledged": acked,
        "events_per_second": round(sum(sum(ledger.deliveries.values()) for ledger in ledgers) / loaded),
        "stored": stored,
        "jobs": len(set(asker.accepted)),
        "events": _told(sending),
        "questions": _told(asking),
        "seconds_to_quiet": round(quiet, 1),
        "breaches": breaches,
    }


def _told(experience: Experience) -> dict[str, Any]:
    times = sorted(experience.seconds)
    return {
        "statuses": {str(status): n for status, n in sorted(experience.statuses.items())},
        "unanswered": {what: experience.unanswered[what] for what in ("refused", "fresh", "reused", "cut")},
        "median_ms": round(statistics.median(times) * 1000, 1),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
        "longest_stall_ms": round(times[-1] * 1000, 1),
    }
