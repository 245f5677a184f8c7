"""Makes a piece again from PostgreSQL after its files were lost or damaged."""

from __future__ import annotations

import logging

from django.utils import timezone

from analytics.lake.manifest import Piece
from analytics.lake.sealing import Sealed, seal_at

logger = logging.getLogger("bellwether.lake")


def heal(tenant_id: int, piece: Piece, *, using: str = "default") -> Sealed:
    """Seal the hours of a damaged piece anew; its former files go with the next collection."""
    logger.warning("sealing %s of tenant %s anew: its files are missing or damaged", piece.path, tenant_id)
    return seal_at(tenant_id, piece.start, now=timezone.now(), is_forced=True, using=using)[0]
