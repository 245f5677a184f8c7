"""Where the embedded services of a home are, and their secrets: computed from `BELLWETHER_HOME`, nothing is started."""

from __future__ import annotations

import base64
import json
import os
import secrets as random
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from analytics.durable import folder_ensure, sync_folder
from config.supervise import Account

ROLES = {
    "APP": "bellwether_app",
    "OWNER": "bellwether_owner",
    "INGEST": "bellwether_ingest",
    "ERASURE": "bellwether_erasure",
}
ADMIN_ROLE = "postgres"
DATABASE = "bellwether"
SOCKET_PATH_LIMIT = 100  # the kernel's limit is 107 bytes, and PostgreSQL appends ".lock"


class EmbeddedError(RuntimeError):
    """The embedded services cannot be used; the message says what to do."""


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
    moved = account is not None and (elsewhere.exists() or not reachable(home))
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
    """Write a private file that appears whole or not at all, and stays; the first of two racing writers wins."""
    folder_ensure(path.parent, mode=0o711)
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
    sync_folder(path.parent)  # other keys after a power cut could read nothing of what the first ones wrote


def _service_account() -> Account | None:
    """PostgreSQL refuses to run as root, so root hands its services to an account without rights."""
    if os.geteuid() != 0:
        return None
    import pwd

    name = os.environ.get("BELLWETHER_SERVICE_ACCOUNT", "nobody")
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise EmbeddedError(
            f"There is no account {name!r} to run PostgreSQL: set BELLWETHER_SERVICE_ACCOUNT."
        ) from error
    return Account(found.pw_uid, found.pw_gid)


def reachable(folder: Path) -> bool:
    """May any account pass through this folder? Missing folders count as their parent: we make them passable."""
    existing = [part for part in (folder, *folder.parents) if part.exists()]
    return all(part.stat().st_mode & stat.S_IXOTH for part in existing)
