"""What customers will still buy: the BG/NBD model of when, the Gamma-Gamma model of how much. Pure.

Sources: P. S. Fader, B. G. S. Hardie, K. L. Lee, "'Counting Your Customers' the Easy Way: An Alternative to the
Pareto/NBD Model", Marketing Science 24(2), 2005, pp. 275-284 (FHL below); P. S. Fader, B. G. S. Hardie, "The
Gamma-Gamma Model of Monetary Value", 2013 (FH13). A customer's history is (x, t_x, T): repeat purchases, time of the
last one, and time observed, both since the first purchase and in one unit (weeks here). Customers without a repeat stay
in the fit. SciPy is imported where it is used, because web processes never fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Loss: TypeAlias = Callable[[Floats], float]

FEWEST: Final = 100
"""Customers below which a fit is not attempted: four parameters of two distributions ask for more."""

FEWEST_REPEATERS: Final = 30
STARTS: Final = ((0.0, 0.0, 0.0, 0.0), (-1.0, 1.5, -0.5, 0.5), (0.5, 2.0, 0.5, 1.5))
LARGEST_EXPONENT: Final = 700.0
OFF_ONE: Final = 1e-6
LARGEST: Final = 9.0
"""Of the logarithm of a parameter, either way: beyond it the distribution is a point and the likelihood level."""
EDGE: Final = LARGEST - 0.5
MOST_DOUBT: Final = 1.0
"""Standard error of the logarithm of a parameter: with more, all from a seventh to the sevenfold may be true."""
ONE_POINT: Final = 50.0
"""Gamma and Beta distributions of such shapes, or larger ones, are hardly wider than a point."""
NOBODY: Final = 0.005


class NotEnoughData(ValueError):
    """Too few customers or repeat purchases to fit; the message says how many there are and are needed."""


class NoFit(ValueError):
    """The likelihood has no maximum inside sensible bounds: the data contradict the model."""


@dataclass(frozen=True, slots=True)
class Histories:
    """Customers side by side: repeat purchases, time of the last, time observed, both since the first purchase."""

    frequency: Floats
    recency: Floats
    age: Floats

    def __post_init__(self) -> None:
        if not len(self.frequency) == len(self.recency) == len(self.age):
            raise ValueError("frequency, recency and age are of the same customers")
        if np.any((self.recency < 0) | (self.recency > self.age)):
            raise ValueError("a last purchase lies between the first one and the end of the time observed")
        if np.any((self.frequency == 0) != (self.recency == 0)):
            raise ValueError("a customer without a repeat has recency 0, and one with a repeat has not")


@dataclass(frozen=True, slots=True)
class Purchases:
    """BG/NBD parameters. Purchase rates are Gamma(`r`, `alpha`); after each the customer leaves with a chance that is
    Beta(`a`, `b`). `spread` is the covariance of the logarithms of (r, alpha, a, b).

    `edge` says in words that the fit lies where the model turns into a simpler one: the likelihood is level there, the
    parameters are not told apart, and `spread` is empty. Forecasts are those of the simpler model.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    spread: tuple[tuple[float, ...], ...] = ()
    edge: str = ""

    @property
    def parameters(self) -> tuple[float, float, float, float]:
        return self.r, self.alpha, self.a, self.b


@dataclass(frozen=True, slots=True)
class Spending:
    """Gamma-Gamma parameters: a purchase is Gamma(`p`, ν), ν is Gamma(`q`, `gamma`). `spread` and `edge` as in
    `Purchases`."""

    p: float
    q: float
    gamma: float
    log_likelihood: float
    spread: tuple[tuple[float, ...], ...] = ()
    edge: str = ""

    @property
    def parameters(self) -> tuple[float, float, float]:
        return self.p, self.q, self.gamma

    @property
    def mean(self) -> float:
        """Mean of a purchase over all customers, p γ / (q − 1) (FH13, eq. 3); infinite at q ≤ 1."""
        return self.p * self.gamma / (self.q - 1) if self.q > 1 else float("inf")


# --- BG/NBD -----------------------------------------------------------------------------------------------------------


def purchases_likelihood(parameters: tuple[float, float, float, float] | Floats, histories: Histories) -> Floats:
    """Logarithm of each customer's likelihood (FHL eq. 6, its A₃ and A₄ added in logarithms)."""
    from scipy.special import betaln, gammaln

    r, alpha, a, b = (float(each) for each in parameters)
    x, t_x, age = histories.frequency, histories.recency, histories.age
    shared = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    alive = -(r + x) * np.log(alpha + age)
    repeats = np.maximum(x, 1)
    left = np.log(a) - np.log(b + repeats - 1) - (r + x) * np.log(alpha + t_x)
    found: Floats = shared + np.where(x > 0, np.logaddexp(alive, left), alive)
    return found


def purchases_fit(histories: Histories) -> Purchases:
    """The parameters of greatest likelihood, found from several starts.

    Equal histories are counted once, so the cost grows with distinct ones. Raises NotEnoughData, NoFit.
    """
    repeaters = int((histories.frequency > 0).sum())
    if len(histories.frequency) < FEWEST or repeaters < FEWEST_REPEATERS:
        raise NotEnoughData(
            f"{len(histories.frequency)} customers, {repeaters} with a second purchase; a fit takes at least {FEWEST} "
            f"and {FEWEST_REPEATERS}"
        )
    rows, counts = np.unique(
        np.column_stack((histories.frequency, histories.recency, histories.age)), axis=0, return_counts=True
    )
    unit = float(histories.age.mean()) or 1.0  # near one the logarithms of all parameters are small numbers
    scaled = Histories(rows[:, 0], rows[:, 1] / unit, rows[:, 2] / unit)

    def loss(logs: Floats) -> float:
        return -float(counts @ purchases_likelihood(np.exp(logs), scaled)) / len(histories.frequency)

    logs, spread = _least(loss, [np.array(start) for start in STARTS], len(histories.frequency))
    # Rates without a spread have r and alpha run off together; anything else there is no distribution of rates.
    if logs[0] < -EDGE or (logs[0] < EDGE < abs(logs[1])):
        raise NoFit("no rates describe these customers: a few who buy often outweigh all others")
    r, alpha, a, b = np.exp(logs).tolist()
    # Time in units of `unit` multiplies each purchase's density by it.
    likelihood = -loss(logs) * len(histories.frequency) - float(histories.frequency.sum()) * np.log(unit)
    edge = "" if spread else _purchases_edge(r, a, b)
    return Purchases(r, alpha * unit, a, b, float(likelihood), spread, edge)


def _purchases_edge(r: float, a: float, b: float) -> str:
    """What the model has turned into, in words."""
    told = []
    if r > ONE_POINT:
        told.append("all buy at the same rate")
    if a / (a + b) < NOBODY:
        told.append("nobody leaves for good")
    elif a + b > ONE_POINT:
        told.append(f"all leave with the same chance, {a / (a + b) * 100:.0f} % after each purchase")
    elif a + b < 1 / ONE_POINT:
        told.append("each leaves at once or never")
    return f"as far as these purchases tell, {' and '.join(told)}" if told else "these purchases do not tell all apart"


def alive_chance(model: Purchases, histories: Histories) -> Floats:
    """P(still a customer | history) (FHL p. 279): 1 without a repeat, as nobody leaves before the second purchase."""
    x, t_x, age = histories.frequency, histories.recency, histories.age
    silence = (model.r + x) * np.log((model.alpha + age) / (model.alpha + t_x))
    odds = np.log(model.a) - np.log(model.b + np.maximum(x, 1) - 1) + silence
    return np.where(x > 0, 1 / (1 + np.exp(np.minimum(odds, LARGEST_EXPONENT))), 1.0)


def purchases_expected(model: Purchases, histories: Histories, horizon: float) -> Floats:
    """E[purchases in the `horizon` after the time observed | history] (FHL eq. 10), in the unit of the history."""
    from scipy.special import hyp2f1

    r, alpha, a, b = _off_one(model)
    x, age = histories.frequency, histories.age
    z = horizon / (alpha + age + horizon)
    shape = hyp2f1(r + x, b + x, a + b + x - 1, z)
    growth = 1 - ((alpha + age) / (alpha + age + horizon)) ** (r + x) * shape
    found: Floats = (a + b + x - 1) / (a - 1) * growth * alive_chance(model, histories)
    return found


def newcomer_expected(model: Purchases, horizon: float | Floats) -> Floats:
    """E[repeat purchases of a new customer in `horizon`] (FHL eq. 9)."""
    from scipy.special import hyp2f1

    r, alpha, a, b = _off_one(model)
    t = np.asarray(horizon, dtype=np.float64)
    shape = hyp2f1(r, b, a + b - 1, t / (alpha + t))
    found: Floats = (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + t)) ** r * shape)
    return found


def _off_one(model: Purchases) -> tuple[float, float, float, float]:
    """The parameters with `a` off 1, where both expectations have a limit but their formulas divide by zero."""
    r, alpha, a, b = model.parameters
    return r, alpha, a if abs(a - 1) > OFF_ONE else 1 + OFF_ONE, b


# --- Gamma-Gamma ------------------------------------------------------------------------------------------------------


def spending_likelihood(parameters: tuple[float, float, float] | Floats, count: Floats, mean: Floats) -> Floats:
    """Logarithm of the likelihood of a customer's mean purchase over `count` purchases (FH13, eq. 1a)."""
    from scipy.special import gammaln

    p, q, gamma = (float(each) for each in parameters)
    found: Floats = (
        gammaln(p * count + q)
        - gammaln(p * count)
        - gammaln(q)
        + q * np.log(gamma)
        + (p * count - 1) * np.log(mean)
        + p * count * np.log(count)
        - (p * count + q) * np.log(gamma + mean * count)
    )
    return found


def spending_fit(count: Floats, mean: Floats) -> Spending:
    """Fit to customers with purchases and money above zero only (S21). `mean` in any currency unit, `count` purchases.

    Raises NotEnoughData, NoFit.
    """
    usable = (count > 0) & (mean > 0)
    count, mean = count[usable], mean[usable]
    if len(count) < FEWEST_REPEATERS:
        raise NotEnoughData(f"{len(count)} customers with purchases of known value; a fit takes {FEWEST_REPEATERS}")
    unit = float(np.average(mean, weights=count))
    scaled = mean / unit

    def loss(logs: Floats) -> float:
        return -float(spending_likelihood(np.exp(logs), count, scaled).mean())

    logs, spread = _least(loss, [np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.5, 0.0])], len(count))
    if np.any(np.abs(logs) > EDGE) and max(logs[0], logs[1]) < EDGE:
        raise NoFit("no distribution describes what is spent: a few purchases outweigh all others")
    p, q, gamma = np.exp(logs).tolist()
    likelihood = -loss(logs) * len(count) - len(count) * np.log(unit)
    edge = "" if spread else _spending_edge(p, q)
    return Spending(p, q, gamma * unit, float(likelihood), spread, edge)


def _spending_edge(p: float, q: float) -> str:
    if p > ONE_POINT:
        return "each customer spends the same every time"
    return "no customer tends to spend more than another" if q > ONE_POINT else "what is spent does not tell all apart"


def spending_expected(model: Spending, count: Floats, mean: Floats) -> Floats:
    """E[value of a purchase | count, mean] = p (γ + x m) / (p x + q − 1) (FH13 eq. 5): drawn towards everybody's mean.

    A customer without a purchase in the count gets the mean of all.
    """
    p, q, gamma = model.parameters
    own = np.where(count > 0, count * mean, 0.0)
    found: Floats = p * (gamma + own) / (p * count + q - 1)
    return found


def _least(loss: Loss, starts: list[Floats], size: int) -> tuple[Floats, tuple[tuple[float, ...], ...]]:
    """The minimum of a mean loss over logarithms of parameters, within bounds, and the covariance of the estimate.

    Parameters that run off together stay in proportion on the bound. The covariance is empty there, and wherever else
    the loss is level.
    """
    from scipy.optimize import minimize

    best = None
    bounds = [(-LARGEST, LARGEST)] * len(starts[0])
    for start in starts:
        found = minimize(loss, start, method="L-BFGS-B", bounds=bounds)
        found = minimize(
            loss, found.x, method="Nelder-Mead", bounds=bounds, options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 4000}
        )
        if np.isfinite(found.fun) and (best is None or found.fun < best.fun):
            best = found
    if best is None:
        raise NoFit("the likelihood of these customers is no number")
    at: Floats = best.x
    return at, () if np.any(np.abs(at) > EDGE) else _spread(_hessian(loss, at) * size)


def _spread(hessian: Floats) -> tuple[tuple[float, ...], ...]:
    """The covariance; empty where the likelihood is level, or so nearly that drawing from it would mean nothing."""
    try:
        covariance = np.linalg.inv(hessian)
    except np.linalg.LinAlgError:
        return ()
    if not np.all(np.isfinite(covariance)) or np.any(np.linalg.eigvalsh(covariance) <= 0):
        return ()
    return () if np.any(np.diag(covariance) > MOST_DOUBT**2) else tuple(map(tuple, covariance.tolist()))


def _hessian(loss: Loss, at: Floats, step: float = 1e-3) -> Floats:
    """Second differences of the loss (central, error of the order of step²)."""
    size = len(at)
    unit = np.eye(size) * step
    found = np.empty((size, size))
    for i in range(size):
        for j in range(i, size):
            plus, minus = unit[i] + unit[j], unit[i] - unit[j]
            around = loss(at + plus) - loss(at + minus) - loss(at - minus) + loss(at - plus)
            found[i, j] = found[j, i] = around / (4 * step**2)
    return found
