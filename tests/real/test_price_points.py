"""Price points of a real product: units, sales and lines at each price, equal to what DuckDB makes of the file."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
import pytest
from django.core.management import call_command

from analytics.access.services import api_key_create
from analytics.tenancy import tenant_by_slug
from tests.api import Caller

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PRODUCT = """
select product_id from f where quantity::double > 0 group by 1
having count(distinct round(sales_value::decimal(18, 4) / quantity::double, 6)) between 6 and 60
order by count(*) desc, 1 limit 1
"""
POINTS = """
select round(sales_value::decimal(18, 4) / quantity::double, 6), sum(quantity::double),
       sum(sales_value::decimal(18, 4)), count(*)
  from f where product_id = '{product}' and quantity::double > 0 group by 1
"""


def test_units_sales_and_lines_at_each_price(shared_dir: Path, tmp_path: Path) -> None:
    """The lines of the product sold most often among those with some prices, by what was paid for one piece."""
    file = shared_dir / "data" / "completejourney" / "transactions_sample.csv.gz"
    if not file.exists():
        pytest.skip(f"no file {file}")
    part = tmp_path / "lines.csv"
    with duckdb.connect() as engine:
        engine.execute(f"create table f as select * from read_csv('{file}', all_varchar = true, header = true)")
        (product,) = engine.execute(PRODUCT).fetchall()[0]
        rows = engine.execute(POINTS.format(product=product)).fetchall()
        engine.execute(f"copy (select * from f where product_id = '{product}') to '{part}' (header)")
    assert len(rows) > 5
    mapping, out = Path("completejourney_transactions"), io.StringIO()
    call_command(
        "import_events", str(part), tenant="grocer", mapping=mapping, create_tenant=True, stdout=out, stderr=out
    )
    _, token = api_key_create(tenant_id=tenant_by_slug("grocer").id, kind="sk", name="test", scopes=())
    asked = {"from_": "2017-01-01", "to": "2018-01-02", "granularity": "month", "by": "properties.price",
             "object_id": product, "limit": 100}  # fmt: skip
    for metric, column in (("items.quantity", 1), ("items.revenue", 2), ("items.sold", 3)):
        answer = Caller(token).get(f"kpis/{metric}/series/", **asked)
        assert answer.status_code == 200, answer.content
        found = {float(each["key"]): float(each["total"]) for each in answer.json()["series"]}
        assert found == pytest.approx({float(row[0]): float(row[column]) for row in rows}), metric
