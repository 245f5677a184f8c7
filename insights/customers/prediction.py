"""What each customer will still bring, drawn from the models: an interval is never optional. Pure; seeded.

Given the history, a customer is still there with the chance of FHL (p. 279). If so, their rate is Gamma(r + x, α + T)
and their chance to leave Beta(a, b + x); if not, nothing more comes. Purchases and leaving are drawn forward over the
horizon, and the value of k purchases is Gamma(p k, ν) with ν ~ Gamma(q + p x, γ + x m̄): sums of the models of
`lifetime.py`. Each draw takes its own parameters from the spread of the fit, so the interval holds both kinds of doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from insights.customers.lifetime import Floats, Histories, Purchases, Spending, alive_chance

Chance: TypeAlias = np.random.Generator

DRAWS: Final = 400
LEVEL: Final = 0.80
MOST_PURCHASES: Final = 500
"""In one horizon, in one draw: a bound on the loop, far beyond what any fitted rate reaches."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """For each customer over the horizon: mean and interval of purchases and of value (the unit of `mean` money).

    `total` is the (mean, lower, upper) of everybody's value together, from sums of draws, never of bounds (S28).
    """

    purchases: Floats
    value: Floats
    lower: Floats
    upper: Floats
    total: tuple[float, float, float]
    level: float
    draws: int


def predicted(
    purchases: Purchases,
    spending: Spending,
    histories: Histories,
    *,
    count: Floats,
    mean: Floats,
    horizon: float,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
    discount: float = 0.0,
) -> Predicted:
    """Draw the future of every customer. `count` and `mean` are the purchases of known value and their mean.

    `horizon` is in the unit of the histories; `discount` is the continuous rate per unit.
    """
    chance = np.random.default_rng(seed)
    size = len(histories.frequency)
    bought = np.zeros(size)
    values = np.empty((draws, size), dtype=np.float32)
    for draw in range(draws):
        times, money = _drawn(chance, purchases, spending, histories, count, mean, horizon, discount)
        bought += times
        values[draw] = money
    tails = ((1 - level) / 2, (1 + level) / 2)
    lower, upper = np.quantile(values, tails, axis=0) if size else (np.empty(0), np.empty(0))
    totals = values.sum(axis=1, dtype=np.float64)
    low, high = np.quantile(totals, tails)
    return Predicted(
        purchases=bought / draws,
        value=values.mean(axis=0, dtype=np.float64),
        lower=lower.astype(np.float64),
        upper=upper.astype(np.float64),
        total=(float(totals.mean()), float(low), float(high)),
        level=level,
        draws=draws,
    )


def _drawn(
    chance: Chance,
    purchases: Purchases,
    spending: Spending,
    histories: Histories,
    count: Floats,
    mean: Floats,
    horizon: float,
    discount: float,
) -> tuple[Floats, Floats]:
    """One future: purchases and value of each customer."""
    r, alpha, a, b = _parameters(chance, purchases.parameters, purchases.spread)
    p, q, gamma = _parameters(chance, spending.parameters, spending.spread)
    model = Purchases(r, alpha, a, b, 0.0)
    x = histories.frequency
    is_there = chance.random(len(x)) < alive_chance(model, histories)
    rate = chance.gamma(r + x) / (alpha + histories.age)
    leaving = chance.beta(a, b + x)
    price = chance.gamma(q + p * count) / (gamma + np.where(count > 0, count * mean, 0.0))
    at = np.zeros(len(x))
    times, money = np.zeros(len(x)), np.zeros(len(x))
    here = np.flatnonzero(is_there)
    for _ in range(MOST_PURCHASES):
        at[here] += chance.exponential(size=len(here)) / rate[here]
        here = here[at[here] <= horizon]
        if not len(here):
            break
        times[here] += 1
        worth = chance.gamma(p, size=len(here)) / price[here]
        money[here] += worth * np.exp(-discount * at[here])
        here = here[chance.random(len(here)) >= leaving[here]]
    return times, money


def _parameters(chance: Chance, best: tuple[float, ...], spread: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    if not spread:
        return best
    drawn = chance.multivariate_normal(np.log(best), np.asarray(spread), method="eigh")
    return tuple(np.exp(drawn).tolist())


@dataclass(frozen=True, slots=True)
class Decile:
    """One tenth of the customers by predicted value: what was predicted of them and what they really spent."""

    customers: int
    predicted: float
    actual: float


def calibration(forecast: npt.NDArray[np.float64], actual: npt.NDArray[np.float64], parts: int = 10) -> list[Decile]:
    """Predicted against actual by tenths, the highest first; with fewer customers than parts, fewer of them."""
    order = np.argsort(-forecast, kind="stable")
    groups = [group for group in np.array_split(order, parts) if len(group)]
    return [Decile(len(group), float(forecast[group].sum()), float(actual[group].sum())) for group in groups]
