"""The audit trail of a tenant: who changed its access, its settings, or forgot a person. Rows are only ever added.

Readings of people have a trail of their own (`bw_people_read`), because they are many.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from analytics.models import AuditEntry
from analytics.tenancy import tenant_context

COMMAND: Final = "command"
"""The actor of a command: whoever may run those is not known to us."""


def audit_record(
    *,
    tenant_id: int,
    actor: str,
    action: str,
    at: datetime,
    what: str = "",
    detail: Mapping[str, Any] | None = None,
    using: str = "default",
) -> None:
    """Write one change down, in the transaction that makes it if one is open. Give nothing personal or secret."""
    with tenant_context(tenant_id, using=using):
        AuditEntry.objects.using(using).create(
            tenant_id=tenant_id, at=at, actor=actor or COMMAND, action=action, what=what, detail=dict(detail or {})
        )


def actor_of(user_id: int | None) -> str:
    """A person by number; without one it was a command."""
    return COMMAND if user_id is None else f"user:{user_id}"


def audit_entries(*, tenant_id: int, action: str = "", actor: str = "") -> QuerySet[AuditEntry]:
    """Changes of a kind (`key`, or exactly `key.added`), by somebody. Within the tenant that is set."""
    found = AuditEntry.objects.filter(tenant_id=tenant_id)
    if action:
        found = found.filter(action=action) if "." in action else found.filter(action__startswith=f"{action}.")
    return found.filter(actor=actor) if actor else found
