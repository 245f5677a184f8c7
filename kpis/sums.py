"""Which metrics are sums over time, so that a limit of theirs is one of a day. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from kpis import formula
from kpis.base import Additivity, Formula, Metric, Newcomers

Shape: TypeAlias = Literal["sum", "constant", "other"]


def adds_up(metric: Metric, catalogue: Mapping[str, Metric]) -> bool:
    """Whether the values of days make the value of a longer range by being added.

    Sums, counts, newcomers, and formulas that only add, subtract and scale such.
    """
    form = metric.form
    if metric.additivity is Additivity.ADDITIVE or (isinstance(form, Newcomers) and not form.is_returning):
        return True
    return isinstance(form, Formula) and _shape(formula.parse(form.text).root, catalogue) == "sum"


def _shape(node: formula.Node, catalogue: Mapping[str, Metric]) -> Shape:
    if isinstance(node, formula.Constant):
        return "constant"
    if isinstance(node, formula.Name):
        part = catalogue.get(node.id)
        return "sum" if part is not None and adds_up(part, catalogue) else "other"
    shapes = [_shape(operand, catalogue) for operand in node.operands]
    if set(shapes) == {"constant"}:
        return "constant"
    if node.function in ("+", "-", "negative"):
        return "sum" if set(shapes) == {"sum"} else "other"
    is_scaled = shapes == ["sum", "constant"] or (shapes == ["constant", "sum"] and node.function == "*")
    return "sum" if node.function in ("*", "/") and is_scaled else "other"
