"""What anyone computes from the shop's file, with DuckDB alone: nothing of the product is imported here.

The rules are the published ones, in this order: an invoice that starts with A is a ledger adjustment; one that starts
with C is a return; twelve codes are fees; a price of zero is a stock adjustment; the rest are purchases. Every invoice
that is not A and has a line other than a stock adjustment is one order (C: one refund). Its value is the exact sum of
quantity x price of those lines, rounded half up to pence once; its time is its first line.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

LINES = """
create table lines as
select row_number() over () as n, InvoiceNo as invoice, StockCode as code, Quantity::int as quantity,
       UnitPrice::decimal(18, 4) as price, InvoiceDate::timestamp as ordered_at,
       CustomerID as customer, Country as country,
       case when starts_with(InvoiceNo, 'A') then 'ledger_adjusted'
            when starts_with(InvoiceNo, 'C') then 'item_returned'
            when StockCode in ('POST', 'DOT', 'M', 'm', 'D', 'C2', 'BANK CHARGES', 'AMAZONFEE', 'CRUK', 'S', 'B',
                               'PADS') then 'fee_charged'
            when UnitPrice::decimal(18, 4) = 0 then 'stock_adjusted'
            else 'item_purchased' end as name
from read_csv($file, all_varchar = true, header = true)
"""

# DuckDB rounds decimals half away from zero, which is half up for the money received and for the money given back.
ORDERS = """
create table orders as
select invoice, starts_with(invoice, 'C') as is_refund,
       round(sum(quantity * price) filter (name <> 'stock_adjusted'), 2)::decimal(18, 2) as amount,
       arg_min(ordered_at, n) as ordered_at, arg_min(customer, n) as customer, arg_min(country, n) as country
from lines
where not starts_with(invoice, 'A')
group by invoice
having count(*) filter (name <> 'stock_adjusted') > 0
"""

TOTALS = """
select count(*) filter (not is_refund),
       count(*) filter (is_refund),
       sum(amount) filter (not is_refund),
       -sum(amount) filter (is_refund),
       sum(amount),
       count(distinct customer) filter (not is_refund),
       sum(amount) filter (not is_refund and customer is not null)
from orders
"""

REPEATERS = """
select count(*) from
    (select customer from orders where not is_refund and customer is not null group by customer having count(*) >= 2)
"""

MONTHS = """
with first_order as (select customer, min(date_trunc('month', ordered_at)) as month from orders
                     where not is_refund and customer is not null group by customer),
     monthly as (select strftime(date_trunc('month', o.ordered_at), '%Y-%m') as month, o.*, f.month as first_month
                 from orders o left join first_order f on f.customer = o.customer)
select month, count(*) filter (not is_refund), coalesce(sum(amount) filter (not is_refund), 0),
       coalesce(-sum(amount) filter (is_refund), 0), sum(amount),
       count(distinct customer) filter (not is_refund),
       count(distinct customer) filter (not is_refund and first_month = date_trunc('month', ordered_at)),
       count(distinct customer) filter (not is_refund and first_month < date_trunc('month', ordered_at)),
       coalesce(sum(amount) filter (not is_refund and customer is not null), 0)
from monthly group by month order by month
"""

PRODUCTS = """
select code, round(sum(quantity * price), 2)::decimal(18, 2), sum(quantity), count(*)
from lines where name = 'item_purchased' group by code order by 2 desc, 1 limit $limit
"""

COUNTRIES = """
select country, sum(amount), count(*) from orders where not is_refund group by country order by 2 desc, 1
"""

NAMES = "select name, count(*) from lines group by name"


@dataclass(frozen=True)
class Month:
    """One month of the shop; money in pounds, buyers are customers with an order in it."""

    orders: int
    gross: Decimal
    refunds: Decimal
    net: Decimal
    payers: int
    new_buyers: int
    returning_buyers: int
    known_gross: Decimal


@dataclass(frozen=True)
class Product:
    """What was sold of one product code, returns and fees left out."""

    revenue: Decimal
    quantity: int
    lines: int


@dataclass(frozen=True)
class Country:
    """Orders shipped to one country as the file names it."""

    gross: Decimal
    orders: int


@dataclass(frozen=True)
class Expected:
    """The whole file in numbers; money in pounds, exact."""

    names: dict[str, int]
    orders: int
    refunds_count: int
    gross: Decimal
    refunds: Decimal
    net: Decimal
    payers: int
    known_gross: Decimal
    repeaters: int
    months: dict[str, Month]
    products: dict[str, Product]
    countries: dict[str, Country]

    @property
    def arppu(self) -> Decimal:
        """Revenue of known payers per payer, unrounded."""
        return self.known_gross / self.payers

    @property
    def average_order_value(self) -> Decimal:
        """Gross per order, unrounded."""
        return self.gross / self.orders

    @property
    def repeat_rate(self) -> Decimal:
        """Share of payers with two orders or more."""
        return Decimal(self.repeaters) / self.payers


def expected(file: Path, *, top: int = 5000) -> Expected:
    """Read the file once and answer every number that the product is asked for."""
    with duckdb.connect() as connection:
        connection.execute(LINES, {"file": str(file)})
        connection.execute(ORDERS)
        totals = connection.execute(TOTALS).fetchall()[0]
        repeaters = connection.execute(REPEATERS).fetchall()[0][0]
        months = {row[0]: Month(*row[1:]) for row in connection.execute(MONTHS).fetchall()}
        products = {row[0]: Product(*row[1:]) for row in connection.execute(PRODUCTS, {"limit": top}).fetchall()}
        countries = {row[0]: Country(*row[1:]) for row in connection.execute(COUNTRIES).fetchall()}
        names = dict(connection.execute(NAMES).fetchall())
    orders, refunds_count, gross, refunds, net, payers, known_gross = totals
    return Expected(
        names, orders, refunds_count, gross, refunds, net, payers, known_gross, repeaters, months, products, countries
    )


def main() -> None:
    """Print the numbers of a file, for a person who wants to compare by eye."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("file", type=Path)
    answer = expected(parser.parse_args().file, top=10)
    for key, value in vars(answer).items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for name, number in rows:
            print(f"{key:16} {name:22} {number}")  # noqa: T201 - a report on a terminal
    print("arppu", answer.arppu, "average order value", answer.average_order_value)  # noqa: T201
    print("repeat rate", answer.repeat_rate)  # noqa: T201


if __name__ == "__main__":
    main()
