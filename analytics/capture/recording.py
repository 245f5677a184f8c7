"""A tape for tests: while one is running, messages are written on it instead of being sent anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_tapes: list[list[dict[str, Any]]] = []


def record(messages: Sequence[dict[str, Any]]) -> bool:
    """True when a tape took the messages."""
    if not _tapes:
        return False
    _tapes[-1].extend(messages)
    return True


@contextmanager
def tape() -> Iterator[list[dict[str, Any]]]:
    """Records every message of this process until the block ends."""
    messages: list[dict[str, Any]] = []
    _tapes.append(messages)
    try:
        yield messages
    finally:
        _tapes.remove(messages)
