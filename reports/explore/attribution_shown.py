"""The answer of attribution as one table: keys down, models across."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kpis.attribution.answer import UNTOUCHED
from reports.explore.frame import DASH, amount, count, credit_shown, share

MODEL_NAMES: Final[Mapping[str, str]] = {
    "first": "First touch",
    "last": "Last touch",
    "last_non_direct": "Last, not direct",
    "last_paid": "Last paid",
    "linear": "Linear",
    "time_decay": "Time decay",
    "position": "Position 40/20/40",
    "markov": "Markov",
    "shapley": "Shapley",
}
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CellShown:
    """What a key gets under a model. `delta` is the difference to the model compared with."""

    text: str
    share: str
    step: int
    delta: str
    tone: str


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A row."""

    label: str
    cells: tuple[CellShown, ...]


@dataclass(frozen=True, slots=True)
class CostShown:
    """What a key cost against what it brought, under one model."""

    label: str
    cost: str
    revenue: str
    roas: str
    cac: str
    each: str


@dataclass(frozen=True, slots=True)
class AttributionShown:
    """All of it. `costs` are by model."""

    reading: str
    revenue: str
    refunded: str
    conversions: str
    touched: str
    unvalued: str
    unmatched: str
    models: tuple[str, ...]
    rows: tuple[KeyShown, ...]
    totals: tuple[str, ...]
    against: str
    costs: tuple[tuple[str, tuple[CostShown, ...]], ...]
    is_empty: bool


def attribution_shown(answer: Answer, column: str, against: str) -> AttributionShown:
    """`column` is revenue, conversions or new_customers; `against` a model of the answer, or ''."""
    tables = {table["model"]: {credit["key"]: credit for credit in table["credits"]} for table in answer["models"]}
    currency = answer["currency"]
    keys = _keys(answer, column)
    base = tables.get(against, {})
    totals = {name: sum(_number(credit, column) for credit in table.values()) for name, table in tables.items()}
    rows = tuple(
        KeyShown(
            credit_shown(key),
            tuple(
                _cell(
                    table.get(key), column, totals[name], currency, base.get(key) if base and name != against else None
                )
                for name, table in tables.items()
            ),
        )
        for key in keys
    )
    return AttributionShown(
        reading=answer["reading"],
        revenue=amount(answer["revenue"], currency),
        refunded=amount(answer["refunded"], currency) if float(answer["refunded"]) else "",
        conversions=count(answer["conversions"]),
        touched=count(answer["touched"]),
        unvalued=count(answer["unvalued"]) if answer["unvalued"] else "",
        unmatched=amount(answer["unmatched_refunds"], currency) if float(answer["unmatched_refunds"]) else "",
        models=tuple(MODEL_NAMES.get(name, name) for name in tables),
        rows=rows,
        totals=tuple(_written(total, column, currency) for total in totals.values()),
        against=MODEL_NAMES.get(against, "") if base else "",
        costs=tuple(_costs(tables, currency)),
        is_empty=not answer["conversions"] and not float(answer["gross"]),
    )


def _keys(answer: Answer, column: str) -> list[str]:
    """In the order of their greatest credit under any model; what nothing came before lies last."""
    most: dict[str, float] = {}
    for table in answer["models"]:
        for credit in table["credits"]:
            most[credit["key"]] = max(most.get(credit["key"], 0.0), _number(credit, column))
    return sorted(most, key=lambda key: (key == UNTOUCHED, -most[key], key))


def _number(credit: Answer | None, column: str) -> float:
    return float(credit[column] or 0) if credit else 0.0


def _written(value: float, column: str, currency: str) -> str:
    return amount(f"{value:.2f}", currency) if column == "revenue" else f"{value:,.1f}".removesuffix(".0")


def _cell(credit: Answer | None, column: str, total: float, currency: str, base: Answer | None) -> CellShown:
    value = _number(credit, column)
    part = value / total if total > 0 else None
    text = amount(credit["revenue"], currency) if credit and column == "revenue" else _written(value, column, currency)
    delta, tone = "", ""
    if base is not None:
        before = _number(base, column)
        delta = f"{(value - before) / before * 100:+.0f} %".replace("-", "−") if before > 0 else ""
        tone = "good" if value > before * 1.005 else "bad" if value < before * 0.995 else ""
    step = 0 if not part or part < 0 else max(1, min(10, round(part * 10)))
    return CellShown(text, share(part), step, delta, tone)


def _costs(tables: Mapping[str, Mapping[str, Answer]], currency: str) -> Any:
    """One table a model, of the keys whose costs were told."""
    for name, table in tables.items():
        rows = tuple(
            CostShown(
                credit_shown(key),
                amount(credit["cost"], currency),
                amount(credit["revenue"], currency),
                DASH if credit["roas"] is None else f"{credit['roas']:.2f}",
                amount(credit["cac"], currency),
                amount(credit["cost_per_conversion"], currency),
            )
            for key, credit in table.items()
            if credit["cost"] is not None
        )
        if rows:
            yield MODEL_NAMES.get(name, name), rows
