"""Reading and changing for how long a tenant keeps its events. `retention_run.py` holds it to what is said here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError

from analytics.audit import audit_record
from analytics.models import EventRetention, Tenant
from analytics.models.tenants import platform_days, refuse_longer
from analytics.retention import Rule, floors_read, rule_read
from analytics.retention_run import Cleaned, retention_plan
from analytics.tenancy import tenant_context


class RetentionError(ValueError):
    """Events cannot be kept like that; `field` says where and the text what would do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def retention_read(*, tenant_id: int) -> dict[str, Any]:
    """The rule and how far the clean-up has come, for JSON."""
    with tenant_context(tenant_id):
        rule, floors = rule_read(tenant_id), floors_read(tenant_id)
    return {
        "days": rule.days,
        "platform_days": rule.platform_days or None,
        "events": dict(sorted(rule.names.items())),
        "events_gone_before": floors.gone_before,
        "events_kept_from": floors.kept_from,
    }


def retention_set(*, tenant_id: int, days: int | None, events: Mapping[str, int], actor: str, now: datetime) -> None:
    """Keep events for so many days (None: as long as the platform does), and those of some names for fewer.

    The next clean-up follows it. Days that are gone do not come back when the number grows. Raises RetentionError.
    """
    with tenant_context(tenant_id):
        tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
        before = rule_read(tenant_id)
        _check(tenant, days, events)
        Tenant.objects.filter(pk=tenant_id).update(retention_days=days)
        rows = EventRetention.objects.filter(tenant_id=tenant_id)
        rows.exclude(name__in=list(events)).delete()
        for name, kept in sorted(events.items()):
            rows.update_or_create(tenant_id=tenant_id, name=name, defaults={"days": kept})
        changes = _changes(before, Rule(days, platform_days(), dict(events)))
        if changes:
            audit_record(tenant_id=tenant_id, actor=actor, action="retention.changed", detail=changes, at=now)


def retention_preview(*, tenant_id: int, days: int | None, events: Mapping[str, int], now: datetime) -> Cleaned:
    """What a clean-up by this rule would remove now; changes nothing. Raises RetentionError."""
    with tenant_context(tenant_id):
        _check(Tenant.objects.get(pk=tenant_id), days, events)
    return retention_plan(tenant_id=tenant_id, now=now, rule=Rule(days, platform_days(), dict(events)))


def _check(tenant: Tenant, days: int | None, events: Mapping[str, int]) -> None:
    tenant.retention_days = days
    _clean("days", "retention_days", tenant)
    for name, kept in events.items():
        _clean(f"events.{name}", "days", EventRetention(tenant_id=tenant.pk, name=name, days=kept))


def _clean(field: str, column: str, row: Tenant | EventRetention) -> None:
    """By the rules of the row, which the admin follows too."""
    try:
        row.clean_fields(exclude=[each.name for each in row._meta.fields if each.name != column])
        refuse_longer(column, getattr(row, column))
    except ValidationError as error:
        raise RetentionError(field, error.messages[0]) from None


def _changes(before: Rule, after: Rule) -> dict[str, Any]:
    """Each number that is another one now: [before, after]; null is "as long as the others"."""
    names = sorted({*before.names, *after.names})
    found = {f"events.{name}": [before.names.get(name), after.names.get(name)] for name in names}
    found["days"] = [before.days, after.days]
    return {field: pair for field, pair in found.items() if pair[0] != pair[1]}
