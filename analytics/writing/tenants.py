"""What the writer has to know of the tenants of a batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import psycopg

from analytics.contracts import TenantInfo
from analytics.tenancy import tenant_info
from analytics.writing import wire

FIND: Final = """
SELECT id, slug, zone, base_currency, week_start, settings FROM bw_tenant WHERE id = ANY (%s::int4[])
"""


def tenants_of(cursor: psycopg.Cursor[Any], tenant_ids: Iterable[int]) -> dict[int, TenantInfo]:
    """The tenants of these ids. Under the app role only the tenant that is set is seen."""
    wanted = sorted(set(tenant_ids))
    if not wanted:
        return {}
    cursor.execute(FIND, [wire.int4s(wanted)])
    return {row[0]: tenant_info(row) for row in cursor.fetchall()}
