"""The product refuses roles that row-level security does not bind."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from config import boot
from config.checks import roles_are_bound

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.django_db(databases=["default", "ingest", "erasure"])
def test_the_roles_of_setup_roles_pass() -> None:
    boot.refuse_unbound_roles()
    assert roles_are_bound(None, databases=["default", "ingest", "erasure"]) == []


def check(urls: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--database", "default"],
        cwd=ROOT, env={**os.environ, **urls, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.django_db(databases=["default"])
def test_the_check_command_names_a_role_that_is_not_bound(database_urls: dict[str, str]) -> None:
    good, bad = check(database_urls), check({**database_urls, "DATABASE_URL": database_urls["DATABASE_OWNER_URL"]})
    assert (good.returncode, bad.returncode) == (0, 1), good.stderr
    assert "analytics.E001" in bad.stderr


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
import config.asgi
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_a_web_process_takes_all_the_files_it_may_have(database_urls: dict[str, str]) -> None:
    environment = {**os.environ, **database_urls, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = boot.MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, boot.MOST_FILES)

    assert done.stdout.strip() == str((most, hard)), done.stderr


START_IN_LOOP = "import asyncio\nasync def main():\n    import config.asgi\nasyncio.run(main())"


def start_web(urls: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Import the application as uvicorn does: inside its running loop."""
    environment = {**os.environ, **urls, "DJANGO_SETTINGS_MODULE": "config.settings"}
    return subprocess.run(
        [sys.executable, "-c", START_IN_LOOP], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_a_web_process_with_bound_roles_starts(database_urls: dict[str, str]) -> None:
    done = start_web(database_urls)
    assert done.returncode == 0, done.stderr


@pytest.mark.django_db(databases=["default"])
def test_a_web_process_that_would_run_as_the_owner_does_not_start(database_urls: dict[str, str]) -> None:
    done = start_web({**database_urls, "DATABASE_URL": database_urls["DATABASE_OWNER_URL"]})
    assert done.returncode != 0
    assert "owns (or may become the owner of) Bellwether's tables" in done.stderr
    assert "manage.py setup_roles" in done.stderr
