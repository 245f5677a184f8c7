"""`bin/up`: everything starts, comes back after a kill, and ends without leaving anything."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(sys.prefix)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (VENV / ".installed-requirements").exists(), reason="bin/up would install packages; run by bin/test"
    ),
]


class Up:
    """A running `bin/up` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.log = home, home.with_suffix(".log")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        without = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_INGEST_URL", "DATABASE_ERASURE_URL", "REDIS_URL")
        kept = {name: value for name, value in os.environ.items() if name not in (*without, "DJANGO_SETTINGS_MODULE")}
        mine = {"BELLWETHER_HOME": str(home), "BELLWETHER_VENV": str(VENV), "PORT": str(self.port), "WEB_WORKERS": "2"}
        # A millisecond is slow here, as half a second is on a machine that is busy with its first start.
        mine |= {"POSTGRES_OPTIONS": "shared_buffers=32MB", "SLOW_QUERY_MS": "1"}
        self.environment = {**kept, **mine}
        self.process = self.run()

    def run(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [str(ROOT / "bin/up"), "--no-demo"], env=self.environment, stdout=output, stderr=output
            )

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5):
                return True
        except OSError:
            return False

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while not self.is_ready():
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)

    def family(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def wait_announced(self) -> None:
        deadline = time.monotonic() + 60
        while "Ctrl-C stops everything" not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    folder = Path(tempfile.mkdtemp(prefix="bellwether-up-"))
    folder.chmod(0o711)
    home = folder / "home"
    running = Up(home)
    running.wait_ready()
    running.wait_announced()
    yield running
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(30)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_first_start_shows_no_statement_and_no_warning(up: Up) -> None:
    """What was slow in it, and in the first answers, is in the list of the admin, for whoever wants to know."""
    key = json.loads((up.home / "credentials.json").read_text())["sk"]
    first = urllib.request.Request(
        f"http://127.0.0.1:{up.port}/api/v1/kpis/?family=revenue", headers={"Authorization": f"Bearer {key}"}
    )
    deadline = time.monotonic() + 30
    while not slow_ones_of_requests(up):
        assert time.monotonic() < deadline
        with urllib.request.urlopen(first, timeout=15):
            pass
    said = up.log.read_text()
    assert [word for word in ("SELECT", "INSERT", "WARNING", "ERROR", "Traceback") if word in said] == []


def slow_ones_of_requests(up: Up) -> int:
    read = "import django; django.setup(); from config import queries as q; "
    read += "print([s.request_id for s in q.slow_queries()])"
    environment = {**up.environment, "DJANGO_SETTINGS_MODULE": "config.settings"}
    found = subprocess.run(
        [sys.executable, "-c", read], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return sum(bool(each) for each in ast.literal_eval(found.stdout))


def test_credentials_are_written_for_the_owner_alone(up: Up) -> None:
    path = up.home / "credentials.json"
    known = json.loads(path.read_text())
    assert list(known) == ["url", "admin_user", "admin_password", "tenant", "pk", "sk"]
    assert (known["url"], stat.S_IMODE(path.stat().st_mode)) == (f"http://127.0.0.1:{up.port}", 0o600)
    assert known["sk"] in up.log.read_text()


def told(up: Up, option: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What another `bin/up` beside the one that runs says before it ends."""
    return subprocess.run(
        [str(ROOT / "bin/up"), option],
        env={**up.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def command_of(process: psutil.Process) -> list[str]:
    """The names in its command; none of one that is just ending."""
    try:
        return [Path(part).name for part in process.cmdline()]
    except psutil.Error:
        return []


def is_of_kind(process: psutil.Process, name: str) -> bool:
    """Whether its command names the kind and is no supervisor; one that is just ending is of no kind."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return name in " ".join(command) and not {"config.supervise", "honcho"} & set(command)


@pytest.mark.parametrize("name", ["postgres", "redis", "uvicorn", "worker", "beat"])
def test_it_comes_back_when_a_process_is_killed(up: Up, name: str) -> None:
    victims = [process for process in up.family() if is_of_kind(process, name)]
    victims[0].kill()
    time.sleep(0.3)
    up.wait_ready()
    assert up.process.poll() is None


@pytest.mark.parametrize("supervised", ["config.embedded", "uvicorn", "beat", "honcho"])
def test_it_comes_back_as_a_whole_when_a_supervisor_is_killed(up: Up, supervised: str) -> None:
    before = up.family()
    commands = {each: command_of(each) for each in before}
    supervisors = (each for each, parts in commands.items() if {"config.supervise", "honcho"} & set(parts))
    next(each for each in supervisors if supervised in commands[each]).kill()

    kinds = ("postgres", "redis") if supervised == "config.embedded" else ("uvicorn", "worker", "beat")
    deadline = time.monotonic() + 60
    while not all(any(is_of_kind(each, kind) and each not in before for each in up.family()) for kind in kinds):
        assert time.monotonic() < deadline, up.log.read_text()[-4000:]
        time.sleep(0.1)
    up.wait_ready()
    assert up.process.poll() is None


def test_a_reload_replaces_what_works_and_leaves_servers_port_and_supervisors_alone(up: Up) -> None:
    def of(*kinds: str) -> set[psutil.Process]:
        return {each for each in up.family() if any(is_of_kind(each, kind) for kind in kinds)}

    def serving() -> set[psutil.Process]:
        return {each for each in up.family() if "spawn_main" in " ".join(command_of(each))}

    up.wait_ready()
    former, servers = of("celery") | serving(), of("postgres -D", "redis-server")
    keepers = {each for each in up.family() if {"config.supervise", "honcho"} & set(command_of(each))}
    with up.log.open("ab") as output:
        elsewhere = {name: value for name, value in up.environment.items() if name != "PORT"}  # nobody says it again
        reload = subprocess.Popen([str(ROOT / "bin/up"), "--reload"], env=elsewhere, stdout=output, stderr=output)
    while reload.poll() is None:
        with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/health/live", timeout=15) as answer:
            assert answer.status == 200
        time.sleep(0.05)
    said = up.log.read_text()
    assert reload.returncode == 0, said[-4000:]
    assert [f"   {name} (" in said for name in ("uvicorn", "worker", "beat")] == [True] * 3
    assert {each for each in former if each.is_running()} == set()
    assert [len(servers), len(keepers)] == [
        len({each for each in found if each.is_running()}) for found in (servers, keepers)
    ]
    assert json.loads((up.home / "credentials.json").read_text())["url"] == f"http://127.0.0.1:{up.port}"
    up.wait_ready()


def test_a_second_one_in_the_same_home_is_refused(up: Up) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    second = told(up, "--no-demo", PORT=str(port))
    assert second.returncode == 1
    assert "already running" in second.stdout + second.stderr
    up.wait_ready()


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"PORT": "abc"}, "PORT=abc is no port: give a number from 1 to 65535"),
        ({"PORT": "70000"}, "PORT=70000 is no port"),
        ({"HOST": "192.0.2.1"}, "192.0.2.1 port {port} cannot be listened on"),
        ({}, "port {port} of 127.0.0.1 is taken: stop what uses it"),
    ],
)
def test_a_port_that_cannot_be_had_is_one_sentence(up: Up, chosen: dict[str, str], says: str) -> None:
    up.wait_ready()  # its port is its own only while it listens
    done = told(up, "--no-demo", **chosen)
    assert done.returncode == 1
    assert says.format(port=up.port) in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_every_process_and_a_second_start_shows_no_secrets(up: Up) -> None:
    family = up.family()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(20) == 143
    _, alive = psutil.wait_procs(family, timeout=2)
    assert alive == []
    up.log.write_text("")
    up.process = up.run()
    up.wait_announced()
    assert json.loads((up.home / "credentials.json").read_text())["sk"] not in up.log.read_text()


def test_a_reload_of_nothing_says_how_to_start(up: Up, tmp_path: Path) -> None:
    done = told(up, "--reload", BELLWETHER_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, f"bellwether: nothing runs in {tmp_path}: start it with bin/up\n")


def test_a_killed_script_leaves_nothing_running(up: Up) -> None:
    family = up.family()
    up.process.kill()
    up.process.wait()
    _, alive = psutil.wait_procs(family, timeout=15)
    assert [process.cmdline() for process in alive] == []
