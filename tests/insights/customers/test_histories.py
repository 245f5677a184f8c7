"""Customers out of sales, by hand."""

from __future__ import annotations

import numpy as np

from insights.customers.histories import Curve, Sales, customers_of, observed_curves, spent_between

# person 1 buys on days 0, 0 (one purchase of 30 + 20), 10 (70) and 14 (30); 20 come back on day 12.
# person 2 buys once, on day 5 (100), and gets all of it back on day 40. person 3 only ever gets money back.
ROWS = [(1, 0, 30), (1, 10, 70), (1, 14, 30), (1, 0, 20), (1, 12, -20), (2, 5, 100), (2, 40, -100), (3, 6, -15)]
PERSON, DAY, AMOUNT = (np.array(column) for column in zip(*ROWS, strict=True))
SALES = Sales(PERSON, DAY, AMOUNT, AMOUNT < 0)


def test_sales_of_one_day_are_one_purchase_and_refunds_are_none() -> None:
    found = customers_of(SALES)
    assert found.person.tolist() == [1, 2]
    assert (found.first_day.tolist(), found.last_day.tolist()) == ([0, 5], [14, 5])
    assert (found.purchases.tolist(), found.orders.tolist()) == ([3, 1], [4, 1])
    assert (found.gross.tolist(), found.refunds.tolist(), found.net.tolist()) == ([150, 100], [20, 100], [130, 0])
    assert found.repeat_mean.tolist() == [50.0, 0.0]


def test_histories_are_weeks_since_the_first_purchase() -> None:
    """Until day 21: person 1 came back twice, lastly after 14 days, seen for 21; person 2 has been seen for 16."""
    found = customers_of(SALES).histories(21)
    assert found.frequency.tolist() == [2.0, 0.0]
    assert found.recency.tolist() == [2.0, 0.0]
    assert found.age.tolist() == [3.0, 16 / 7]
    assert customers_of(SALES).recency_days(21).tolist() == [6.0, 15.0]


def test_what_comes_after_a_day_is_not_known_on_it() -> None:
    found = customers_of(SALES.before(11))
    assert (found.purchases.tolist(), found.refunds.tolist()) == ([2, 1], [0, 0])
    assert spent_between(SALES, found.person, 11, 50).tolist() == [30, 0]


def test_curves_add_up_what_each_cohort_brought_and_leave_open_units_out() -> None:
    """Units of ten days: both begin in unit 0. 50 + 100 in it, 100 − 20 in the next (days 10 and 14, a refund on 12),
    nothing in the third, −100 in the fifth, which is not over on day 45.
    """
    found = observed_curves(SALES, np.array([0, 10, 20, 30, 40, 50]), known_until=45)
    assert found == [Curve(0, 2, (150, 230, 230, 230, None))]


def test_nobody_has_no_customers() -> None:
    none = np.empty(0, dtype=np.int64)
    empty = Sales(none, none, none, np.empty(0, dtype=np.bool_))
    assert customers_of(empty).person.tolist() == []
    assert observed_curves(empty, np.array([0, 10]), known_until=10) == []
