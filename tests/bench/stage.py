"""A private PostgreSQL for a benchmark: the test run's services in a temporary home, durable as in production."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def prepare(*, shared_buffers: str = "1GB") -> None:
    """Point the environment at a fresh migrated database and set Django up. With BENCH_HOME, keep it there for next
    time.
    """
    sys.path.insert(0, str(ROOT))
    home = Path(os.environ.get("BENCH_HOME") or tempfile.mkdtemp(prefix="bellwether-bench-"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)
    os.environ["BELLWETHER_HOME"] = str(home)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("POSTGRES_OPTIONS", f"shared_buffers={shared_buffers} max_wal_size=4GB")
    from config import embedded

    embedded.start(home, follow=os.getpid())
    atexit.register(_end, os.getpid(), home)
    import django

    django.setup()
    from django.core.management import call_command

    from config.roles import roles_setup

    roles_setup(admin_url=embedded.admin_url(home), database="bellwether", passwords=embedded.passwords(home))
    call_command("migrate", verbosity=0, interactive=False)


def _end(creator: int, home: Path) -> None:
    if os.getpid() != creator:
        return
    from config import embedded

    embedded.stop(home)
    if not os.environ.get("BENCH_HOME"):
        shutil.rmtree(home, ignore_errors=True)
