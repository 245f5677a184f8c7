"""Customers of the real shop: RFM and cohorts equal to what plain DuckDB and Python make of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from pytest_django.plugin import DjangoDbBlocker

from analytics.access.services import api_key_create
from analytics.lake.sealing import seal_tenant
from analytics.periods import to_micros
from analytics.tenancy import tenant_by_slug
from insights.customers.rfm import SEGMENTS
from insights.customers.services import snapshot_take
from insights.selectors import lifetime_curves, snapshot_read
from tests.api import Caller
from tests.conftest import _truncate_as_owner
from tests.real.test_online_retail import imported, load_expected

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

LAST = date(2011, 12, 9)
NOW = datetime(2011, 12, 10, 9, tzinfo=ZoneInfo("Europe/London"))

CUSTOMERS = """
select (date '2011-12-09' - max(ordered_at::date) filter (not is_refund))::int as recency,
       count(*) filter (not is_refund) as orders,
       (100 * sum(amount))::bigint as pence
from orders where customer is not null group by customer having count(*) filter (not is_refund) > 0
"""

CURVES = """
with firsts as (select customer, min(date_trunc('month', ordered_at)) as cohort from orders
                where not is_refund and customer is not null group by customer)
select cohort::date, datediff('month', cohort, date_trunc('month', o.ordered_at)) as age, (100 * sum(o.amount))::bigint
from orders o join firsts using (customer) where date_trunc('month', o.ordered_at) >= cohort group by all
"""

SIZES = """
select cohort::date, count(*) from (select min(date_trunc('month', ordered_at)) as cohort from orders
 where not is_refund and customer is not null group by customer) group by cohort
"""


@pytest.fixture(scope="module")
def shop(shared_dir: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """Imported and sealed once."""
    file = shared_dir / "data" / "online_retail" / "online_retail.csv.gz"
    if not file.exists():
        pytest.skip(f"no file {file}")
    with django_db_blocker.unblock():
        try:
            imported(file)
            seal_tenant(tenant_by_slug("shop").id, now=NOW)
            yield file
        finally:
            _truncate_as_owner(None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def answers(shop: Path) -> duckdb.DuckDBPyConnection:
    """The file's orders, worked out without the product."""
    module = load_expected()
    database = duckdb.connect()
    database.execute(module.LINES, {"file": str(shop)})
    database.execute(module.ORDERS)
    return database


def scores(values: list[int], *, unit: int = 1, reverse: bool = False) -> list[int]:
    """One by one: quantiles between order statistics (type 7), one unit added, scores count the edges not above."""
    ordered = sorted(values)
    edges = []
    for part in (1, 2, 3, 4):
        place, rest = divmod((len(ordered) - 1) * part, 5)
        above = ordered[min(place + 1, len(ordered) - 1)]
        edges.append(ordered[place] + (above - ordered[place]) * rest / 5 + unit)
    found = [1 + sum(value >= edge for edge in edges) for value in values]
    return [6 - each for each in found] if reverse else found


def segment(recency: int, frequency: int, monetary: int) -> str:
    for each in SEGMENTS:
        ranges = ((recency, each.recency), (frequency, each.frequency), (monetary, each.monetary))
        if all(low <= value <= high for value, (low, high) in ranges):
            return each.name
    return "Others"


def test_every_customer_scores_as_the_file_says(answers: duckdb.DuckDBPyConnection) -> None:
    rows = answers.execute(CUSTOMERS).fetchall()
    recency = scores([row[0] for row in rows], reverse=True)
    frequency = scores([row[1] for row in rows])
    monetary = scores([row[2] for row in rows], unit=100)
    expected: Counter[str] = Counter()
    worth: Counter[str] = Counter()
    for row, *three in zip(rows, recency, frequency, monetary, strict=True):
        name = segment(*three)
        expected[name] += 1
        worth[name] += row[2]
    tenant = tenant_by_slug("shop")
    snapshot_take(tenant_id=tenant.id, taken_on=LAST, now=NOW)
    view = snapshot_read(tenant_id=tenant.id)
    assert (view.customers, view.rule, view.currency) == (4338, "quantile_edges", "GBP")
    assert {each.name: (each.size, each.net) for each in view.segments if each.size} == {
        name: (size, worth[name]) for name, size in expected.items()
    }
    # Of this shop's customers the model finds none who leave for good (a is 0), as others who fitted it found.
    assert view.fit_note == (
        "as far as these purchases tell, nobody leaves for good: intervals hold chance alone, and not the doubt about"
        " the model"
    )
    assert view.calibration is not None


def test_every_cohort_brought_what_the_file_says(answers: duckdb.DuckDBPyConnection) -> None:
    """The last month is not over in the file, and so in no curve."""
    sizes = dict(answers.execute(SIZES).fetchall())
    by_cohort: dict[date, dict[int, int]] = {}
    for cohort, age, pence in answers.execute(CURVES).fetchall():
        by_cohort.setdefault(cohort, {})[age] = pence
    found = lifetime_curves(tenant_id=tenant_by_slug("shop").id, unit="month", units=12, now=NOW)
    assert [(row.start, row.size) for row in found.cohorts] == sorted(sizes.items())
    for row in found.cohorts:
        total, expected = 0, []
        for age in range(len(row.net)):
            total += by_cohort[row.start].get(age, 0)
            is_over = (row.start.year * 12 + row.start.month + age) < 2011 * 12 + 12
            expected.append(total if is_over else None)
        assert list(row.net) == expected


# --- Over the API -----------------------------------------------------------------------------------------------------


@pytest.fixture
def api(shop: Path) -> Caller:
    _, token = api_key_create(tenant_id=tenant_by_slug("shop").id, kind="sk", name="test", scopes=())
    return Caller(token)


def bought(answers: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[int, int]]]:
    """By customer: instants of orders in microseconds, and their month (0 is December 2010), ascending."""
    found: dict[str, list[tuple[int, int]]] = {}
    for customer, at in answers.execute(
        "select customer, ordered_at from orders where not is_refund and customer is not null"
    ).fetchall():
        local = at.replace(tzinfo=ZoneInfo("Europe/London"))
        found.setdefault(customer, []).append((to_micros(local), local.year * 12 + local.month - 2011 * 12))
    return {customer: sorted(orders) for customer, orders in found.items()}


def test_order_depth_is_that_of_the_file(api: Caller, answers: duckdb.DuckDBPyConnection) -> None:
    """First, second, third, fifth and tenth order within a year of the first."""
    asked = {"steps": [{"events": ["order_completed"]}] * 10, "from": "2010-12-01", "to": "2011-12-10",
             "window": "365d", "entry": "first", "curve": False}  # fmt: skip
    found = api.post("explore/funnel/", asked).json()
    year = 365 * 86_400_000_000
    counts = [sum(at <= orders[0][0] + year for at, _ in orders) for orders in bought(answers).values()]
    depths = (1, 2, 3, 5, 10)
    assert [found["steps"][depth - 1]["reached"] for depth in depths] == [
        sum(count >= depth for count in counts) for depth in depths
    ]


def test_cohorts_by_the_month_of_the_first_order_are_those_of_the_file(
    api: Caller, answers: duckdb.DuckDBPyConnection
) -> None:
    orders = {"events": ["order_completed"]}
    asked = {"unit": "month", "periods": 13, "from": "2010-12-01", "first": orders, "returning": orders}
    found = api.post("explore/retention/", asked).json()
    cells: Counter[tuple[int, int]] = Counter()
    for one in bought(answers).values():
        cohort = one[0][1]
        for month in {month for _, month in one}:
            cells[cohort, month - cohort] += 1
    told = {
        (row, cell["period"]): cell["returned"]
        for row, cohort in enumerate(found["rows"])
        for cell in cohort["cells"]
        if cell["returned"] is not None
    }
    assert told
    assert all(cells[place] == returned for place, returned in told.items())
    # What is not told is the last month, which is not over in the file.
    assert all(row + period == 12 for row, period in cells.keys() - told.keys())


def test_who_moved_between_two_snapshots_is_who_moved_in_the_file(
    api: Caller, answers: duckdb.DuckDBPyConnection
) -> None:
    tenant = tenant_by_slug("shop")
    days = (date(2011, 9, 30), LAST)
    segments = []
    for day in days:
        snapshot_take(tenant_id=tenant.id, taken_on=day, now=NOW)
        rows = answers.execute(
            f"""select customer, (date '{day}' - max(ordered_at::date) filter (not is_refund))::int,
                       count(*) filter (not is_refund), (100 * sum(amount))::bigint
                  from orders where customer is not null and ordered_at::date <= date '{day}'
                 group by customer having count(*) filter (not is_refund) > 0"""
        ).fetchall()
        three = zip(
            scores([row[1] for row in rows], reverse=True),
            scores([row[2] for row in rows]),
            scores([row[3] for row in rows], unit=100),
            strict=True,
        )
        segments.append({row[0]: segment(*found) for row, found in zip(rows, three, strict=True)})
    before, after = segments
    moves = Counter((before.get(customer, ""), after.get(customer, "")) for customer in before.keys() | after.keys())
    found = api.get("customers/segments/", taken_on=LAST.isoformat(), compare=days[0].isoformat()).json()
    assert {(move["from"] or "", move["to"] or ""): move["people"] for move in found["moves"]} == dict(moves)


def test_units_at_each_price_of_a_product_are_those_of_the_file(api: Caller, shop: Path) -> None:
    """Price points of the white hanging heart, the line that was sold most often."""
    with duckdb.connect() as engine:
        engine.execute(f"create table f as select * from read_csv('{shop}', all_varchar = true, header = true)")
        rows = engine.execute(
            """select UnitPrice::decimal(18, 4), sum(Quantity::int), count(*) from f
                where StockCode = '85123A' and InvoiceNo not like 'C%' and UnitPrice::decimal(18, 4) <> 0 group by 1"""
        ).fetchall()
    asked = {"from_": "2010-12-01", "to": "2011-12-10", "by": "properties.unit_price", "object_id": "85123A",
             "limit": 100, "granularity": "month"}  # fmt: skip
    for metric, column in (("items.quantity", 1), ("items.sold", 2)):
        found = api.get(f"kpis/{metric}/series/", **asked).json()
        told = {float(each["key"]): float(each["total"]) for each in found["series"]}
        assert told == {float(row[0]): float(row[column]) for row in rows}
