"""What is known of each group of rows, in bounded memory: the overflow lies in a temporary SQLite file."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec

from analytics.contracts import CapturedEvent

MAX_IN_MEMORY = 100_000
MAX_LISTED = 10


class Group(msgspec.Struct, array_like=True):
    """One group. `numbers` and `texts` are its aggregates so far, in the order of the parent rule's fields."""

    rows: int = 0
    seen: int = 0
    counted: int = 0
    rule: int = -1
    first_line: int = 0
    event: CapturedEvent | None = None
    problem: str = ""
    numbers: list[Decimal | None] = []
    texts: list[str | None] = []
    refused: list[int] = []


class GroupStore:
    """Groups by key. Files are mostly sorted by group, so that writing out everything at once is cheap and rare."""

    def __init__(self, folder: Path, *, capacity: int = MAX_IN_MEMORY) -> None:
        self._capacity = capacity
        self._hot: dict[str, Group] = {}
        self._folder = folder
        self._cold: sqlite3.Connection | None = None
        self._encode, self._decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(Group).decode

    def get(self, key: str) -> Group:
        """The group of that key, an empty one at first. What the caller changes in it is kept."""
        group = self._hot.get(key)
        if group is None:
            if len(self._hot) >= self._capacity:
                self._write_out()
            group = self._hot[key] = self._read(key) or Group()
        return group

    def close(self) -> None:
        if self._cold is not None:
            self._cold.close()

    def _read(self, key: str) -> Group | None:
        if self._cold is None:
            return None
        row = self._cold.execute("SELECT state FROM grp WHERE key = ?", [key]).fetchone()
        return self._decode(row[0]) if row else None

    def _write_out(self) -> None:
        if self._cold is None:
            self._cold = sqlite3.connect(self._folder / "groups.sqlite", isolation_level=None)
            self._cold.execute("PRAGMA journal_mode = OFF")
            self._cold.execute("PRAGMA synchronous = OFF")
            self._cold.execute("CREATE TABLE grp (key TEXT PRIMARY KEY, state BLOB) WITHOUT ROWID")
        self._cold.execute("BEGIN")
        rows = ((key, self._encode(group)) for key, group in sorted(self._hot.items()))
        self._cold.executemany("INSERT OR REPLACE INTO grp VALUES (?, ?)", rows)
        self._cold.execute("COMMIT")
        self._hot.clear()


@contextmanager
def group_store(*, capacity: int = MAX_IN_MEMORY) -> Iterator[GroupStore]:
    """A store whose file is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bellwether-import-") as folder:
        store = GroupStore(Path(folder), capacity=capacity)
        try:
            yield store
        finally:
            store.close()
