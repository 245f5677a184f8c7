"""BG/NBD and Gamma-Gamma: published numbers, identities, recovery of known parameters from simulated customers."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import beta as beta_function
from scipy.special import gamma as gamma_function

from insights.customers.lifetime import (
    Histories,
    NotEnoughData,
    Purchases,
    Spending,
    alive_chance,
    newcomer_expected,
    purchases_expected,
    purchases_fit,
    purchases_likelihood,
    spending_expected,
    spending_fit,
    spending_likelihood,
)
from insights.customers.prediction import calibration, predicted

CDNOW = Purchases(r=0.243, alpha=4.414, a=0.793, b=2.426, log_likelihood=-9582.4)
"""The published fit to the CDNOW customers in weeks (FHL 2005, table 2)."""

CDNOW_SPENDING = Spending(p=6.25, q=3.74, gamma=15.44, log_likelihood=0.0)
"""The published fit to their spending in dollars (FH 2013)."""


def one(x: float, t_x: float, age: float) -> Histories:
    return Histories(np.array([x]), np.array([t_x]), np.array([age]))


def test_the_customer_of_the_published_worked_example_buys_1_226_times_in_39_weeks() -> None:
    """x = 2, t_x = 30.43, T = 38.86 weeks: 1.226 (Fader, Hardie, Lee: Implementing the BG/NBD Model in Excel, 2005)."""
    assert purchases_expected(CDNOW, one(2, 30.43, 38.86), 39)[0] == pytest.approx(1.226, abs=0.001)


def test_the_likelihood_of_one_customer_is_the_integral_over_rates_and_chances_to_leave() -> None:
    """Integrated numerically over λ ~ Gamma and p ~ Beta for x = 1: λ(1−p)e^{−λT} + λp e^{−λt_x} (FHL eq. 3)."""
    r, alpha, a, b, t_x, age = 0.8, 3.0, 1.2, 2.5, 4.0, 9.0

    def rate_part(horizon: float) -> float:
        def part(rate: float) -> float:
            density = alpha**r * rate ** (r - 1) * math.exp(-alpha * rate) / float(gamma_function(r))
            return float(density * rate * math.exp(-rate * horizon))

        return float(quad(part, 0, math.inf)[0])

    stay = beta_function(a, b + 1) / beta_function(a, b)
    leave = beta_function(a + 1, b) / beta_function(a, b)
    expected = math.log(stay * rate_part(age) + leave * rate_part(t_x))
    assert purchases_likelihood((r, alpha, a, b), one(1, t_x, age))[0] == pytest.approx(expected, rel=1e-7)


def test_a_customer_who_never_came_back_cannot_have_left_and_one_long_silent_probably_has() -> None:
    assert alive_chance(CDNOW, one(0, 0, 38))[0] == 1.0
    frequent_and_silent, frequent_and_fresh = (
        alive_chance(CDNOW, one(10, 5, 38))[0],
        alive_chance(CDNOW, one(10, 37, 38))[0],
    )
    assert frequent_and_silent < 0.01 < 0.9 < frequent_and_fresh


def test_a_new_customer_is_expected_as_the_mean_of_the_mixture_says() -> None:
    """With p and λ fixed a customer buys (1 − e^{−λpt}) / p times (FHL eq. 7); mixed numerically over both."""
    model, horizon = Purchases(0.9, 3.0, 1.4, 2.2, 0.0), 10.0

    def mixed(leaving: float) -> float:
        share = leaving ** (model.a - 1) * (1 - leaving) ** (model.b - 1) / beta_function(model.a, model.b)
        still = (model.alpha / (model.alpha + leaving * horizon)) ** model.r
        return float(share * (1 - still) / leaving)

    assert newcomer_expected(model, horizon) == pytest.approx(quad(mixed, 0, 1)[0], rel=1e-6)


def test_money_is_drawn_towards_everybodys_mean_and_less_so_the_more_is_known() -> None:
    """The mean of all is 6.25 × 15.44 / 2.74 = 35.22. One purchase of 100: 6.25 × 115.44 / 8.99 = 80.256."""
    assert CDNOW_SPENDING.mean == pytest.approx(35.219, abs=0.001)
    found = spending_expected(CDNOW_SPENDING, np.array([0.0, 1.0, 50.0]), np.array([0.0, 100.0, 100.0]))
    assert found == pytest.approx([35.219, 80.256, 99.43], abs=0.01)


def test_the_likelihood_of_spending_is_a_density_that_integrates_to_one() -> None:
    whole = quad(
        lambda mean: math.exp(spending_likelihood((6.25, 3.74, 15.44), np.array([3.0]), np.array([mean]))[0]), 0, 2000
    )
    assert whole[0] == pytest.approx(1.0, abs=1e-5)


def simulated(model: Purchases, size: int, seed: int) -> tuple[Histories, np.ndarray]:
    """Customers made by the model's own story, purchase by purchase; also their purchases in the 26 weeks after."""
    chance = np.random.default_rng(seed)
    rows, later = [], []
    for _ in range(size):
        rate, leaving, age = chance.gamma(model.r) / model.alpha, chance.beta(model.a, model.b), chance.uniform(26, 52)
        at, times = 0.0, []
        while True:
            at += chance.exponential() / rate
            if at > age + 26:
                break
            times.append(at)
            if chance.random() < leaving:
                break
        seen = [time for time in times if time <= age]
        rows.append((len(seen), seen[-1] if seen else 0.0, age))
        later.append(len(times) - len(seen))
    columns = np.array(rows).T
    return Histories(*columns), np.array(later)


def test_known_parameters_are_found_again_within_their_own_error() -> None:
    truth = Purchases(0.6, 4.0, 0.9, 2.5, 0.0)
    histories, later = simulated(truth, 6000, seed=11)
    fit = purchases_fit(histories)
    errors = np.sqrt(np.diag(np.array(fit.spread)))
    off = (np.log(fit.parameters) - np.log(truth.parameters)) / errors
    assert np.all(np.abs(off) < 3.5), off
    assert fit.edge == ""
    assert fit.log_likelihood >= float(purchases_likelihood(truth.parameters, histories).sum())
    expected = purchases_expected(fit, histories, 26)
    assert expected.sum() == pytest.approx(later.sum(), rel=0.05)


def test_customers_who_never_leave_are_fitted_as_such() -> None:
    """With p fixed at zero purchases are NBD: the chance to leave goes to nothing, and so does that of having left."""
    chance = np.random.default_rng(21)
    rate, age = chance.gamma(1.5, size=3000) / 6.0, np.full(3000, 40.0)
    times = chance.poisson(rate * age).astype(float)
    recency = np.where(times > 0, age * chance.random(3000) ** (1 / np.maximum(times, 1)), 0.0)
    fit = purchases_fit(Histories(times, recency, age))
    assert fit.a / (fit.a + fit.b) < 0.005
    assert (fit.r, fit.alpha) == pytest.approx((1.5, 6.0), rel=0.1)
    assert alive_chance(fit, one(5, 30, 40))[0] > 0.9
    assert purchases_expected(fit, one(0, 0, 40), 10)[0] == pytest.approx(1.5 / 46 * 10, rel=0.1)


def lived(rates: np.ndarray, leaving: np.ndarray, seed: int, weeks: float = 52.0) -> Histories:
    """Customers with these rates and chances to leave, watched for so long."""
    chance = np.random.default_rng(seed)
    rows = []
    for rate, leaves in zip(rates, leaving, strict=True):
        at, count, last = 0.0, 0, 0.0
        while (at := at + chance.exponential() / rate) <= weeks:
            count, last = count + 1, at
            if chance.random() < leaves:
                break
        rows.append((count, last, weeks))
    return Histories(*np.array(rows).T)


SIZE = 3000
MIXED_RATES = np.random.default_rng(1).gamma(1.2, size=SIZE) / 4.0
MIXED_LEAVING = np.random.default_rng(2).beta(1.2, 2.5, size=SIZE)


@pytest.mark.parametrize(
    ("rates", "leaving", "words"),
    [
        (MIXED_RATES, np.full(SIZE, 0.3), "all leave with the same chance, (29|30|31) % after each purchase"),
        (np.full(SIZE, 0.25), MIXED_LEAVING, "all buy at the same rate"),
        (np.full(SIZE, 0.25), np.full(SIZE, 0.3), "all buy at the same rate and all leave with the same chance"),
        (MIXED_RATES, np.zeros(SIZE), "nobody leaves for good"),
        (MIXED_RATES, np.repeat([0.0, 1.0], SIZE // 2), "each leaves at once or never"),
    ],
)
def test_a_fit_at_the_edge_of_the_model_says_so_and_still_foresees(
    rates: np.ndarray, leaving: np.ndarray, words: str
) -> None:
    """Where all are alike in something, a parameter runs off without end and the likelihood is level: nothing may be
    drawn from a spread that is not there, and what is expected is that of the simpler model all the same."""
    histories = lived(rates, leaving, seed=3)
    fit = purchases_fit(histories)
    assert fit.spread == ()
    assert fit.edge.startswith("as far as these purchases tell, ")
    assert re.search(words, fit.edge)
    assert np.all(np.isfinite(fit.parameters))
    alive = alive_chance(fit, histories)
    assert np.all((alive >= 0) & (alive <= 1))
    spending = Spending(6.0, 4.0, 20.0, 0.0)
    count = histories.frequency
    found = predicted(fit, spending, histories, count=count, mean=np.full(SIZE, 40.0), horizon=13, seed=1, draws=60)
    chance = np.random.default_rng(4)
    is_there = chance.random(SIZE) < still_there(rates, leaving, histories)
    rest = sum(expected_of(rate, leaves, 13) for rate, leaves in zip(rates[is_there], leaving[is_there], strict=True))
    assert found.purchases.sum() == pytest.approx(rest, rel=0.15)


def still_there(rates: np.ndarray, leaving: np.ndarray, histories: Histories) -> np.ndarray:
    """By Bayes, of one whose rate and chance are known: silent since the last purchase and stayed, against left."""
    silent = np.exp(-rates * (histories.age - histories.recency)) * (1 - leaving)
    with np.errstate(invalid="ignore"):
        return np.where(histories.frequency > 0, silent / (silent + leaving), 1.0)


def expected_of(rate: float, leaving: float, weeks: float) -> float:
    """Purchases of one who is there (FHL eq. 7)."""
    return rate * weeks if leaving == 0 else (1 - math.exp(-rate * leaving * weeks)) / leaving


def test_spending_without_differences_says_so() -> None:
    chance = np.random.default_rng(6)
    count = chance.integers(1, 8, size=3000).astype(float)
    alike = np.array([chance.gamma(4.0, 10.0, size=int(n)).mean() for n in count])
    fit = spending_fit(count, alike)
    assert (fit.edge, fit.spread) == ("no customer tends to spend more than another", ())
    assert fit.mean == pytest.approx(40.0, rel=0.02)
    exact = spending_fit(count, 60.0 / chance.gamma(4.0, size=3000))
    assert exact.edge == "each customer spends the same every time"


def test_the_unit_of_time_changes_alpha_and_nothing_else() -> None:
    histories, _ = simulated(Purchases(0.6, 4.0, 0.9, 2.5, 0.0), 1500, seed=3)
    weeks = purchases_fit(histories)
    days = purchases_fit(Histories(histories.frequency, histories.recency * 7, histories.age * 7))
    assert days.parameters == pytest.approx((weeks.r, weeks.alpha * 7, weeks.a, weeks.b), rel=1e-3)
    assert days.log_likelihood == pytest.approx(
        weeks.log_likelihood - histories.frequency.sum() * math.log(7), abs=0.01
    )


def test_known_spending_is_found_again_whatever_the_currency_unit() -> None:
    chance = np.random.default_rng(5)
    count = chance.integers(1, 8, size=4000).astype(float)
    price = chance.gamma(4.0, size=4000) / 20.0
    mean = np.array([chance.gamma(6.0, size=int(n)).sum() / rate / n for n, rate in zip(count, price, strict=True)])
    fit, minor = spending_fit(count, mean), spending_fit(count, mean * 100)
    errors = np.sqrt(np.diag(np.array(fit.spread)))
    off = (np.log(fit.parameters) - np.log((6.0, 4.0, 20.0))) / errors
    assert np.all(np.abs(off) < 3.5), off
    assert minor.parameters == pytest.approx((fit.p, fit.q, fit.gamma * 100), rel=1e-2)


def test_too_few_customers_are_not_fitted() -> None:
    histories = Histories(np.ones(20), np.ones(20), np.full(20, 5.0))
    with pytest.raises(NotEnoughData, match="20 customers, 20 with a second purchase; a fit takes at least 100 and 30"):
        purchases_fit(histories)
    with pytest.raises(NotEnoughData, match="0 customers with purchases of known value"):
        spending_fit(np.zeros(50), np.zeros(50))


def test_a_history_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="between the first one and the end"):
        one(1, 9, 5)
    with pytest.raises(ValueError, match="without a repeat has recency 0"):
        one(0, 3, 5)


def test_drawn_futures_agree_with_the_formula_and_hold_what_came_as_often_as_they_say() -> None:
    """Means against FHL eq. 10; 80 % intervals of value against customers simulated on."""
    truth = Purchases(0.8, 4.0, 1.1, 3.0, 0.0)
    spending = Spending(6.0, 4.0, 20.0, 0.0)
    histories, _ = simulated(truth, 3000, seed=8)
    chance = np.random.default_rng(9)
    count = histories.frequency
    price = chance.gamma(4.0, size=3000) / 20.0
    spent = np.array([chance.gamma(6.0 * n) / rate if n else 0.0 for n, rate in zip(count, price, strict=True)])
    mean = np.divide(spent, count, out=np.zeros(3000), where=count > 0)
    found = predicted(truth, spending, histories, count=count, mean=mean, horizon=26, seed=1)
    assert found.purchases.sum() == pytest.approx(purchases_expected(truth, histories, 26).sum(), rel=0.02)
    assert np.all(found.lower <= found.value + 1e-6)
    assert found.total[1] < found.total[0] < found.total[2]
    again = predicted(truth, spending, histories, count=count, mean=mean, horizon=26, seed=1)
    assert again.total == found.total


def test_tenths_are_of_the_highest_first_and_keep_the_sums() -> None:
    found = calibration(np.array([5.0, 1.0, 3.0, 2.0]), np.array([4.0, 0.0, 2.0, 2.0]), parts=2)
    assert [(each.customers, each.predicted, each.actual) for each in found] == [(2, 8.0, 6.0), (2, 3.0, 2.0)]
