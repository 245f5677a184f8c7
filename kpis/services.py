"""What changes in `kpis`: the metrics that tenants make themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Final

from analytics.cache import DEFINITIONS, drop_after_commit
from analytics.locks import REPLACING, hold
from analytics.registry import UnknownName
from analytics.tenancy import tenant_context
from kpis import formula
from kpis.base import Formula, Kind, Metric, Unit, check_id, metrics
from kpis.catalogue import Catalogue, MetricCycle, closure, extents
from kpis.models import MetricDefinition, MetricThreshold

MAX_DEFINITIONS = 500
MAX_PARTS: Final = 1_000
MAX_DEPTH: Final = 20
"""Of a metric with everything it is made of written out: each use of a part is computed, and doubling a part on every
one of thirty levels would be a billion of them."""


class DefinitionError(ValueError):
    """The definition cannot be saved; `field` names what to change, `position` the character of the formula."""

    def __init__(self, message: str, field: str, position: int | None = None) -> None:
        super().__init__(message)
        self.field, self.position = field, position


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a tenant says of a metric of its own."""

    metric: str
    name: str
    formula: str
    help: str = ""
    unit: str = "count"
    kind: str = "kpi"
    better: str = "up"
    warning: float | None = None
    critical: float | None = None
    owner: str = ""


def metric_define(*, tenant_id: int, definition: Definition, now: datetime) -> MetricDefinition:
    """Make the metric, or change it (its version rises with its formula). Raises DefinitionError."""
    with tenant_context(tenant_id):
        hold(REPLACING, tenant_id)
        definition_check(tenant_id=tenant_id, definition=definition)
        row = MetricDefinition.objects.select_for_update().filter(tenant_id=tenant_id, metric=definition.metric).first()
        if row is None:
            row = MetricDefinition(tenant_id=tenant_id, metric=definition.metric, created_at=now)
        elif row.formula != definition.formula:
            row.version += 1
        if row.better != definition.better:
            _limits_forget(tenant_id, definition.metric)  # they would be the wrong way round
        for name in ("name", "formula", "help", "unit", "kind", "better", "warning", "critical", "owner"):
            setattr(row, name, getattr(definition, name))
        row.is_archived = False
        row.save()
        return row


def metric_archive(*, tenant_id: int, metric: str) -> None:
    """Take a metric out of use. Raises DefinitionError while another one is made of it."""
    with tenant_context(tenant_id):
        hold(REPLACING, tenant_id)
        catalogue = Catalogue(tenant_id)
        users = sorted(
            other.id for other in catalogue.own().values() if other.id != metric and metric in closure(other, catalogue)
        )
        if users:
            raise DefinitionError(f"{', '.join(users)} is made of it; change that first", "metric")
        MetricDefinition.objects.filter(tenant_id=tenant_id, metric=metric).update(is_archived=True)
        _limits_forget(tenant_id, metric)
        drop_after_commit(DEFINITIONS, tenant_id=tenant_id)


def _limits_forget(tenant_id: int, metric: str) -> None:
    MetricThreshold.objects.filter(tenant_id=tenant_id, metric=metric).delete()


def definition_check(*, tenant_id: int, definition: Definition) -> None:
    """Raise DefinitionError unless the metric could be saved, within the tenant that is set."""
    _check_words(definition)
    catalogue = Catalogue(tenant_id)
    own = catalogue.own()
    if definition.metric not in own and len(own) >= MAX_DEFINITIONS:
        raise DefinitionError(f"a tenant has at most {MAX_DEFINITIONS} metrics of its own", "metric")
    metric = Metric(
        id=definition.metric,
        name=definition.name,
        help=definition.help,
        in_words=definition.formula,
        form=Formula(definition.formula),
    )
    every = {**{name: catalogue[name] for name in catalogue}, metric.id: metric}
    try:
        _check_extents(metric, every)
    except formula.FormulaError as error:
        raise DefinitionError(error.pointed(), "formula", error.position) from None
    except MetricCycle as error:
        raise DefinitionError(str(error), "formula") from None
    except LookupError as error:
        raise _unknown(error, catalogue, definition) from None


def _check_extents(metric: Metric, every: Mapping[str, Metric]) -> None:
    """Neither the metric nor one that is made of it may grow beyond what can be computed."""
    found = extents(metric, every)
    for other in every.values():
        if other.id not in metrics:
            with suppress(LookupError, ValueError):  # one that is broken is no reason to refuse this one
                found |= extents(other, every)
    for name, extent in found.items():
        if extent.parts > MAX_PARTS or extent.depth > MAX_DEPTH:
            told = f"{name} would have {extent.parts:,} parts on {extent.depth} levels with all of them written out"
            raise DefinitionError(f"{told}; {MAX_PARTS:,} on {MAX_DEPTH} can be computed", "formula")


def _check_words(definition: Definition) -> None:
    try:
        check_id(definition.metric)
    except ValueError as error:
        raise DefinitionError(str(error), "metric") from None
    if definition.metric in metrics:
        raise DefinitionError(f"{definition.metric} comes with the product; choose another id", "metric")
    if not definition.name.strip():
        raise DefinitionError("it needs a name that people read", "name")
    choices = (("unit", frozenset(Unit)), ("kind", frozenset(Kind)), ("better", frozenset({"up", "down"})))
    for field, allowed in choices:
        if getattr(definition, field) not in allowed:
            raise DefinitionError(f"{field} is one of {', '.join(sorted(allowed))}", field)


def _unknown(error: LookupError, catalogue: Catalogue, definition: Definition) -> DefinitionError:
    text, known = definition.formula, set(catalogue)
    missing = next((name for name in formula.parse(text).names if name not in known), "")
    if not missing:
        return DefinitionError(str(UnknownName(error)), "formula")
    near = get_close_matches(missing, sorted(known), n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    found = re.search(rf"(?<![\w.]){re.escape(missing)}(?![\w.])", text)
    place = found.start() if found else 0
    return DefinitionError(
        formula.FormulaError(f"there is no metric {missing}{hint}", text, place).pointed(), "formula", place
    )
