"""The cast and the stage: one real PostgreSQL and Redis for the run, a database for each worker, two tenants always.

`BELLWETHER_TEST_ADMIN_URL` (postgresql://… of a superuser) runs the tests on that server instead of the embedded one.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.test import TransactionTestCase
from environ import Env
from pytest_django.plugin import DjangoDbBlocker

from analytics.models import Tenant
from config import embedded
from config.roles import APP, ERASURE, INGEST, OWNER, roles_setup, url_of

hypothesis.settings.register_profile("bellwether", deadline=None)  # speed is for benchmarks: machines of tests are busy
hypothesis.settings.load_profile("bellwether")

T0 = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
ALIASES = {"default": APP, "owner": OWNER, "ingest": INGEST, "erasure": ERASURE}
VARIABLES = {
    "default": "DATABASE_URL",
    "owner": "DATABASE_OWNER_URL",
    "ingest": "DATABASE_INGEST_URL",
    "erasure": "DATABASE_ERASURE_URL",
}
TEMPLATE = "bellwether_template"
ROOT = Path(__file__).resolve().parent.parent


# --- How a run goes ---------------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of the files, for workers side by side: those with long tests one by one over the first half, so that
    they neither meet nor begin when the others have ended; all others by their number of tests.
    """
    sizes = Counter(item.path for item in items)
    long = {item.path for item in items if item.get_closest_marker("chaos") or item.get_closest_marker("slow")}
    places: dict[Path, float] = {}
    place = 0
    for path in sorted(sizes.keys() - long, key=lambda path: (-sizes[path], path)):
        places[path] = place
        place += sizes[path]
    for number, path in enumerate(sorted(long, key=lambda path: path.name)):
        places[path] = place / 2 * number / len(long)
    items.sort(key=lambda item: (places[item.path], item.path))


# --- How a run ends ---------------------------------------------------------------------------------------------------

_DIED = pytest.StashKey[bool]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker died, of a crash or of the time limit of a test."""
    if error:
        node.config.stash[_DIED] = True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After that not every test may have run: another end than that some failed, for whoever asks (`bin/test` does)."""
    if session.config.stash.get(_DIED, False):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


# --- Databases --------------------------------------------------------------------------------------------------------


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    with (home / "tests.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _admin_url(home: Path) -> str:
    return os.environ.get("BELLWETHER_TEST_ADMIN_URL") or embedded.admin_url(home)


def _use_database(name: str, home: Path) -> None:
    """Point all four aliases of this process at one database, each in its role."""
    admin = _admin_url(home)
    for alias, role in ALIASES.items():
        connections[alias].close()
        url = url_of(admin, database=name, user=role, password=embedded.passwords(home)[role])
        config: dict[str, Any] = Env.db_url_config(url)
        connections[alias].settings_dict.update(
            {key: config[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
        )
        connections[alias].settings_dict["OPTIONS"].pop("host", None)
        connections[alias].settings_dict["OPTIONS"].update(config.get("OPTIONS", {}))


def _make_template(home: Path) -> None:
    """Once a run: services, roles, and a migrated database that each worker's own is copied from."""
    if (home / "template.made").exists():
        return
    os.environ.setdefault("POSTGRES_OPTIONS", "fsync=off full_page_writes=off shared_buffers=128MB")
    embedded.start(home, follow=int(os.environ["BELLWETHER_TEST_PID"]))
    with psycopg.connect(_admin_url(home), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
    roles_setup(admin_url=_admin_url(home), database=TEMPLATE, passwords=embedded.passwords(home))
    _use_database(TEMPLATE, home)
    call_command("migrate", verbosity=0, interactive=False)
    for alias in ALIASES:
        connections[alias].close()
    (home / "template.made").touch()


def _make_database(name: str, home: Path) -> None:
    with psycopg.connect(_admin_url(home), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {OWNER}")
        # Rights on a database are not copied with it.
        admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        admin.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {', '.join(ALIASES.values())}")


@pytest.fixture(scope="session")
def test_home() -> Path:
    """The folder of this run: embedded services, logs, secrets."""
    return Path(settings.BELLWETHER_HOME)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: DjangoDbBlocker, test_home: Path, worker_id: str
) -> Iterator[None]:
    """In place of pytest-django's: tests migrate as owner and run as app, on a database of their own."""
    name = f"bellwether_test_{worker_id}"
    with django_db_blocker.unblock(), _one_at_a_time(test_home):
        _make_template(test_home)
        _make_database(name, test_home)
        _use_database(name, test_home)
    yield
    with django_db_blocker.unblock():
        for alias in ALIASES:
            connections[alias].close()


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """`gw0`, `gw1` … under pytest-xdist, else `main`."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def _truncate_as_owner(self: TransactionTestCase) -> None:
    """After a test that commits: role app may not TRUNCATE, and DELETE would see one tenant's rows only."""
    for alias in ALIASES:
        connections[alias].close()
    # A connection of its own: Django forbids a test the aliases that it did not ask for.
    with psycopg.connect(**_plain_parameters("owner"), autocommit=True) as owner:
        (tables,) = owner.execute(
            "SELECT string_agg(format('%%I', c.relname), ', ') FROM pg_class c"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition AND c.relname <> ALL(%s) AND (c.relkind = 'p' OR pg_relation_size(c.oid) > 0)",
            [["django_migrations", "django_content_type", "auth_permission"]],
        ).fetchone() or ("",)
        owner.execute("SET lock_timeout = '20s'")
        owner.execute(f"TRUNCATE {tables} CASCADE")


def _plain_parameters(alias: str) -> dict[str, Any]:
    wanted = ("dbname", "user", "password", "host", "port")
    return {key: value for key, value in connections[alias].get_connection_params().items() if key in wanted}


TransactionTestCase._fixture_teardown = _truncate_as_owner  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def database_urls(django_db_setup: None, test_home: Path, worker_id: str) -> dict[str, str]:
    """Variables of this worker's database, for processes that a test starts: DATABASE_URL, DATABASE_OWNER_URL …"""
    admin, name = _admin_url(test_home), f"bellwether_test_{worker_id}"
    known = embedded.passwords(test_home)
    return {
        VARIABLES[alias]: url_of(admin, database=name, user=role, password=known[role])
        for alias, role in ALIASES.items()
    }


@pytest.fixture(scope="session")
def redis_url(django_db_setup: None) -> str:
    """The run's Redis, shared by its workers: use keys of your own."""
    return str(settings.REDIS_URL)


# --- The cast ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def t0() -> datetime:
    """Monday 2026-03-02 00:00 UTC, where every story begins."""
    return T0


@pytest.fixture
def acme(db: None) -> Tenant:
    """A shop in Paris that counts in euros."""
    return _newly_founded(slug="acme", name="Acme", zone="Europe/Paris", base_currency="EUR")


@pytest.fixture
def globex(db: None) -> Tenant:
    """Its neighbour in Kathmandu (+05:45), whose numbers it must never see."""
    return _newly_founded(slug="globex", name="Globex", zone="Asia/Kathmandu", base_currency="NPR")


def _newly_founded(slug: str, name: str, zone: str, base_currency: str) -> Tenant:
    """A process remembers whom a slug stands for; in each test it is somebody else."""
    from analytics.access.services import tenant_create
    from analytics.capture.outlet import outlet

    outlet.tenants.clear()
    return tenant_create(slug=slug, name=name, zone=zone, base_currency=base_currency)


def _member(username: str, tenant: Tenant, role: str) -> Any:
    from analytics.access.services import membership_set

    users: Any = get_user_model().objects
    user = users.create_user(username=username, email=f"{username}@example.org", password="correct horse")
    membership_set(tenant_id=tenant.pk, user=user, role=role)
    return user


@pytest.fixture
def owner_user(acme: Tenant) -> Any:
    """Olga owns Acme."""
    return _member("olga", acme, "owner")


@pytest.fixture
def teammate(acme: Tenant) -> Any:
    """Theo reads Acme's numbers."""
    return _member("theo", acme, "analyst")


@pytest.fixture
def stranger(globex: Tenant) -> Any:
    """Sam owns Globex and has no business in Acme."""
    return _member("sam", globex, "owner")


# --- Outside ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real files and recorded requests (BELLWETHER_SHARED)."""
    folder = Path(settings.BELLWETHER_SHARED)
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set BELLWETHER_SHARED to the one with `data` and `wire`")
    return folder


@pytest.fixture(scope="module")
def live_server_url(database_urls: dict[str, str], test_home: Path) -> Iterator[str]:
    """The real server process on a free port and this worker's database. Tests of it commit: `transaction=True`."""
    with socket.socket() as listener:
        # uvicorn takes a handed-over socket for a unix one and leaves Nagle on: 40 ms an answer.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        log = test_home / "log" / f"live-{port}.log"
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "config.asgi:application",
            "--fd",
            str(listener.fileno()),
            "--no-access-log",
        ]
        environment = {**os.environ, **database_urls, "DJANGO_SETTINGS_MODULE": "config.settings"}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, pass_fds=[listener.fileno()], stdout=output, stderr=output
            )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_answer(f"{url}/health/live", process, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the server did not answer at {url}:\n{log.read_text()[-4000:]}")
