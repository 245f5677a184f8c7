"""The product under attack: its own home folder, its own services, the processes of the Procfile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 90.0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def procfile() -> dict[str, str]:
    """Process name → command."""
    lines = [line.split(":", 1) for line in (ROOT / "Procfile").read_text().splitlines() if ":" in line]
    return {name.strip(): command.strip() for name, command in lines if not name.startswith("#")}


@dataclass
class Product:
    """A running Bellwether in `home` with two tenants and `more_tenants`; `keys` are their secret keys by slug.

    `logs` is where its processes write what they say, when it is not to be in the home.
    """

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    logs: Path | None = None
    patience: float = READY_SECONDS
    more_tenants: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    keys: dict[str, str] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def full_environment(self) -> dict[str, str]:
        # Nothing of a surrounding test run: its settings, servers and their fsync=off are not the product's.
        foreign = ("DATABASE_", "REDIS_URL", "BELLWETHER_", "POSTGRES_OPTIONS", "DJANGO_SETTINGS_MODULE")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        mine = {
            "BELLWETHER_HOME": str(self.home),
            "HOST": "127.0.0.1",
            "BELLWETHER_PORT": str(self.port),
            "BELLWETHER_FOLLOW": str(os.getpid()),  # however this process ends, nothing it started stays behind
            "PYTHONUNBUFFERED": "1",
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])
        return {**clean, **mine, "PATH": path, **self.environment}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command of the project to its end."""
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=self.full_environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("manage.py", *arguments, check=check)

    def start(self) -> None:
        """Everything up and answering, with two tenants and their keys; they are made the first time."""
        self.home.mkdir(parents=True, exist_ok=True)  # its name is made safe by the product
        self.serve()
        if not self.keys:
            self.keys = json.loads(self.run("-m", "tests.chaos.prepare", *self.more_tenants).stdout.splitlines()[-1])
        self.launch()

    def serve(self) -> None:
        """The servers alone."""
        self.run("-m", "config.embedded", "start", f"--follow={os.getpid()}")

    def launch(self) -> None:
        """Web, worker and beat, answering."""
        for name, command in procfile().items():
            with ((self.logs or self.home) / f"{name}.chaos.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    ["sh", "-c", command],
                    cwd=ROOT,
                    env=self.full_environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        self.await_ready()

    def await_ready(self, seconds: float | None = None) -> float:
        """Wait for 200 of the ready probe; seconds that it took. Raises TimeoutError."""
        began, seconds = time.monotonic(), seconds or self.patience
        while time.monotonic() - began < seconds:
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5) as answer:
                    if answer.status == 200:
                        return time.monotonic() - began
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"Not ready after {seconds} s; see the logs in {self.home}")

    def deploy(self) -> None:
        """What `bin/up --reload` does once the environment is up to date."""
        self.manage("migrate", "--verbosity", "0")
        self.run("-m", "config.reload")

    def pids(self, kind: str) -> list[int]:
        """Processes of one type, without those that only supervise."""
        if kind in ("postgres", "redis"):
            pid = json.loads((self.home / "embedded.json").read_text()).get(kind)
            return [pid] if pid and psutil.pid_exists(pid) else []
        try:
            family = psutil.Process(self._processes[kind].pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process.pid for process in family]

    def admin(self) -> psycopg.Connection[tuple[object, ...]]:
        """The embedded superuser: the oracle looks past row-level security."""
        script = (
            "from config import embedded, settings; print(embedded.admin_url(settings.BELLWETHER_HOME, 'bellwether'))"
        )
        return psycopg.connect(self.run("-c", script).stdout.strip(), autocommit=True)

    def redis_flush(self) -> None:
        """FLUSHALL, as an operator in panic would; a Redis that is just dead is empty anyway."""
        import redis

        script = "from config import settings; print(settings.REDIS_URL)"
        url = self.run("-c", script).stdout.strip()
        try:
            with redis.Redis.from_url(url) as client:
                client.flushall()
        except redis.RedisError:
            return

    def stop(self) -> None:
        """End everything that was started, and remove what lies elsewhere."""
        self.halt()
        moved = self.home / "services"  # as root under a closed temporary folder the data lie elsewhere
        if moved.is_symlink():
            shutil.rmtree(moved.resolve(), ignore_errors=True)

    def halt(self) -> None:
        """End everything that was started, by its own pid; the data stay."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        self._processes.clear()
        self.run("-m", "config.embedded", "stop", check=False)
