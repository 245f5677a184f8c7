"""Processes that are kept running, and their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
# Writes its id, starts a child that ignores SIGTERM, and sleeps.
PARENT = """
import os, pathlib, subprocess, sys, time
pathlib.Path(sys.argv[1]).open("a").write(f"{os.getpid()}\\n")
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf])
pathlib.Path(sys.argv[1] + ".child").open("a").write(f"{child.pid}\\n")
time.sleep(60)
"""


def _supervise(*command: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "config.supervise", "--patience", "1", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )


def _ids(path: Path, count: int) -> list[int]:
    _await(lambda: path.exists() and len(path.read_text().split()) >= count)
    return [int(text) for text in path.read_text().split()]


def _await(met: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(15)


def test_a_killed_command_is_started_again_without_its_leftovers(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    process = _supervise(sys.executable, "-c", PARENT, str(note))
    first, orphan = _ids(note, 1)[0], _ids(tmp_path / "pids.child", 1)[0]
    os.kill(first, signal.SIGKILL)
    second = _ids(note, 2)[1]
    _await(lambda: _is_gone(orphan))
    assert _end(process) == 0
    assert [_is_gone(pid) for pid in (first, second, *_ids(tmp_path / "pids.child", 2))] == [True] * 4


def test_a_command_that_needs_a_person_is_not_started_again(tmp_path: Path) -> None:
    process = _supervise(sys.executable, "-c", f"import sys; sys.exit({os.EX_CONFIG})")
    assert process.wait(10) == os.EX_CONFIG


def test_everything_ends_with_the_process_that_is_followed(tmp_path: Path) -> None:
    leader = subprocess.Popen(["sleep", "60"])
    process = _supervise(sys.executable, "-c", PARENT, str(tmp_path / "pids"), BELLWETHER_FOLLOW=str(leader.pid))
    child = _ids(tmp_path / "pids", 1)[0]
    leader.kill()
    leader.wait()
    process.wait(10)
    _await(lambda: _is_gone(child))


def test_everything_ends_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    process = _supervise(sys.executable, "-c", PARENT, str(tmp_path / "pids"))
    child, grandchild = _ids(tmp_path / "pids", 1)[0], _ids(tmp_path / "pids.child", 1)[0]
    process.kill()
    process.wait()
    _await(lambda: _is_gone(child))
    os.kill(grandchild, signal.SIGKILL)  # the kernel tells children only; servers of ours end their own
