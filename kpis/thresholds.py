"""Warning and critical of a metric as a tenant sets them, in place of the declared ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from analytics.audit import audit_record
from analytics.locks import REPLACING, hold
from analytics.tenancy import tenant_context
from kpis.base import Metric, Thresholds
from kpis.catalogue import Catalogue
from kpis.contracts import Number
from kpis.models import MetricThreshold
from kpis.sums import adds_up


class ThresholdError(ValueError):
    """The limits cannot be set like that; `field` names what to change."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a metric as they hold, and as they were declared.

    `is_own`: the tenant set them. `will_be_per_day`: limits that it sets are of one day.
    """

    metric: Metric
    declared: Thresholds
    is_own: bool
    will_be_per_day: bool


def thresholds_read(*, tenant_id: int, metric: str) -> Limits:
    """The limits of a metric. Raises UnknownName, which offers the nearest names."""
    with tenant_context(tenant_id):
        catalogue = Catalogue(tenant_id)
        declared = catalogue.declared(metric)
        is_own = metric in catalogue.limits()
        return Limits(catalogue[metric], declared.thresholds, is_own, adds_up(declared, catalogue))


def thresholds_set(
    *, tenant_id: int, metric: str, warning: Number, critical: Number, actor: str, now: datetime
) -> Limits:
    """Set both limits, in the unit that people see (money in whole units of the base currency, durations in
    milliseconds, shares as fractions) and of one day where the metric adds up; one that is None is no limit.

    Both None takes them away: the declared ones hold again. Raises UnknownName, ThresholdError.
    """
    with tenant_context(tenant_id):
        hold(REPLACING, tenant_id)
        before = thresholds_read(tenant_id=tenant_id, metric=metric)
        _check(before.metric, warning, critical)
        if warning is None and critical is None:
            MetricThreshold.objects.filter(tenant_id=tenant_id, metric=metric).delete()
        else:
            MetricThreshold.objects.update_or_create(
                tenant_id=tenant_id,
                metric=metric,
                defaults={"warning": warning, "critical": critical, "updated_at": now},
            )
        after = thresholds_read(tenant_id=tenant_id, metric=metric)
        if (before.metric.thresholds, before.is_own) != (after.metric.thresholds, after.is_own):
            audit_record(
                tenant_id=tenant_id, actor=actor, action="thresholds.changed", what=metric, at=now,
                detail={name: [_text(before, name), _text(after, name)] for name in ("warning", "critical")},
            )  # fmt: skip
        return after


def _check(metric: Metric, warning: Number, critical: Number) -> None:
    for field, limit in (("warning", warning), ("critical", critical)):
        if limit is not None and not (limit.is_finite() and abs(limit) < Decimal(10) ** 20):
            raise ThresholdError("A limit is a number of at most 20 digits before the point.", field)
    if warning is None or critical is None:
        return
    if metric.better == "up" and warning <= critical:
        message = f"More is better for {metric.name}, so the warning comes first: it has to lie above {critical:f}."
        raise ThresholdError(message, "warning")
    if metric.better == "down" and warning >= critical:
        message = f"Less is better for {metric.name}, so the warning comes first: it has to lie below {critical:f}."
        raise ThresholdError(message, "warning")


def _text(limits: Limits, name: str) -> str | None:
    limit: Number = getattr(limits.metric.thresholds, name)
    return None if limit is None else f"{limit:f}"
