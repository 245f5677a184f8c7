"""The whole real file of a real shop: every number equal, to the penny, to what DuckDB and Python make of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from analytics.access.services import api_key_create, tenant_create
from analytics.lake.sealing import seal_tenant
from analytics.tenancy import tenant_by_slug, tenant_context
from insights.customers.services import snapshot_take
from insights.selectors import lifetime_curves, snapshot_read
from tests.api import Caller
from tests.conftest import _truncate_as_owner
from tests.real.shop import (
    LAST,
    LONDON,
    NOW,
    Shop,
    bought,
    fingerprint,
    imported,
    kpi,
    load_expected,
    pence,
    scores,
    segment,
)

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.fixture(scope="module")
def shop(shared_dir: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Shop]:
    """Imported twice and sealed for all tests of this module, beside a neighbour who sells nothing."""
    file = shared_dir / "data" / "online_retail" / "online_retail.csv.gz"
    if not file.exists():
        pytest.skip(f"no file {file}")
    with django_db_blocker.unblock():
        tenant_create(slug="neighbour", name="Neighbour", zone="Asia/Kathmandu", base_currency="NPR")
        try:
            first, after_first = imported(file), fingerprint()
            second, after_second = imported(file), fingerprint()
            seal_tenant(tenant_by_slug("shop").id, now=NOW)
            yield Shop(file, (first, second), (after_first, after_second), load_expected().expected(file))
        finally:
            _truncate_as_owner(None)  # type: ignore[arg-type]


def test_every_line_is_one_event_and_every_order_one_more(shop: Shop) -> None:
    with tenant_context(tenant_by_slug("shop").id), connection.cursor() as cursor:
        cursor.execute("SELECT name, count(*) FROM bw_event GROUP BY name")
        stored = dict(cursor.fetchall())
        cursor.execute("SELECT count(*) FROM bw_quarantine")
        assert cursor.fetchone() == (0,)
    orders = {"order_completed": shop.expected.orders, "order_refunded": shop.expected.refunds_count}
    assert stored == {**shop.expected.names, **orders}
    assert sum(shop.expected.names.values()) == 541_909


def test_every_line_of_an_order_points_to_it_and_no_other_line_does(shop: Shop) -> None:
    with tenant_context(tenant_by_slug("shop").id), connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE p.event_id IS NULL) FROM bw_event l"
            " LEFT JOIN bw_event p ON p.event_id = l.parent_id WHERE l.parent_id IS NOT NULL"
        )
        assert cursor.fetchone() == (0,)
        cursor.execute(
            "SELECT count(*) FROM (SELECT p.amount, sum(l.amount) AS lines FROM bw_event p"
            " JOIN bw_event l ON l.parent_id = p.event_id GROUP BY p.event_id, p.amount) o WHERE amount <> lines"
        )
        # Four lines are worth a tenth of a penny; each is rounded alone to nothing, and in its order too.
        assert cursor.fetchone() == (0,)


def test_the_whole_year_is_equal_to_the_penny(shop: Shop) -> None:
    expected = shop.expected
    found = kpi(
        "orders.count", "orders.refunded", "revenue.gross", "revenue.refunds", "revenue.net", "revenue.known",
        "users.paying", "revenue.arppu", "revenue.aov", "orders.repeat_rate", "orders.repeat_customers",
    )  # fmt: skip
    assert found.pop("orders.repeat_rate") == pytest.approx(float(expected.repeat_rate), abs=1e-12)
    arppu, aov = Decimal(found.pop("revenue.arppu")), Decimal(found.pop("revenue.aov"))
    assert (pence(arppu), pence(aov)) == (pence(expected.arppu), pence(expected.average_order_value))
    assert found == {
        "orders.count": expected.orders,
        "orders.refunded": expected.refunds_count,
        "revenue.gross": pence(expected.gross),
        "revenue.refunds": pence(expected.refunds),
        "revenue.net": pence(expected.net),
        "revenue.known": pence(expected.known_gross),
        "users.paying": expected.payers,
        "orders.repeat_customers": expected.repeaters,
    }


def test_the_published_totals_of_the_file_are_these(shop: Shop) -> None:
    """Worked out a second time by hand in plain Python with exact decimals."""
    expected = shop.expected
    assert (expected.orders, expected.refunds_count, expected.payers, expected.repeaters) == (
        19_967,
        3_836,
        4_338,
        2_845,
    )
    assert (expected.gross, expected.refunds) == (Decimal("10655622.48"), Decimal("896812.49"))
    assert expected.known_gross == Decimal("8911407.90")


MONTHLY = {
    "orders.count": "orders",
    "revenue.gross": "gross",
    "revenue.refunds": "refunds",
    "revenue.net": "net",
    "users.paying": "payers",
    "customers.new": "new_buyers",
    "customers.returning": "returning_buyers",
    "revenue.known": "known_gross",
}


@pytest.mark.parametrize(("metric", "column"), MONTHLY.items(), ids=list(MONTHLY))
def test_every_month_is_equal_to_the_penny(shop: Shop, metric: str, column: str) -> None:
    points = kpi(metric, granularity="month", start="2010-12-01", end="2012-01-01")[metric]["points"]
    # No month of 2010 to 2012 begins in the repeated or the skipped hour, so its first instant names it.
    starts = [datetime.fromisoformat(point["start"]).astimezone(LONDON) for point in points]
    found = {f"{start:%Y-%m}": point["value"] for start, point in zip(starts, points, strict=True)}
    assert all((start.day, start.hour) == (1, 0) for start in starts)
    wanted = {month: getattr(row, column) for month, row in shop.expected.months.items()}
    assert found == {month: pence(value) if isinstance(value, Decimal) else value for month, value in wanted.items()}


@pytest.mark.parametrize(("metric", "column"), [("revenue.gross", "gross"), ("orders.count", "orders")])
def test_every_country_is_equal_to_the_penny_under_its_name_in_the_file(shop: Shop, metric: str, column: str) -> None:
    parts = kpi(metric, by="country", limit=100)[metric]["series"]
    wanted = {name: getattr(row, column) for name, row in shop.expected.countries.items()}
    assert {part["key"]: part["total"] for part in parts} == {
        name: pence(value) if isinstance(value, Decimal) else value for name, value in wanted.items()
    }


def test_the_top_products_are_equal_to_the_penny(shop: Shop) -> None:
    parts = kpi("items.revenue", by="object_id", limit=50)["items.revenue"]["series"]
    found = [(part["key"], part["total"]) for part in parts if part["key"] in shop.expected.products]
    wanted = [(code, pence(product.revenue)) for code, product in shop.expected.products.items()][:50]
    assert found[:50] == wanted


def test_a_neighbour_sees_nothing_of_it(shop: Shop) -> None:
    found = kpi("orders.count", "revenue.gross", "users.paying", tenant="neighbour")
    # A tenant that never had an event has no numbers yet, not zeros.
    assert found == dict.fromkeys(("orders.count", "revenue.gross", "users.paying"))


def test_imported_twice_nothing_changes(shop: Shop) -> None:
    total = 541_909 + shop.expected.orders + shop.expected.refunds_count
    assert f"stored {total:,}, duplicate 0, conflict 0, quarantined 0, rejected 0" in shop.said[0]
    assert f"stored 0, duplicate {total:,}, conflict 0, quarantined 0, rejected 0" in shop.said[1]
    assert shop.left[0] == shop.left[1]


# --- Its customers --------------------------------------------------------------------------------------------------

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
def answers(shop: Shop) -> duckdb.DuckDBPyConnection:
    """The file's orders, worked out without the product."""
    module = load_expected()
    database = duckdb.connect()
    database.execute(module.LINES, {"file": str(shop.file)})
    database.execute(module.ORDERS)
    return database


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
    for cohort, age, net in answers.execute(CURVES).fetchall():
        by_cohort.setdefault(cohort, {})[age] = net
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
def api(shop: Shop) -> Caller:
    _, token = api_key_create(tenant_id=tenant_by_slug("shop").id, kind="sk", name="test", scopes=())
    return Caller(token)


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


def test_units_at_each_price_of_a_product_are_those_of_the_file(api: Caller, shop: Shop) -> None:
    """Price points of the white hanging heart, the line that was sold most often."""
    with duckdb.connect() as engine:
        engine.execute(f"create table f as select * from read_csv('{shop.file}', all_varchar = true, header = true)")
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
