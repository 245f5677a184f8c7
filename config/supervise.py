"""Keeps one command running: started again within a second when it dies, ended with its whole family when we end.

    python -m config.supervise [--patience SECONDS] [--reload signal|restart] COMMAND [ARGUMENT …]
    python -m config.supervise --end SECONDS PID

The Procfile uses it, because honcho ends everything when one process ends. With BELLWETHER_FOLLOW in the environment it
also ends when one of those process ids is gone, so that a killed `bin/up` or honcho leaves nothing running. A command
that exits with 78 (EX_CONFIG) has said what a person must change, and is not started again.

`--reload` says what SIGHUP means (`python -m config.reload` sends it): `signal` hands it on to a command that
replaces its own processes one by one, `restart` ends the command politely and starts it again. Without, SIGHUP ends us.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Literal, NamedTuple, get_args

POLITE_SECONDS = 4.0  # honcho kills after 5
LONGEST_PAUSE_SECONDS = 5.0
HEALTHY_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1
Reload = Literal["signal", "restart"]


class Account(NamedTuple):
    """Who a child runs as."""

    uid: int
    gid: int


class Lock:
    """A file lock that vanishes with its process, whatever killed it."""

    def __init__(self, path: Path):
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass
class Child:
    """One process that we start, watch and end. On Linux it also gets `polite` when this process is killed."""

    command: list[str]
    log: Path | None = None
    account: Account | None = None
    polite: signal.Signals = signal.SIGTERM
    rude: signal.Signals = signal.SIGKILL
    deaf_to: tuple[signal.Signals, ...] = ()
    """Ignored until the process itself listens: what comes while it starts must not end it."""
    environment: dict[str, str] | None = field(default=None, repr=False)  # ours when None
    started_at: float = 0.0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process else None

    def start(self) -> None:
        self.started_at = time.monotonic()
        output = self.log.open("ab") if self.log else None
        as_account = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []} if self.account else {}
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/" if self.account else None,
                env=self.environment,
                preexec_fn=_follow_parent(self.polite, self.deaf_to),
                **as_account,  # type: ignore[call-overload]
            )
        finally:
            if output:
                output.close()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log_tail(self, lines: int = 6) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log else ""

    def tell(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, *, seconds: float) -> None:
        """Ask politely, wait, insist, and end whatever the process left in its own group."""
        if self._process is None:
            return
        for wish, patience in ((self.polite, seconds), (self.rude, 2.0), (signal.SIGKILL, 5.0)):
            if self.is_running():
                self._process.send_signal(wish)
                self._await(patience)
        self.sweep()

    def sweep(self) -> None:
        """Kill what a dead leader left behind: workers that would keep the port or a database connection."""
        if self._process is not None and not self.is_running():
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return

    def _await(self, seconds: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return


def process_command(pid: int) -> str:
    """Command line of a living process, else an empty text."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return "" if state == "Z" else Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        if not Path("/proc/self").exists():  # not Linux
            return subprocess.run(
                ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
            ).stdout
        return ""


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


class _follow_parent:  # a class, so that nothing is imported or locked after the fork
    """Makes the kernel signal the child when its parent is killed, and forgets the parent's signal mask."""

    def __init__(self, signal_number: signal.Signals, deaf_to: tuple[signal.Signals, ...]):
        self._signal = int(signal_number)
        self._deaf_to = deaf_to
        self._parent = os.getpid()

    def __call__(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in self._deaf_to:
            signal.signal(number, signal.SIG_IGN)
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, self._signal)
            if os.getppid() != self._parent:  # it died before we could ask
                os._exit(1)


class Asked:
    """Turns signals into a flag that loops look at."""

    def __init__(self, *signals: signal.Signals):
        self.is_asked = False
        for number in signals:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.is_asked = True

    def take(self) -> bool:
        """Whether it was asked since the last time."""
        was_asked, self.is_asked = self.is_asked, False
        return was_asked


def _name(command: list[str]) -> str:
    """What people call it: `uvicorn`, not `python -m uvicorn …`."""
    return Path(command[2] if command[1:2] == ["-m"] else command[0]).name


def keep_running(command: list[str], *, patience: float = POLITE_SECONDS, reload: Reload | None = None) -> int:
    """Run the command until we are told to stop; pauses grow to 5 s while it keeps dying early."""
    stop = Asked(signal.SIGTERM, signal.SIGINT)
    again = Asked(*([signal.SIGHUP] if reload else []))
    follow = [int(pid) for pid in os.environ.get("BELLWETHER_FOLLOW", "").split()]
    child, pause = Child(command, deaf_to=(signal.SIGHUP,) if reload == "signal" else ()), 0.2
    child.start()
    while not stop.is_asked and all(process_command(pid) for pid in follow):
        if not child.is_running():
            child.sweep()
            if child.exit_code == os.EX_CONFIG:
                return os.EX_CONFIG
            lived = time.monotonic() - child.started_at
            pause = 0.2 if lived > HEALTHY_SECONDS else min(pause * 2, LONGEST_PAUSE_SECONDS)
            print(f"{_name(command)} ended after {lived:.0f} s; starting it again in {pause:.1f} s", flush=True)
            time.sleep(pause)
            child.start()
        elif reload and again.take():
            _RELOADS[reload](child, patience, stop)
        time.sleep(0.1)
    child.stop(seconds=patience)
    return 0


def _hand_on(child: Child, patience: float, stop: Asked) -> None:
    child.tell(signal.SIGHUP)


def _restart(child: Child, patience: float, stop: Asked) -> None:
    """End it and start it again, unless we are to end ourselves meanwhile."""
    child.tell(child.polite)
    deadline = time.monotonic() + patience
    while child.is_running() and time.monotonic() < deadline and not stop.is_asked:
        time.sleep(0.05)
    if not stop.is_asked:
        child.stop(seconds=0)
        child.start()


_RELOADS: dict[Reload, Callable[[Child, float, Asked], None]] = {"signal": _hand_on, "restart": _restart}


def end(pid: int, *, seconds: float) -> None:
    """Wait for a process that was asked to end; kill it when it takes too long."""
    deadline = time.monotonic() + seconds
    while process_command(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.supervise", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--patience", type=float, default=POLITE_SECONDS, metavar="SECONDS")
    parser.add_argument("--reload", choices=get_args(Reload))
    parser.add_argument("--end", type=float, metavar="SECONDS", help="end the process of this id instead")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if not asked.command:
        parser.error("which command?")
    if asked.end is not None:
        end(int(asked.command[0]), seconds=asked.end)
        return
    sys.exit(keep_running(asked.command, patience=asked.patience, reload=asked.reload))


if __name__ == "__main__":
    main()
