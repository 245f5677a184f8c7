"""The product as it runs: web, worker and beat of the Procfile, on a database and a home of their own, once a run.

The first process of the run that asks builds it; all others use the same one. It ends with the run.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.product import free_port, procfile
from tests.conftest import ROOT

READY_SECONDS = 90


@dataclass(frozen=True)
class Stage:
    """Where it answers; keys by tenant and session cookies by person, see `prepare`."""

    url: str
    keys: dict[str, str]
    sessions: dict[str, dict[str, str]]

    def post(self, path: str, tenant: str = "acme", **body: Any) -> Any:
        """Call the API as that tenant; its answer."""
        answer = httpx.post(
            f"{self.url}/api/v1/{path}", json=body, headers={"Authorization": f"Bearer {self.keys[tenant]}"}, timeout=30
        )
        assert answer.is_success, f"{answer.status_code} {answer.text[:2000]}"
        return answer.json() if answer.content else None

    def delete(self, path: str, tenant: str = "acme") -> None:
        """Take something away by the API."""
        headers = {"Authorization": f"Bearer {self.keys[tenant]}"}
        answer = httpx.delete(f"{self.url}/api/v1/{path}", headers=headers, timeout=30)
        assert answer.is_success, f"{answer.status_code} {answer.text[:2000]}"

    def capture(self, tenant: str, *events: dict[str, Any]) -> None:
        """Send events as a customer's server does."""
        for start in range(0, len(events), 100):
            batch = {"api_key": self.keys[tenant], "batch": list(events[start : start + 100])}
            answer = httpx.post(f"{self.url}/batch/", json=batch, timeout=60)
            assert answer.is_success, f"{answer.status_code} {answer.text[:2000]}"

    def series(self, tenant: str, metric: str, query: str) -> Any:
        """The series of a metric, from the API."""
        answer = httpx.get(
            f"{self.url}/api/v1/kpis/{metric}/series/?{query}",
            headers={"Authorization": f"Bearer {self.keys[tenant]}"},
            timeout=30,
        )
        assert answer.is_success, answer.text[:2000]
        return answer.json()

    def await_total(self, tenant: str, metric: str, query: str, wanted: int, seconds: float = 60) -> None:
        """Wait until the events that were sent are counted."""
        deadline = time.monotonic() + seconds
        while (found := self.series(tenant, metric, query)["total"]) != wanted:
            assert time.monotonic() < deadline, f"{metric} of {tenant} is {found}, not {wanted}"
            time.sleep(0.3)

    def await_some(self, tenant: str, metric: str, query: str = "period=today", seconds: float = 60) -> None:
        """Wait until anything is counted at all."""
        deadline = time.monotonic() + seconds
        while not self.series(tenant, metric, query)["total"]:
            assert time.monotonic() < deadline, f"{metric} of {tenant} is not counted"
            time.sleep(0.3)


def stage_of(home: Path, database: dict[str, str], redis_url: str, make_database: Callable[[], None]) -> Stage:
    """The run's stage, built if nobody has; `database` holds the variables of the empty migrated database that
    `make_database` makes.
    """
    with (home / "browser.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = home / "browser.json"
        if not told.exists():
            make_database()
            stage = _build(home / "browser", database, redis_url)
            told.write_text(json.dumps(asdict(stage)))
        return Stage(**json.loads(told.read_text()))


def _build(home: Path, database: dict[str, str], redis_url: str) -> Stage:
    home.mkdir(mode=0o711)
    port = free_port()
    path = f"{redis_url.split('?')[0]}"
    environment = {
        **os.environ,
        **database,
        "REDIS_URL": f"{path}?db=9",  # queues of this stage's own on the run's Redis
        "CELERY_BROKER_URL": f"{path.replace('unix://', 'redis+socket://')}?virtual_host=9",
        "BELLWETHER_HOME": str(home),
        "BELLWETHER_PORT": str(port),
        "BELLWETHER_FOLLOW": os.environ["BELLWETHER_TEST_PID"],
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "HOST": "127.0.0.1",
        "WEB_WORKERS": "1",
        "WORKER_PROCESSES": "1",
        "API_RATE_PER_MINUTE": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    filled = _run(environment, "-m", "tests.browser.prepare")
    for name, command in procfile().items():
        with (home / f"{name}.log").open("ab") as log:
            # The shell leaves it behind: nobody's child, ended by BELLWETHER_FOLLOW.
            subprocess.run(
                ["sh", "-c", f"{command} &"], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
    stage = Stage(f"http://127.0.0.1:{port}", **json.loads(filled.splitlines()[-1]))
    _await(stage.url, home)
    return stage


def _run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert not done.returncode, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr[-6000:]}"
    return done.stdout


def _await(url: str, home: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health/ready", timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise TimeoutError("\n".join(log.read_text()[-2000:] for log in home.glob("*.log")))


def chromium() -> str | None:
    """The browser of the system."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
