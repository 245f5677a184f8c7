"""PostgreSQL 18 and Redis from PyPI wheels, for one machine and one user.

Only the binaries of the wheels are used. Everything is reached through unix sockets in a folder that nobody else may
enter, with passwords; nothing listens on the network.

    python -m config.embedded run|start|stop|status|wait|needed
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from analytics.durable import folder_ensure, sync_folder, write_synced
from config.home import ADMIN_ROLE, DATABASE, EmbeddedError, Place, admin_url, passwords, place, secrets, urls
from config.supervise import Account, Asked, Child, Lock, process_command
from config.wheels import binaries_of, link

__all__ = [
    "DATABASE",
    "EmbeddedError",
    "Services",
    "admin_url",
    "passwords",
    "place",
    "ready",
    "remove",
    "secrets",
    "start",
    "status",
    "stop",
    "urls",
    "wait",
]

LOG_LIMIT_BYTES = 10 * 1024 * 1024
START_SECONDS = 60.0
START_TRIES = 40  # two seconds of refusals: the last backends of a killed server need a moment to go

POSTGRES_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "120",  # 4 web processes x (20 threads + 4 writers), workers, beat, and a hand at the console
    "shared_buffers": "256MB",
    # Written ahead: else those who load history wait for the log, and write each other's pages before their own.
    "wal_buffers": "64MB",
    "bgwriter_delay": "20ms",
    "bgwriter_lru_maxpages": "1000",
    "bgwriter_lru_multiplier": "4",
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


# --- Starting them ----------------------------------------------------------------------------------------------------


class Services:
    """The embedded PostgreSQL and Redis of one home: `start()`, `tick()` now and then to revive the dead, `stop()`.

    Raises EmbeddedError when they cannot start or another process already runs them.
    """

    def __init__(
        self, home: Path, *, postgres: bool = True, redis: bool = True, options: Mapping[str, str] | None = None
    ):
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
            raise EmbeddedError(
                f"The services of {self.place.home} are already running (python -m config.embedded status)."
            )
        _private_folder(self.place.sockets, self.place.account)
        if self.place.base != self.place.home:
            link(self.place.home / "services", self.place.base)  # whoever looks for the data finds it
        binaries = binaries_of(self.place)
        if self._wants[0]:
            self._initialise(binaries)
            self._names_made_safe()
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
        """Start again what died. A killed server's last backends may refuse it at first; the next tick tries again."""
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
        command += [
            "--auth=scram-sha-256",
            "--data-checksums",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--locale-provider=builtin",
        ]
        _run(command, account=self.place.account)
        password.unlink()
        write_synced(fresh / "pg_hba.conf", b"local all all scram-sha-256\n")
        fresh.rename(self.place.data)

    def _names_made_safe(self) -> None:
        """What PostgreSQL fsyncs is lost all the same when the folder that it lies in is not there after a power cut.

        At each start, because whoever made the names may have died before they were safe.
        """
        for folder in {self.place.home, self.place.base}:
            folder_ensure(folder)
            sync_folder(folder)

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
        pids = {
            "supervisor": os.getpid(),
            "parent": os.getppid(),
            "postgres": _pid(self.postgres),
            "redis": _pid(self.redis),
        }
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
            with Redis(
                unix_socket_path=str(place(home).redis_socket), password=secrets(home)["PASSWORD_REDIS"]
            ) as client:
                client.ping()
    except (psycopg.OperationalError, RedisError):
        return False
    return True


def _pid(child: Child | None) -> int | None:
    return child.pid if child else None


def _redis_config(where: Place, password: str) -> str:
    """Caches and doorbells only, so nothing is saved. Only keys with an expiry (caches) are evicted, never queues."""
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


def _private_folder(path: Path, account: Account | None, *, mode: int = 0o700) -> None:
    """Make the folder, or make sure that an existing one is ours and not open to others."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        path.mkdir(mode=mode)
        _give(path, account)
    except FileExistsError:
        owner = os.geteuid() if account is None else account.uid
        found = path.lstat()
        if mode == 0o700 and (
            found.st_uid != owner or not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077
        ):
            raise EmbeddedError(
                f"{path} must be a folder of user {owner} with mode 700: remove it and start again."
            ) from None


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
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/", **as_account
    )  # type: ignore[call-overload]
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
    stop = Asked(signal.SIGTERM)
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
    """Return when services that `follow` started answer; raises EmbeddedError when it ends before, or after a minute.

    Those of another run answer as well, and would end with that run.
    """
    deadline = time.monotonic() + START_SECONDS
    while not (found := status(home))["ready"] or (follow is not None and found.get("parent") != follow):
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


def remove(home: Path) -> None:
    """Stop the services and delete the home with all its data, wherever they lie. For homes of tests only."""
    where = place(home)
    stop(home)
    for folder in (where.sockets, where.base, home):
        shutil.rmtree(folder, ignore_errors=True)


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
