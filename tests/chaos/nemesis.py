"""What goes wrong: processes killed or frozen, and Redis emptied, at times and in an order that the seed decides."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.product import Product

KINDS = ("web", "worker", "beat", "redis", "postgres")


@dataclass
class Nemesis:
    """`kills` SIGKILLs and `freezes` SIGSTOPs of each kind, spread over `seconds`."""

    product: Product
    seed: int
    seconds: float
    kinds: tuple[str, ...] = KINDS
    kills: int = 2
    freezes: int = 1
    freeze_seconds: float = 2.0
    flushes: int = 2
    done: Counter[str] = field(default_factory=Counter)

    def plan(self) -> list[tuple[float, str, str]]:
        """(second, fault, kind), in order."""
        pick = random.Random(self.seed)
        faults = [(fault, kind) for kind in self.kinds for fault in ["kill"] * self.kills + ["freeze"] * self.freezes]
        faults += [("flush", "redis")] * self.flushes
        return sorted((pick.uniform(2.0, self.seconds), fault, kind) for fault, kind in faults)

    def run(self, stop: threading.Event) -> None:
        began = time.monotonic()
        for at, fault, kind in self.plan():
            if stop.wait(max(0.0, at - (time.monotonic() - began))):
                return
            getattr(self, f"_{fault}")(kind)

    def _kill(self, kind: str) -> None:
        """All processes of the kind at once: a half-dead kind is the easier case."""
        if self._signal(kind, signal.SIGKILL):
            self.done[f"kill {kind}"] += 1

    def _freeze(self, kind: str) -> None:
        frozen = self._signal(kind, signal.SIGSTOP)
        threading.Timer(self.freeze_seconds, self._thaw, [frozen]).start()
        if frozen:
            self.done[f"freeze {kind}"] += 1

    def _thaw(self, pids: list[int]) -> None:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue

    def _flush(self, kind: str) -> None:
        self.product.redis_flush()
        self.done["flush redis"] += 1

    def _signal(self, kind: str, number: signal.Signals) -> list[int]:
        hit = []
        for pid in self._await_pids(kind):
            try:
                os.kill(pid, number)
                hit.append(pid)
            except ProcessLookupError:
                continue
        return hit

    def _await_pids(self, kind: str) -> list[int]:
        """The kind may just be coming back from the last kill; a kill of nothing would not count."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            pids = self.product.pids(kind)
            if pids:
                return pids
            time.sleep(0.1)
        return []
