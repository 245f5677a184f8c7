"""Running processes take up new code: those of one home only, one after the other, and not at all when it is broken."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.product import free_port
from tests.config.waiting import until

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = """
import os
from pathlib import Path
Path(__file__).with_name("loaded-" + str(os.getpid())).touch()
async def application(scope, receive, send):
    if scope["type"] == "http":
        body = b"{version} " + str(os.getpid()).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({{"type": "http.response.start", "status": 200, "headers": headers}})
        await send({{"type": "http.response.body", "body": body}})
"""
FLAGS = "--workers", "2", "--timeout-worker-healthcheck", "30", "--http", "config.lingering:Lingering"


@dataclass
class Site:
    """A web server of two processes and a worker, supervised in a home of their own. It answers version and process."""

    home: Path
    port: int = field(default_factory=free_port)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def publish(self, version: str) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / "shop.py").write_text(APPLICATION.format(version=version))

    def break_it(self) -> None:
        (self.home / "shop.py").write_text("raise SystemExit('this version cannot start')")

    def start(self) -> None:
        server = [sys.executable, "-m", "uvicorn", "shop:application", "--app-dir", str(self.home), *FLAGS]
        self._supervise("signal", *server, "--port", str(self.port))
        self._supervise("restart", "sleep", "600")
        until(self._is_up, seconds=60)

    def _is_up(self) -> bool:
        """Both processes have loaded the code: one that is still about to would load what is published next."""
        return len(list(self.home.glob("loaded-*"))) == 2 and self._answers()

    def _supervise(self, reload: str, *command: str) -> None:
        with (self.home / "log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "config.supervise", "--reload", reload, *command],
                    cwd=ROOT, env=self.environment, stdout=log, stderr=log,
                )
            )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "BELLWETHER_HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"}

    def _answers(self) -> bool:
        try:
            return bool(self.answers())
        except OSError:
            return False

    def answers(self, connection: http.client.HTTPConnection | None = None) -> list[str]:
        """Version and process id, of a connection of its own or this one."""
        line = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        line.request("GET", "/")
        with line.getresponse() as answer:
            words = answer.read().decode().split()
        if connection is None:
            line.close()
        return words

    def versions(self) -> set[str]:
        return {self.answers()[0] for _ in range(20)}

    def workers(self) -> set[int]:
        """What serves, and what sleeps."""
        supervised = [psutil.Process(process.pid).children(recursive=True) for process in self._processes]
        return {each.pid for each in supervised[0][1:] if "spawn_main" in " ".join(each.cmdline())} | {
            each.pid for each in supervised[1]
        }

    def reload(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "config.reload"],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(20)


@contextmanager
def running(home: Path) -> Iterator[Site]:
    site = Site(home)
    site.publish("first")
    try:
        site.start()
        yield site
    finally:
        site.stop()


def test_new_code_is_taken_up_by_one_home_and_its_neighbour_runs_on(tmp_path: Path) -> None:
    with running(tmp_path / "acme") as acme, running(tmp_path / "globex") as globex:
        until(lambda: (len(acme.workers()), len(globex.workers())) == (3, 3), seconds=60)
        before, beside = acme.workers(), globex.workers()
        for site in (acme, globex):
            site.publish("second")
        done = acme.reload()
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["uvicorn", "600"]
        assert (acme.versions(), globex.versions()) == ({"second"}, {"first"})
        assert (acme.workers() & before, globex.workers()) == (set(), beside)


def test_code_that_cannot_start_replaces_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "acme") as acme:
        until(lambda: len(acme.workers()) == 3, seconds=60)
        before = acme.workers()
        acme.break_it()
        done = acme.reload()
        assert done.returncode == 1
        assert "uvicorn could not be replaced; what it said stands where bin/up runs" in done.stderr
        assert "this version cannot start" in (acme.home / "log").read_text()
        assert (acme.versions(), acme.workers()) == ({"first"}, before)
        acme.publish("mended")
        assert acme.reload().returncode == 0
        assert acme.versions() == {"mended"}


def test_a_kept_connection_gets_its_answer_and_is_then_told_to_close(tmp_path: Path) -> None:
    with running(tmp_path / "acme") as acme:
        until(lambda: len(acme.workers()) == 3, seconds=60)
        before = acme.workers()
        kept = [http.client.HTTPConnection("127.0.0.1", acme.port, timeout=10) for _ in range(12)]
        first = {int(acme.answers(line)[1]) for line in kept}
        reload = subprocess.Popen([sys.executable, "-m", "config.reload"], cwd=ROOT, env=acme.environment)
        while reload.poll() is None:
            for line in kept:
                acme.answers(line)  # raises when a connection was closed without a word
            time.sleep(0.02)
        last = {int(acme.answers(line)[1]) for line in kept}
        for line in kept:
            line.close()
        assert reload.returncode == 0
        assert (first <= before, last & before) == (True, set())


def test_a_home_in_which_nothing_runs_says_so(tmp_path: Path) -> None:
    done = Site(tmp_path).reload()
    assert (done.returncode, done.stderr) == (
        1,
        f"bellwether: nothing runs in {tmp_path}: start it with bin/up\n",
    )
