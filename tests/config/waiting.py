"""Waits for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(met: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)
