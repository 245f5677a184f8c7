"""The answer of attribution as one table: keys down, models across."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from analytics.periods import Calendar
from kpis.attribution.answer import UNTOUCHED
from reports.explore.frame import (
    DASH,
    MORE_OR_LESS,
    amount,
    count,
    credit_shown,
    dates_shown,
    people_href,
    points,
    share,
    spread,
    tone,
    verdict,
)

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
    """What a key gets under a model. `delta` is the difference to the model compared with; `href` leads to the people
    with a conversion that it gets something of."""

    text: str
    share: str
    step: int
    delta: str
    tone: str
    href: str


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
class DifferenceShown:
    """A number now and before, with the interval of the difference and what may be made of it."""

    now: str
    before: str
    difference: str
    interval: str
    verdict: str
    tone: str


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """A key under one model, against the other range."""

    label: str
    share: DifferenceShown
    revenue: DifferenceShown

    @property
    def both(self) -> tuple[DifferenceShown, DifferenceShown]:
        """Side by side."""
        return self.share, self.revenue


@dataclass(frozen=True, slots=True)
class AttributionShown:
    """All of it. `costs` and `changes` are by model; `before` is the range compared with, '' without one. `places`: who
    can be kept as a segment, as a value of the form and in words."""

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
    before: str
    changes: tuple[tuple[str, tuple[ChangeShown, ...]], ...]
    places: tuple[tuple[str, str], ...]
    is_empty: bool


def attribution_shown(answer: Answer, column: str, against: str, calendar: Calendar, q: str) -> AttributionShown:
    """`column` is revenue, conversions or new_customers; `against` a model of the answer, or ''."""
    tables = {table["model"]: {credit["key"]: credit for credit in table["credits"]} for table in answer["models"]}
    currency = answer["currency"]
    keys = _keys(answer, column)
    base, other = tables.get(against, {}), answer.get("comparison")
    totals = {name: sum(_number(credit, column) for credit in table.values()) for name, table in tables.items()}
    rows = tuple(
        KeyShown(
            credit_shown(key),
            tuple(
                _cell(
                    table.get(key),
                    column,
                    totals[name],
                    currency,
                    base.get(key) if base and name != against else None,
                    people_href("attribution", q, model=name, key=key),
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
        before=dates_shown(other["from"], other["to"], calendar) if other else "",
        changes=tuple(_compared(other, currency)) if other else (),
        places=tuple(_places(tables)),
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


def _cell(credit: Answer | None, column: str, total: float, currency: str, base: Answer | None, href: str) -> CellShown:
    value = _number(credit, column)
    part = value / total if total > 0 else None
    text = amount(credit["revenue"], currency) if credit and column == "revenue" else _written(value, column, currency)
    delta, tone = "", ""
    if base is not None:
        before = _number(base, column)
        delta = f"{(value - before) / before * 100:+.0f} %".replace("-", "−") if before > 0 else ""
        tone = "good" if value > before * 1.005 else "bad" if value < before * 0.995 else ""
    step = 0 if not part or part < 0 else max(1, min(10, round(part * 10)))
    return CellShown(text, share(part), step, delta, tone, href if credit and credit["conversions"] else "")


def _places(tables: Mapping[str, Mapping[str, Answer]]) -> Iterator[tuple[str, str]]:
    for model, table in tables.items():
        for key, credit in table.items():
            if credit["conversions"]:
                yield f"{model}:{key}", f"Converted: {credit_shown(key)} ({MODEL_NAMES.get(model, model)})"


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


# --- Against another range --------------------------------------------------------------------------------------------


def _compared(other: Answer, currency: str) -> Any:
    """One table a model."""
    for table in other["models"]:
        rows = tuple(
            ChangeShown(credit_shown(change["key"]), _of_share(change), _of_revenue(change, currency))
            for change in table["changes"]
        )
        yield MODEL_NAMES.get(table["model"], table["model"]), rows


def _of_share(change: Answer) -> DifferenceShown:
    return DifferenceShown(
        share(change["share"]),
        share(change["share_before"]),
        points(change["difference"]),
        spread(change["interval"]),
        *_verdict(change["difference"], change["is_clear"]),
    )


def _of_revenue(change: Answer, currency: str) -> DifferenceShown:
    return DifferenceShown(
        amount(change["revenue"], currency),
        amount(change["revenue_before"], currency),
        amount(change["revenue_difference"], currency),
        spread(change["revenue_interval"], partial(amount, currency=currency)),
        *_verdict(change["revenue_difference"], change["is_revenue_clear"]),
    )


def _verdict(difference: Any, is_clear: bool) -> tuple[str, str]:
    """In words, and for the colour."""
    if difference is None:
        return "nothing to compare", ""
    return verdict(difference, is_clear, MORE_OR_LESS), tone(difference, is_clear)
