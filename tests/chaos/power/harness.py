"""R13: the product on a disk that forgets what was not fsynced, and power that goes again and again.

In each cycle clients, an operator and a host process load the product while its lake is sealed; then every process of
it is killed at once, and the disk drops what nobody made safe (in one cycle all of it, in the next a part: torn
writes). Now and then PostgreSQL stands still before the end, so that the spool has to hold what was promised, and now
and then the power goes again as soon as it is back. What clients were told lies on another disk. Redis forgets
everything each time.

Decided (2026-11-21): what is lost is decided by a file system of our own (`disk`, `mount`); because LazyFS is C++ to be
compiled against libfuse 3, which no package registry offers, and drops bytes but not names; instead of killing alone,
which loses nothing that was written.

Decided (2026-11-21): a name is safe after an fsync of its folder only; because POSIX promises no more; instead of what
ext4 does, where an fsync of a new file saves its name too and a missing fsync of a folder does not show.

Decided (2026-11-21): the disk has half a minute of rest after the first start; because PostgreSQL 18 does not fsync the
folder `base` after CREATE DATABASE, nor those of tables that it makes, so that a loss right after the first checkpoint
loses the database on such a disk; instead of leaving names to the fsync of their files everywhere.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.harness import verdict
from tests.chaos.load import Asker, Client, Ledger
from tests.chaos.product import ROOT, Product

# Checkpoints are what PostgreSQL fsyncs its tables for: with its usual quarter of an hour there would be none in a run.
SMALL_CHECKPOINTS = "checkpoint_timeout=30s max_wal_size=128MB min_wal_size=80MB"
FROZEN_SECONDS = 3.0
START_SECONDS = 300.0  # a slow machine is no breach


@dataclass(frozen=True)
class PowerPlan:
    """How often the power goes, and how long it stays."""

    cycles: int = 50
    seed: int = 7
    clients: int = 4
    seconds: float = 5.0
    environment: dict[str, str] = field(default_factory=dict)


class ForgettingDisk:
    """A mounted disk in a process of its own; `lose_power` drops what is not safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o755)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.power.mount", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._answer()

    def lose_power(self, seed: int, *, is_torn: bool) -> dict[str, int]:
        return self._order(f"{'torn' if is_torn else 'cut'} {seed}")

    def rest(self) -> None:
        """Everything written so far is safe."""
        self._order("rest")

    def close(self) -> None:
        """Unmount; the disk is gone."""
        self._process.communicate()

    def _order(self, words: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OSError(f"{self.folder} cannot be mounted: that takes root and /dev/fuse")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def forgetting_disk(folder: Path) -> Iterator[ForgettingDisk]:
    disk = ForgettingDisk(folder)
    try:
        yield disk
    finally:
        disk.close()


def power_run(plan: PowerPlan, folder: Path) -> dict[str, Any]:
    """The result as JSON; `breaches` is empty when every promise held. `folder` must let any account pass."""
    (folder / "log").mkdir(parents=True, exist_ok=True)
    options = f"{SMALL_CHECKPOINTS} {plan.environment.get('POSTGRES_OPTIONS', '')}"
    with forgetting_disk(folder / "disk") as disk:
        environment = {**plan.environment, "POSTGRES_OPTIONS": options}
        home = disk.folder / "home"
        product = Product(home=home, logs=folder / "log", environment=environment, patience=START_SECONDS)
        try:
            return _PowerRun(plan, product, disk, folder).result()
        finally:
            product.stop()
            end_all(product)


class _PowerRun:
    """One run: `result` does it all."""

    def __init__(self, plan: PowerPlan, product: Product, disk: ForgettingDisk, folder: Path) -> None:
        self._plan, self._product, self._disk, self._folder = plan, product, disk, folder
        self._pick = random.Random(plan.seed)
        self._did: Counter[str] = Counter()
        self._breaches: dict[str, list[str]] = {}
        self._host_ledger = Ledger(folder / "ledger-host.txt")
        self._is_promised, self._is_dark = threading.Event(), threading.Event()
        self._host = threading.Thread()
        self._cycle = 0

    def result(self) -> dict[str, Any]:
        plan, product, stop = self._plan, self._product, threading.Event()
        product.start()
        if (product.home / "services").is_symlink():
            raise RuntimeError(
                f"The data do not lie on the disk that forgets: every account must pass to {self._folder}"
            )
        self._disk.rest()
        self._begin_host()
        clients = [
            Client(
                port=product.port,
                keys=product.keys,
                seed=plan.seed * 1000 + n,
                ledger=Ledger(self._folder / f"ledger-{n}.txt"),
                budget=10**9,
                stop=stop,
            )
            for n in range(plan.clients)
        ]
        asker = Asker(port=product.port, keys=product.keys, stop=stop)
        began = time.monotonic()
        for thread in (*clients, asker):
            thread.start()
        try:
            is_whole = all(self._survives(cycle) for cycle in range(1, plan.cycles + 1))
            loaded = time.monotonic() - began
        finally:
            stop.set()
        if not is_whole:
            return self._told({"breaches": {}})
        for thread in (*clients, asker):
            thread.join(120)
        self._is_dark.set()
        end_all(self._product, only_with="tests.chaos.power.host")
        self._host.join(30)
        self._is_dark.clear()
        self._listen("--drain")
        ledgers = [*(client.ledger for client in clients), self._host_ledger]
        told = verdict(plan.seed, product, ledgers, self._did, loaded, asker.accepted)
        checked = self._did["verified"]
        self._listen("--drain")
        if self._did["verified"] == checked:
            self._breach("checks_run", "the lake was not checked at the end")
        self._keep_log("end")
        self._await_metrics()
        return self._told(told)

    def _told(self, told: dict[str, Any]) -> dict[str, Any]:
        breaches = {**told["breaches"], **self._breaches}
        result = {**told, "cycles": self._cycle, "faults": dict(sorted(self._did.items())), "breaches": breaches}
        return {**result, "loss_rate_below": None} if breaches else result

    def _survives(self, cycle: int) -> bool:
        """One cycle, from ready to ready again; False when it does not come back."""
        self._cycle, kind = cycle, "at once" if cycle % 5 == 0 else "frozen" if cycle % 3 == 0 else "loaded"
        pick, seconds = self._pick, self._plan.seconds
        if kind == "at once":
            time.sleep(pick.uniform(0.0, 1.0))
        else:
            self._is_promised.wait(30)
            time.sleep(pick.uniform(0.5, 1.5) * seconds)
        if kind == "frozen":
            self._freeze_postgres()
            time.sleep(FROZEN_SECONDS)
        self._lose_power(is_torn=cycle % 2 == 0)
        self._did[f"power lost, {kind}"] += 1
        self._begin_host()
        began = time.monotonic()
        try:
            self._product.start()
        except (RuntimeError, TimeoutError, OSError) as error:
            self._breach("starts_again", f"cycle {cycle}: {error}")
            self._keep_log(f"{cycle}-failed")
            return False
        took = round(time.monotonic() - began)
        self._did["longest start in seconds"] = max(self._did["longest start in seconds"], took)
        return True

    def _lose_power(self, *, is_torn: bool) -> None:
        self._is_dark.set()
        end_all(self._product)
        self._host.join(30)
        self._keep_log(str(self._cycle))
        for what, number in self._disk.lose_power(self._plan.seed * 1000 + self._cycle, is_torn=is_torn).items():
            self._did[what.replace("_", " ")] += number

    def _freeze_postgres(self) -> None:
        for pid in self._product.pids("postgres"):
            with suppress(psutil.NoSuchProcess):
                for process in (postmaster := psutil.Process(pid), *postmaster.children(recursive=True)):
                    process.send_signal(signal.SIGSTOP)

    def _begin_host(self) -> None:
        self._is_promised.clear()
        self._is_dark.clear()
        self._host = threading.Thread(target=self._listen, daemon=True)
        self._host.start()

    def _listen(self, *arguments: str) -> None:
        """Run the host's process and write down what it was told, until it ends."""
        with (self._folder / "log/host.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.power.host", *arguments],
                cwd=ROOT,
                env=self._product.full_environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith("}\n"):
                break  # it was killed in the middle of the word
            self._hear(json.loads(line))
        process.stdout.close()
        if process.wait() > 0 and not self._is_dark.is_set():  # it fell; below 0 it was killed
            self._breach("checks_run", f"cycle {self._cycle}: the host's process failed, see log/host.log")

    def _hear(self, told: dict[str, Any]) -> None:
        what, ledger = told["what"], self._host_ledger
        if what == "sent":
            ledger.sent.update(told["ids"])
        elif what == "acked":
            ledger.acknowledge(told["tenant"], told["ids"])
            ledger.deliveries[told["tenant"]] += len(told["ids"])
            self._did["acknowledged by the spool"] += len(told["ids"]) if told["on_disk"] else 0
            self._is_promised.set()
        else:
            self._did[what] += 1
            # What fails because PostgreSQL was killed a moment earlier is no finding.
            if (problem := told.get("problem")) and not self._is_dark.is_set():
                name = "lake_is_whole" if what == "verified" else "sealing_goes_on"
                self._breach(name, f"cycle {self._cycle}: {problem}")

    def _await_metrics(self) -> None:
        """Files that processes map into memory are torn like others."""
        try:
            urllib.request.urlopen(f"{self._product.url}/metrics", timeout=30).close()
        except OSError as error:
            self._breach("metrics_are_told", str(error))

    def _keep_log(self, name: str) -> None:
        """What PostgreSQL said, before the disk forgets it too."""
        with suppress(OSError):
            text = (self._product.home / "log/postgres.log").read_text(errors="replace")
            (self._folder / f"log/postgres-{name}.log").write_text(text)
            if panics := [line for line in text.splitlines() if "PANIC:" in line]:
                self._breach("postgres_recovers", f"cycle {self._cycle}: {panics[0]}")

    def _breach(self, name: str, text: str) -> None:
        self._breaches.setdefault(name, []).append(text)


def end_all(product: Product, *, only_with: str = "") -> None:
    """SIGKILL everything that belongs to the product (and has this in its command), until nothing is left of it."""
    while family := [each for each in _family(product) if only_with in " ".join(_command(each))]:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=5)


def _family(product: Product) -> list[psutil.Process]:
    """Every process of this home: by its environment, by the folder it works in, and the children of those."""
    home, own, found = str(product.home), os.getpid(), dict[int, psutil.Process]()
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            if process.pid == own or not _is_alive(process):
                continue
            if process.environ().get("BELLWETHER_HOME") == home or process.cwd().startswith(home):
                found[process.pid] = process
                found |= {child.pid: child for child in process.children(recursive=True)}
    return [process for process in found.values() if process.is_running() and _is_alive(process)]


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        command: list[str] = process.cmdline()
        return command
    return []


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
