"""Has the processes of a running Bellwether load code and settings anew, one after the other: nobody is turned away.

    python -m config.reload [--check]

They are found by BELLWETHER_HOME: every `config.supervise --reload …` of the same home. Web processes come first, as
new ones serve before the former end; when they cannot start, everything stays as it was.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import psutil

from config.embedded import default_home
from config.supervise import Reload

STANDSTILL_SECONDS: Final = 150.0
"""Without one process more being replaced: a web process may take a minute to start and one to end its last answer."""
SETTLED_SECONDS: Final = 5.0
"""What cannot start has ended by then."""


class NotReloaded(Exception):
    """Processes of the former code go on; the message says which."""


@dataclass(frozen=True)
class Supervisor:
    """One `config.supervise`, and the processes below it that are to be replaced."""

    process: psutil.Process
    reload: Reload
    name: str
    former: frozenset[psutil.Process]
    ended_before: float

    def ask(self) -> None:
        if not self.former:
            raise NotReloaded(f"{self.name} has no processes that one could replace: WEB_WORKERS has to be 2 or more")
        self.process.send_signal(signal.SIGHUP)

    def left(self) -> set[psutil.Process]:
        return {each for each in self.former if each.is_running() and each.status() != psutil.STATUS_ZOMBIE}

    def fresh(self) -> set[psutil.Process]:
        return _workers(self.process, self.reload) - self.former

    def has_seen_one_end(self) -> bool:
        """Also one that was too short-lived to be met."""
        return _seconds_of_the_ended(self.process) > self.ended_before


def supervisors(home: Path) -> list[Supervisor]:
    """Those of this home that can reload, web processes first."""
    found = [each for process in psutil.process_iter() if (each := _supervisor(process, home))]
    return sorted(found, key=lambda each: get_args(Reload).index(each.reload))


def _supervisor(process: psutil.Process, home: Path) -> Supervisor | None:
    with suppress(psutil.Error, OSError):
        command = process.cmdline()
        if "config.supervise" not in command or "--reload" not in command:
            return None
        if Path(process.cwd(), process.environ().get("BELLWETHER_HOME", "var")).resolve() != home:
            return None
        reload: Reload = command[command.index("--reload") + 1]
        name = next(word for word in ("uvicorn", "worker", "beat", command[-1]) if word in command)
        return Supervisor(process, reload, name, frozenset(_workers(process, reload)), _seconds_of_the_ended(process))
    return None


def _workers(process: psutil.Process, reload: Reload) -> set[psutil.Process]:
    """What a reload replaces: everything, or what the command itself has started for work."""
    with suppress(psutil.Error):
        first = process.children()
        if reload == "restart":
            return set(first)
        return {worker for each in first for worker in each.children() if not _is_of_python_itself(worker)}
    return set()


def _seconds_of_the_ended(process: psutil.Process) -> float:
    """Processor time of all that the supervised command has started and seen to its end."""
    with suppress(psutil.Error):
        times = [each.cpu_times() for each in process.children()]
        return float(sum(each.children_user + each.children_system for each in times))
    return 0.0


def _is_of_python_itself(process: psutil.Process) -> bool:
    """The tracker of `multiprocessing`, which stays with the process that hands out work."""
    with suppress(psutil.Error):
        return any("resource_tracker" in part for part in process.cmdline())
    return False


def reload_all(home: Path) -> Iterator[str]:
    """What has been reloaded, as it goes. Raises NotReloaded."""
    found = supervisors(home)
    if not found:
        raise NotReloaded(f"nothing runs in {home}: start it with bin/up")
    for kind in get_args(Reload):
        group = [each for each in found if each.reload == kind]
        for each in group:
            each.ask()
        for each in group:
            began = time.monotonic()
            _await_replaced(each)
            yield f"{each.name} ({time.monotonic() - began:.1f} s)"


def _await_replaced(supervisor: Supervisor) -> None:
    left, moved = supervisor.left(), time.monotonic()
    while left or not _is_settled(supervisor):
        time.sleep(0.1)
        still = supervisor.left()
        is_untouched = len(still) == len(supervisor.former) and not supervisor.fresh()
        has_given_up = is_untouched and supervisor.reload == "signal" and supervisor.has_seen_one_end()
        if has_given_up or not supervisor.process.is_running() or time.monotonic() - moved > STANDSTILL_SECONDS:
            raise NotReloaded(f"{supervisor.name} could not be replaced; what it said stands where bin/up runs")
        if still != left:
            left, moved = still, time.monotonic()


def _is_settled(supervisor: Supervisor) -> bool:
    """Whether what took over has not ended at once. A command that replaces its own processes has looked itself."""
    fresh = supervisor.fresh()
    if supervisor.reload == "signal":
        return bool(fresh)
    with suppress(psutil.Error):
        return any(time.time() - each.create_time() > SETTLED_SECONDS for each in fresh)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.reload", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="only say whether there is something to reload")
    home, is_check = default_home(), parser.parse_args().check
    try:
        if is_check and not supervisors(home):
            raise NotReloaded(f"nothing runs in {home}: start it with bin/up")
        for told in () if is_check else reload_all(home):
            print(f"   {told}", flush=True)
    except NotReloaded as error:
        sys.exit(f"bellwether: {error}")


if __name__ == "__main__":
    main()
