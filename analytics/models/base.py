"""What every table of a tenant shares."""

from __future__ import annotations

from django.db import models


class TenantForeignKey(models.ForeignKey):  # type: ignore[type-arg]
    """The owner of a row. Rows are found through indexes that start with it, so it has none of its own.

    Busy tables pass `db_constraint=False`: row-level security already ties each row to the tenant that is set.
    """

    def __init__(self, **kwargs: object) -> None:
        defaults: dict[str, object] = {
            "to": "bellwether_analytics.Tenant",
            "on_delete": models.DO_NOTHING,
            "db_index": False,
            "related_name": "+",
        }
        super().__init__(**{**defaults, **kwargs})  # type: ignore[arg-type]
