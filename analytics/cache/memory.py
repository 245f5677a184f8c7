"""The level inside this process: the answers used last, within a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

import msgspec

OVERHEAD: Final = 400
"""Bytes that an entry takes besides its body: key, versions, links of the dictionary."""


class Entry(msgspec.Struct, frozen=True):
    """An answer as it is kept: `at` is the instant (seconds since 1970) it was worked out for, `body` is msgpack,
    `versions` are those of its tags before it was worked out, `stamp` what the caller says it depends on."""

    at: float
    versions: tuple[str, ...]
    stamp: str
    body: bytes

    def is_good(self, now: float, ttl: float, versions: tuple[str, ...], stamp: str) -> bool:
        """Nothing that it depends on has changed, and it is not too old (nor from the future)."""
        return self.stamp == stamp and self.versions == versions and -1 <= now - self.at < ttl


class Memory:
    """Entries by key, at most `limit` bytes; the one used longest ago goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> Entry | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep it, unless it alone would take an eighth of the room."""
        size = len(entry.body) + OVERHEAD
        with self._lock:
            self._forget(key)
            if size * 8 > self._limit:
                return
            self._entries[key] = entry
            self._bytes += size
            while self._bytes > self._limit:
                self._forget(next(iter(self._entries)))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    @property
    def size(self) -> tuple[int, int]:
        """How many entries, and how many bytes they take."""
        return len(self._entries), self._bytes

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.body) + OVERHEAD
