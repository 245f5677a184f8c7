"""A server of a test's own, told what `bin/up` tells it."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]


def flags_of_the_procfile() -> list[str]:
    """What the product tells uvicorn, without the addresses and the number of processes."""
    (line,) = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:")]
    words = shlex.split(line.partition("config.asgi:application")[2])
    left_out = {"--host", "--port", "--workers"}
    return [word for index, word in enumerate(words) if word not in left_out and words[index - 1] not in left_out]


@contextmanager
def served(log: Path, **settings: str) -> Iterator[str]:
    """The address of a server as bin/up starts it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--fd", str(listener.fileno())]
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **settings}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *flags_of_the_procfile()], cwd=ROOT, env=environment, pass_fds=[listener.fileno()],
                stdout=output, stderr=output,
            )  # fmt: skip
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        _await(url, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def _await(url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/health/live", timeout=2)
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    pytest.fail(log.read_text()[-4000:])
