"""A reader's snapshot of a tenant's lake, and what to do when a file of it cannot be read."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Final

from analytics.lake.check import broken
from analytics.lake.errors import LakeFileBroken
from analytics.lake.healing import heal
from analytics.lake.manifest import Piece, snapshot
from analytics.lake.schema import VERSION, File
from analytics.lake.selection import Selection, Shape, StoredFile
from analytics.lake.storage import lake_storage
from analytics.periods import to_micros
from analytics.tenancy import tenant_context

logger = logging.getLogger("bellwether.lake")

HEALED_AT_ONCE: Final = 8
"""Broken pieces that a question waits for; of more, whoever runs the lake should hear."""


class LakeSource:
    """The live pieces of a range, as of when it was made; a repair looks again."""

    def __init__(
        self, tenant_id: int, start: datetime, end: datetime, shape: Shape, names: tuple[str, ...] | None, *, using: str
    ) -> None:
        self._tenant_id, self._start, self._end = tenant_id, start, end
        self._shape, self._names, self._using = shape, names, using
        self._storage = lake_storage()
        self._selection: Selection | None = None
        self._look()

    def _look(self) -> None:
        with tenant_context(self._tenant_id, using=self._using):
            self._seen = snapshot(self._tenant_id, self._start, self._end, using=self._using)
        self._selection = None

    @property
    def folder(self) -> Path:
        """The only folder that the engine needs."""
        return self._storage.folder(self._tenant_id)

    @property
    def data_through(self) -> datetime:
        return self._seen.data_through

    @property
    def files(self) -> tuple[StoredFile, ...]:
        paths = self.selection().paths["events"]
        return tuple(
            StoredFile(path, piece.rows, piece.start, piece.end)
            for path, piece in zip(paths, self._seen.pieces, strict=True)
        )

    @property
    def shape(self) -> Shape:
        return self._shape

    def selection(self) -> Selection:
        """Raises LakeFileBroken."""
        if self._selection is None:
            self._selection = Selection(
                shape=self._shape,
                start=to_micros(self._start),
                end=to_micros(self._end),
                names=self._names,
                paths={
                    which: tuple(self._local(piece, which) for piece in self._seen.pieces)
                    for which in self._shape.files
                },
            )
        return self._selection

    def _local(self, piece: Piece, which: File) -> str:
        if piece.version != VERSION:
            raise LakeFileBroken(f"{piece.path} has another layout")
        facts = piece.files[which]
        return self._storage.local(piece.file(which), facts.bytes, facts.checksum)

    def repair(self) -> bool:
        """Seal what is damaged anew and look again. False when nothing was damaged and nothing has changed."""
        former = self._seen.pieces
        self._look()
        damaged = [piece for piece in self._seen.pieces if broken(self._storage, piece)]
        if len(damaged) > HEALED_AT_ONCE:
            message = f"{len(damaged)} pieces of the lake are damaged; `manage.py lake verify --repair` seals them anew"
            logger.error("tenant %s: %s", self._tenant_id, message)
            raise LakeFileBroken(message)
        for piece in damaged:
            heal(self._tenant_id, piece, using=self._using)
        if damaged:
            self._look()
        return self._seen.pieces != former
