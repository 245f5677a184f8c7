"""The project's settings for one test run: its own home in a temporary folder, never `var/`.

The first process of a run makes the folder and hands it to the workers of pytest-xdist by the environment.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path


def _remove_home(home: Path, creator: int) -> None:
    """End the run's services and remove its folder; a forked child that ends does neither."""
    if os.getpid() != creator:
        return
    from config import embedded

    embedded.remove(home)


for _name in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_INGEST_URL", "DATABASE_ERASURE_URL", "REDIS_URL"):
    os.environ[_name] = ""  # empty, not absent: a `.env` file may not fill it
if "BELLWETHER_TEST_HOME" not in os.environ:
    _home = tempfile.mkdtemp(prefix="bellwether-test-")
    Path(_home).chmod(0o711)  # as root, the service account has to pass through
    os.environ["BELLWETHER_TEST_HOME"] = _home
    os.environ["BELLWETHER_TEST_PID"] = str(os.getpid())
    atexit.register(_remove_home, Path(_home), os.getpid())
os.environ["BELLWETHER_HOME"] = os.environ["BELLWETHER_TEST_HOME"]

from config.settings import *  # noqa: E402, F403 - after the environment is set

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # tests make many users
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_ROOT.mkdir(exist_ok=True)  # noqa: F405 - WhiteNoise warns about a missing folder
for _database in DATABASES.values():  # noqa: F405
    _database["CONN_MAX_AGE"] = 0
# Workers of pytest-xdist have databases of their own with tenants of the same numbers, so they have lakes of their own.
ANALYTICS_LAKE_URL = str(Path(os.environ["BELLWETHER_HOME"], "lakes", os.environ.get("PYTEST_XDIST_WORKER", "main")))
# For the same reason, and because a backup takes what the log of its home says.
ANALYTICS_ERASED_LOG = str(
    Path(os.environ["BELLWETHER_HOME"], "erased", os.environ.get("PYTEST_XDIST_WORKER", "main") + ".jsonl")
)
