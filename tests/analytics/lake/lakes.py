"""Shared by the tests of the lake: seal, ask, and what PostgreSQL says to the same question."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from analytics.lake.sealing import Sealed, seal_tenant
from analytics.models import LakePiece, Tenant
from analytics.store import event_store
from analytics.tenancy import tenant_context
from tests.analytics.events import NOON, rows

FIRST = datetime(2026, 2, 1, tzinfo=UTC)
LAST = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def seal(tenant: Tenant, *, now: datetime = NOON, **options: Any) -> Sealed:
    return seal_tenant(tenant.pk, now=now, workers=1, **options)


def lake_rows(tenant: Tenant, *columns: str, **options: Any) -> list[tuple[Any, ...]]:
    """Every event of the tenant's lake, ordered by all of these columns."""
    ids = [name for name in columns if name in ("event_id", "session_id", "parent_id")]
    with event_store(tenant_id=tenant.pk, start=FIRST, end=LAST, columns=ids or None, **options) as store:
        table = store.run(store.events.select(*columns))
    found = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return sorted(found, key=lambda row: tuple((value is not None, value) for value in row))


def event_ids(tenant: Tenant) -> list[str]:
    return [row[0] for row in lake_rows(tenant, "event_id")]


def stored_ids(tenant: Tenant) -> list[str]:
    return [row[0] for row in rows(tenant, 'SELECT event_id FROM bw_event ORDER BY event_id COLLATE "C"')]


def live(tenant: Tenant) -> list[LakePiece]:
    with tenant_context(tenant.pk):
        return list(LakePiece.objects.filter(retired_at=None).order_by("start"))


def pieces(tenant: Tenant) -> list[tuple[datetime, datetime, int]]:
    """Start, end and events of each live piece."""
    return [(piece.start, piece.end, piece.rows) for piece in live(tenant)]


def files_of(root: Path, tenant: Tenant) -> list[Path]:
    return sorted((root / f"t{tenant.pk}").rglob("*.parquet"))


def on_disk(root: Path) -> bytes:
    """Every byte of the lake, unpacked: what a thief with the files would read."""
    import pyarrow.parquet as pq

    found: Sequence[str] = [str(pq.read_table(file).to_pydict()) for file in sorted(root.rglob("*.parquet"))]
    return "\n".join(found).encode() + b"".join(file.read_bytes() for file in root.rglob("*.parquet"))
