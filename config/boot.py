"""What a web process sees to first: a database role that cannot look past row-level security, and room for sockets."""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections

from analytics.rls import role_problems
from config.backup.unfinished import refuse_half_restored

logger = logging.getLogger("bellwether.boot")
ALIASES: Final = ("default", "ingest", "erasure")
AGAIN_SECONDS: Final = 2.0
EX_CONFIG: Final = 78  # sysexits.h
MOST_FILES: Final = 65_536


def allow_many_sockets() -> None:
    """Raise this process's own limit of open files to what it may have: by default a thousand idle sockets are all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def refuse_unbound_roles() -> None:
    """Raise ImproperlyConfigured when a role is not bound, and after a restore that did not come to its end.

    A thread asks for roles later when the database is away.
    """
    refuse_half_restored()
    try:
        # A web server imports us inside its event loop, where Django's connections refuse to work.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_refuse).result()
    except Error:
        threading.Thread(target=_refuse_later, name="role-check", daemon=True).start()


def _refuse() -> None:
    try:
        problems = [problem for alias in ALIASES for problem in role_problems(alias)]
    finally:
        for alias in ALIASES:
            connections[alias].close()
    if problems:
        raise ImproperlyConfigured(
            f"{'; '.join(problems)}. Row-level security would not keep tenants apart. "
            "`manage.py setup_roles` makes roles that are bound and prints their URLs."
        )


def _refuse_later() -> None:
    """A process that is already serving can only be ended from a thread by ending it."""
    while True:
        time.sleep(AGAIN_SECONDS)
        try:
            _refuse()
        except Error:
            continue
        except ImproperlyConfigured as error:
            logger.critical("%s", error)
            os._exit(EX_CONFIG)
        return
