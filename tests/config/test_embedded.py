"""The embedded PostgreSQL and Redis: closed to others, and back after any kind of death."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from config import embedded

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home of its own with running services; small, so that it starts quickly."""
    folder = Path(tempfile.mkdtemp(prefix="bellwether-embedded-"))
    folder.chmod(0o711)
    before = os.environ.get("POSTGRES_OPTIONS")
    os.environ["POSTGRES_OPTIONS"] = "shared_buffers=16MB"
    embedded.start(folder, follow=os.getpid())
    if before is None:
        del os.environ["POSTGRES_OPTIONS"]
    else:
        os.environ["POSTGRES_OPTIONS"] = before
    yield folder
    embedded.remove(folder)


def _pid(home: Path, name: str) -> int:
    pid = json.loads((home / "embedded.json").read_text())[name]
    assert isinstance(pid, int)
    return pid


def _await_ready(home: Path, *, seconds: float = 10) -> float:
    begun = time.monotonic()
    while not embedded.status(home)["ready"]:
        assert time.monotonic() - begun < seconds, "the services did not come back"
        time.sleep(0.02)
    return time.monotonic() - begun


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)


def test_nothing_listens_on_the_network(home: Path) -> None:
    ours = [psutil.Process(_pid(home, name)) for name in ("postgres", "redis", "supervisor")]
    assert [connection for process in ours for connection in process.net_connections(kind="inet")] == []


def test_folders_and_secrets_are_private(home: Path) -> None:
    where = embedded.place(home)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (where.sockets, where.data, home / "secrets.json")
    }
    assert modes == {where.sockets.name: 0o700, "postgres": 0o700, "secrets.json": 0o600}


def test_postgres_refuses_whoever_has_no_password(home: Path) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"postgresql://postgres@/postgres?host={embedded.place(home).sockets}")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://postgres:wrong@/postgres?host={embedded.place(home).sockets}")


def test_redis_refuses_whoever_has_no_password(home: Path) -> None:
    client = redis.Redis(unix_socket_path=str(embedded.place(home).redis_socket))
    with client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_redis_keeps_its_settings_from_its_user(home: Path) -> None:
    password = embedded.secrets(home)["PASSWORD_REDIS"]
    client = redis.Redis(unix_socket_path=str(embedded.place(home).redis_socket), password=password)
    with client, pytest.raises(redis.exceptions.NoPermissionError):
        client.config_set("dir", "/")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as somebody else")
def test_another_local_user_is_refused(home: Path) -> None:
    url = embedded.admin_url(home)
    # Imported as root, because others may not reach our Python at all.
    code = f"import os, psycopg; os.setgroups([]); os.setgid(1); os.setuid(1); psycopg.connect({url!r})"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Permission denied" in tried.stderr


def test_checksums_and_scram_are_on(home: Path) -> None:
    with psycopg.connect(embedded.admin_url(home)) as connection:
        rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("data_checksums", "synchronous_commit")]  # type: ignore[call-overload, unused-ignore]
    assert (rules, shown) == ([("scram-sha-256",)], [("on",), ("on",)])


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_killed_server_is_back_within_seconds(home: Path, name: str) -> None:
    before = _pid(home, name)
    _kill(before)
    time.sleep(0.2)
    assert _await_ready(home) < 5
    assert _pid(home, name) != before


def test_a_second_start_is_refused_with_the_reason(home: Path) -> None:
    with pytest.raises(embedded.EmbeddedError, match="already running"):
        embedded.Services(home).start()


def test_services_end_with_a_killed_supervisor_and_start_again(home: Path) -> None:
    supervisor, postgres = _pid(home, "supervisor"), psutil.Process(_pid(home, "postgres"))
    _kill(supervisor)
    postgres.wait(10)
    embedded.start(home, follow=os.getpid())
    assert embedded.status(home)["ready"]


def test_a_stale_lock_file_of_a_living_stranger_does_not_stop_the_start(home: Path) -> None:
    embedded.stop(home)
    pidfile = embedded.place(home).data / "postmaster.pid"
    pidfile.write_text(f"{os.getppid()}\n{embedded.place(home).data}\n")
    embedded.start(home, follow=os.getpid())
    assert embedded.status(home)["ready"]


def test_addresses_follow_from_the_home_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert embedded.urls(home) == embedded.urls(home)
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/base")
    assert set(embedded.urls(home)) == {"REDIS_URL"}  # the roles of another server are not ours to guess


def test_a_long_home_gets_short_sockets(tmp_path: Path) -> None:
    where = embedded.place(tmp_path / ("long" * 30))
    assert len(os.fsencode(where.sockets / ".s.PGSQL.5432.lock")) <= 107


def test_a_folder_that_is_open_to_others_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    with pytest.raises(embedded.EmbeddedError, match="mode 700"):
        embedded._private_folder(folder, None)
