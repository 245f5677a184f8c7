"""Two ranges of one attribution beside each other: which credits differ by more than chance would make them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from kpis.attribution.sampling import Sampled
from kpis.contracts import OTHER
from kpis.explore.intervals import Interval
from kpis.explore.people_apart import Estimate, Side, shares_apart, sums_apart

if TYPE_CHECKING:
    from kpis.attribution.answer import AttributionAnswer


@dataclass(frozen=True, slots=True)
class CreditChange:
    """One key under one model. `share` is of all conversions of the range; money in minor units.

    Null where the other range has no conversions, or counts the key among all others.
    """

    key: str
    share: float | None
    share_before: float | None
    difference: float | None
    interval: Interval | None
    is_clear: bool
    revenue: int
    revenue_before: int | None
    revenue_difference: int | None
    revenue_interval: Interval | None
    is_revenue_clear: bool


@dataclass(frozen=True, slots=True)
class ModelChanges:
    """One model, its keys in the order of its credits; those that only the other range has come last."""

    model: str
    changes: tuple[CreditChange, ...]


@dataclass(frozen=True, slots=True)
class AttributionComparison:
    """The other range, and model by model what is different."""

    start: datetime
    end: datetime
    conversions: int
    touched: int
    revenue: int
    models: tuple[ModelChanges, ...]
    reading: str


def compared(now: AttributionAnswer, before: AttributionAnswer) -> AttributionComparison:
    """Both answers with their samples."""
    models = tuple(_model(table.model, now, before) for table in now.models)
    return AttributionComparison(
        start=before.question.start,
        end=before.question.end,
        conversions=before.conversions,
        touched=before.touched,
        revenue=before.revenue,
        models=models,
        reading=_reading(models, before.conversions),
    )


def _model(model: str, now: AttributionAnswer, before: AttributionAnswer) -> ModelChanges:
    mine, theirs = ({table.model: table for table in answer.models}[model] for answer in (now, before))
    keys = dict.fromkeys(credit.key for table in (mine, theirs) for credit in table.credits)
    sides = [({credit.key: credit.revenue for credit in table.credits}, answer.samples[model]) for table, answer in
             ((mine, now), (theirs, before))]  # fmt: skip
    found = (_change(key, *sides) for key in keys)
    return ModelChanges(model, tuple(change for change in found if change is not None))


_Told = tuple[Mapping[str, int], Sampled]


def _change(key: str, now: _Told, before: _Told) -> CreditChange | None:
    (money, mine), (money_before, theirs) = now, before
    share, revenue = (_side(key, each, mine) for each in (mine.share, mine.revenue))
    if share is None or revenue is None:
        return None  # it is among all others now
    share_before, revenue_before = (_side(key, each, theirs) for each in (theirs.share, theirs.revenue))
    has_both = share_before is not None and mine.people > 0 and theirs.people > 0
    interval = shares_apart(share, share_before) if has_both and share_before else None
    spread = sums_apart(revenue, revenue_before) if revenue_before else None
    amount = money.get(key, 0)
    amount_before = money_before.get(key, 0) if revenue_before else None
    return CreditChange(
        key=key,
        share=share.value if mine.people else None,
        share_before=share_before.value if share_before and theirs.people else None,
        difference=share.value - share_before.value if share_before and has_both else None,
        interval=interval,
        is_clear=interval is not None and interval.is_clear,
        revenue=amount,
        revenue_before=amount_before,
        revenue_difference=None if amount_before is None else amount - amount_before,
        revenue_interval=spread,
        is_revenue_clear=spread is not None and spread.is_clear,
    )


def _side(key: str, of: Estimate, sampled: Sampled) -> Side | None:
    """None where the key may be among all others; a key that is in no list at all has nothing."""
    if key in sampled.keys:
        place = sampled.keys.index(key)
        return Side(float(of.value[place]), float(of.variance[place]), sampled.people)
    return None if OTHER in sampled.keys else Side(0.0, 0.0, sampled.people)


def _reading(models: tuple[ModelChanges, ...], conversions: int) -> str:
    """By the first model that was asked for; the largest clear change."""
    if not conversions or not models:
        return "There was no conversion in the other period to compare with."
    first = models[0]
    clear = [change for change in first.changes if change.is_clear]
    name = f"“{first.model.replace('_', ' ')}”"
    if not clear:
        return f"By {name} no share of the conversions differs from the other period by more than chance would make it."
    most = max(clear, key=lambda change: abs(change.difference or 0.0))
    interval = most.interval or Interval(0.0, 0.0)
    return (
        f"By {name} the share of the conversions from {_named(most.key)} is {(most.difference or 0.0) * 100:+.1f}"
        f" percentage points against the other period ({interval.low * 100:+.1f} to {interval.high * 100:+.1f}), a"
        " clear difference."
    )


def _named(key: str) -> str:
    return {"__none__": "no touch at all", OTHER: "all others"}.get(key, f"“{key}”")
