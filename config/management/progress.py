"""One line on a terminal that tells how far a command is; nothing where nobody watches."""

from __future__ import annotations

import sys
import time

AGAIN_SECONDS = 0.1


class Line:
    """Called with what is being done, how much of it and of how much (0 where nobody knows)."""

    def __init__(self) -> None:
        self._is_watched = sys.stderr.isatty()
        self._at = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._is_watched or (now - self._at < AGAIN_SECONDS and done != total):
            return
        self._at = now
        amount = f"{done:,} of {total:,}" if total else f"{done:,}" if done else "…"
        sys.stderr.write(f"\r\033[K{stage}: {amount}")
        sys.stderr.flush()

    def end(self) -> None:
        if self._is_watched and self._at:
            sys.stderr.write("\r\033[K")
