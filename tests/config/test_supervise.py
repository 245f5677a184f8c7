"""Processes that are kept running, and their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.config.waiting import until

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


# Notes its id, then each SIGHUP that it hears once it listens, half a second after it began.
LISTENER = """
import os, pathlib, signal, sys, time
note = pathlib.Path(sys.argv[1]).open("a", buffering=1)
note.write(f"{os.getpid()}\\n")
time.sleep(0.5)
signal.signal(signal.SIGHUP, lambda number, frame: note.write("hup\\n"))
note.write("listens\\n")
while True:
    time.sleep(0.05)
"""


def _supervise(*command: str, options: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "config.supervise", "--patience", "1", *options, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )


def _ids(path: Path, count: int) -> list[int]:
    until(lambda: path.exists() and len(path.read_text().split()) >= count)
    return [int(text) for text in path.read_text().split()]


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
    until(lambda: _is_gone(orphan))
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
    until(lambda: _is_gone(child))


def test_everything_ends_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    process = _supervise(sys.executable, "-c", PARENT, str(tmp_path / "pids"))
    child, grandchild = _ids(tmp_path / "pids", 1)[0], _ids(tmp_path / "pids.child", 1)[0]
    process.kill()
    process.wait()
    until(lambda: _is_gone(child))
    os.kill(grandchild, signal.SIGKILL)  # the kernel tells children only; servers of ours end their own


def test_a_command_that_reloads_by_itself_is_told_to_and_not_before_it_can_hear(tmp_path: Path) -> None:
    note = tmp_path / "note"
    process = _supervise(sys.executable, "-c", LISTENER, str(note), options=("--reload", "signal"))
    until(lambda: note.exists() and note.read_text().endswith("\n"))
    process.send_signal(signal.SIGHUP)  # nobody listens yet, and nobody dies of it
    until(lambda: "listens" in note.read_text())
    process.send_signal(signal.SIGHUP)
    until(lambda: "hup" in note.read_text())
    pid = int(note.read_text().split()[0])
    assert note.read_text() == f"{pid}\nlistens\nhup\n"
    assert _end(process) == 0
    assert _is_gone(pid)


def test_a_command_that_cannot_reload_is_ended_with_its_family_and_started_again(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    process = _supervise(sys.executable, "-c", PARENT, str(note), options=("--reload", "restart"))
    first, orphan = _ids(note, 1)[0], _ids(tmp_path / "pids.child", 1)[0]
    process.send_signal(signal.SIGHUP)
    second = _ids(note, 2)[1]
    assert [_is_gone(first), _is_gone(second)] == [True, False]
    until(lambda: _is_gone(orphan))
    _ids(tmp_path / "pids.child", 2)
    assert _end(process) == 0
    assert _is_gone(second)


def test_whoever_is_told_to_end_while_it_restarts_a_command_ends(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    deaf = PARENT.replace("import os", "import signal; signal.signal(15, signal.SIG_IGN)\nimport os", 1)
    process = _supervise(sys.executable, "-c", deaf, str(note), options=("--patience", "3", "--reload", "restart"))
    _ids(tmp_path / "pids.child", 1)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert _end(process) == 0
    assert [_is_gone(pid) for pid in _ids(note, 1)] == [True]
