"""The memory that large bodies take in a process: bounded, and no sender may have all of it.

Small ones are not counted: there is at most one a connection, and what waits of them is the gate's affair.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

MOST_BYTES: Final = 32 * 1024 * 1024
LARGE_BYTES: Final = 128 * 1024
"""From this size on a body is counted."""
SECONDS: Final = 60.0
"""For so long a large body may be under way: who stops in the middle holds memory that others need."""


class NoRoom(Exception):
    """Large bodies have all the memory that they may take. Nothing was read; trying again helps."""


class Bodies:
    """What senders, told apart by a name, hold. Each may have what is still free, so one alone half of everything.

    A body that is larger passes when there is no other: the caps of a body hold for it as for any.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._held: Counter[str] = Counter()
        self._total = 0

    @property
    def held_bytes(self) -> int:
        """Of all senders."""
        return self._total

    def take(self, sender: str, size: int, *, already: int = 0) -> None:
        """Counts so many bytes more of a body of which `already` were. Raises `NoRoom`."""
        others = self._total - already
        if others and self._held[sender] + size > self._most - self._total:
            raise NoRoom
        self._held[sender] += size
        self._total += size

    def give(self, sender: str, size: int) -> None:
        """They are no longer needed."""
        self._total -= size
        self._held[sender] -= size
        if not self._held[sender]:
            del self._held[sender]


class Hold:
    """What one request holds."""

    __slots__ = ("_bodies", "_sender", "_size")

    def __init__(self, bodies: Bodies, sender: str) -> None:
        self._bodies = bodies
        self._sender = sender
        self._size = 0

    def grow(self, size: int) -> None:
        """Holds so many bytes in all. Raises `NoRoom`."""
        if size > self._size:
            self._bodies.take(self._sender, size - self._size, already=self._size)
            self._size = size

    def drop(self) -> None:
        """Gives all of it back."""
        self._bodies.give(self._sender, self._size)
        self._size = 0
