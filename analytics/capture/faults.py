"""The wall between our faults and the host: nothing passes it, everything is counted, the log is not flooded."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("bellwether.capture")

LOG_EVERY_SECONDS = 60.0


class FaultCounts:
    """How often each part of capture failed or gave up in this process, by a stable name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._logged_at: dict[str, float] = {}

    def add(self, where: str, n: int = 1) -> bool:
        """Counts it; True when it is time to log it again."""
        with self._lock:
            self._counts[where] += n
            now = time.monotonic()
            is_due = now - self._logged_at.get(where, -LOG_EVERY_SECONDS) >= LOG_EVERY_SECONDS
            if is_due:
                self._logged_at[where] = now
            return is_due

    def snapshot(self) -> dict[str, int]:
        """The counts since the process began."""
        with self._lock:
            return dict(self._counts)

    def clear(self) -> None:
        """Forgets everything; for tests."""
        with self._lock:
            self._counts.clear()
            self._logged_at.clear()


fault_counts = FaultCounts()


@contextmanager
def guarded(where: str) -> Iterator[None]:
    """Swallows any error of ours after counting it; interrupts and cancellations pass."""
    try:
        yield
    except Exception:
        fault_note(where)


def fault_note(where: str) -> None:
    """Counts the error being handled, and logs it unless the same place was logged a moment ago."""
    if fault_counts.add(where):
        logger.exception("capture fault in %s (%s so far)", where, fault_counts.snapshot()[where])


def dropped(reason: str, n: int = 1) -> None:
    """Counts events that capture had to give up; never silent."""
    name = f"dropped.{reason}"
    if fault_counts.add(name, n):
        logger.error("capture dropped events: %s (%s so far)", reason, fault_counts.snapshot()[name])
