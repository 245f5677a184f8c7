"""The whole real file of a real shop: every number equal to the penny to what DuckDB alone makes of the file."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from analytics.access.services import tenant_create
from analytics.tenancy import tenant_by_slug, tenant_context
from tests.conftest import _truncate_as_owner

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

YEAR = {"start": "2010-12-01", "end": "2011-12-10"}
LONDON = ZoneInfo("Europe/London")
PENNY = Decimal("0.01")


def load_expected() -> Any:
    """The independent computation, from the file beside this one."""
    path = Path(__file__).with_name("expected_online_retail.py")
    spec = importlib.util.spec_from_file_location("expected_online_retail", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Shop:
    """What the command said at the first and at the second import, what there was after each, and what is expected."""

    said: tuple[str, str]
    left: tuple[tuple[Any, ...], tuple[Any, ...]]
    expected: Any


@pytest.fixture(scope="module")
def shop(shared_dir: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Shop]:
    """Imported twice for all tests of this module, beside a neighbour who sells nothing."""
    file = shared_dir / "data" / "online_retail" / "online_retail.csv.gz"
    if not file.exists():
        pytest.skip(f"no file {file}")
    with django_db_blocker.unblock():
        tenant_create(slug="neighbour", name="Neighbour", zone="Asia/Kathmandu", base_currency="NPR")
        try:
            first, after_first = imported(file), fingerprint()
            second, after_second = imported(file), fingerprint()
            yield Shop((first, second), (after_first, after_second), load_expected().expected(file))
        finally:
            _truncate_as_owner(None)  # type: ignore[arg-type]


def imported(file: Path) -> str:
    out = io.StringIO()
    call_command("import_online_retail", str(file), tenant="shop", stdout=out, stderr=io.StringIO())
    return out.getvalue()


def kpi(*metrics: str, tenant: str = "shop", **options: Any) -> Any:
    """What `manage.py kpi … --json` prints."""
    out = io.StringIO()
    call_command("kpi", *metrics, tenant=tenant, json=True, stdout=out, **{**YEAR, **options})
    return json.loads(out.getvalue())


def pence(amount: Decimal) -> str:
    """An amount as it is shown: rounded half up to pence."""
    return str(amount.quantize(PENNY, ROUND_HALF_UP))


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


def fingerprint() -> tuple[Any, ...]:
    """All events and all buckets of the shop in a few numbers."""
    with tenant_context(tenant_by_slug("shop").id), connection.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(hashtextextended(e::text, 0)::numeric) FROM bw_event e")
        events = cursor.fetchone()
        cursor.execute("SELECT count(*), sum(n), sum(total) FROM bw_bucket")
        return (*events, *cursor.fetchone())
