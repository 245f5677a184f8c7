"""Forked children of a pool, which must not outlive whoever forked them."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

LOOKS_SECONDS: Final = 1.0


def follow_parent(parent: int) -> None:
    """As `initializer` of a ProcessPoolExecutor: ends the child when process `parent`, which forked it, is gone.

    A pool's children wait for work for ever, and keep every connection open that they inherited, if the parent is
    killed. What a child was doing is rolled back by PostgreSQL, as after any kill.
    """
    threading.Thread(target=_look, args=(parent,), name="follow-parent", daemon=True).start()


def _look(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOKS_SECONDS)
    os._exit(1)
