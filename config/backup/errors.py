"""What keeps a backup from being taken or restored, in words that say what to do."""

from __future__ import annotations

from collections.abc import Callable

Told = Callable[[str, int, int], None]
"""Hears of progress: what is being done, how much of it is done, of how much (0 where nobody knows)."""


class BackupError(Exception):
    """It cannot go on. Nothing that was there before has been changed, unless the message says so."""


def silently(stage: str, done: int, total: int) -> None:
    """For whoever does not want to hear."""
