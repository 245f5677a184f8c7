"""`manage.py kpi`: the interface that automation holds on to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from analytics.models import Tenant
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Tenant:
    for tenant, amount in ((globex, 99_900), (acme, 1005)):
        story = Story(tenant)
        story.add("order_completed", MONDAY, "ann", amount=amount, country="FR")
        story.add("order_completed", MONDAY + timedelta(days=1), "bob", amount=1000, country="DE")
        story.add("$pageview", MONDAY + timedelta(days=1), "cyd")
        story.count(timezone.now())
    return acme


def kpi(*arguments: str) -> str:
    out = StringIO()
    call_command("kpi", *arguments, stdout=out)
    return out.getvalue()


RANGE = ("--tenant", "acme", "--from", "2026-03-02", "--to", "2026-03-04")


def test_json_alone_is_a_number_for_each_metric_and_money_is_text(shop: Tenant) -> None:
    answer = json.loads(kpi("revenue.gross", "orders.count", "users.payer_rate", "otp.failure_rate", *RANGE, "--json"))
    assert answer == {
        "revenue.gross": "20.05", "orders.count": 2, "users.payer_rate": pytest.approx(2 / 3), "otp.failure_rate": None,
    }  # fmt: skip


def test_the_end_is_exclusive_and_days_are_the_tenants(shop: Tenant) -> None:
    answer = kpi("orders.count", "--tenant", "acme", "--from", "2026-03-02", "--to", "2026-03-03", "--json")
    assert json.loads(answer) == {"orders.count": 1}


def test_points_and_values_of_a_dimension_come_with_their_frame(shop: Tenant) -> None:
    printed = kpi("revenue.gross", *RANGE, "--by", "country", "--granularity", "day", "--json")
    answer: dict[str, Any] = json.loads(printed)
    series = answer["revenue.gross"]
    assert [(part["key"], part["total"]) for part in series["series"]] == [("FR", "10.05"), ("DE", "10.00")]
    assert [point["value"] for point in series["points"]] == ["10.05", "10.00"]
    assert {"timezone", "from", "to", "unit", "executor", "definition_version", "data_through"} <= set(series)


def test_people_read_a_table(shop: Tenant) -> None:
    lines = kpi("revenue.gross", "orders.count", *RANGE).splitlines()
    assert [line.split() for line in lines] == [["revenue.gross", "20.05", "EUR"], ["orders.count", "2"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("revenue.gros", *RANGE), "did you mean"),
        (("orders.count", "--tenant", "nobody", "--from", "2026-03-02", "--to", "2026-03-04"), "no tenant 'nobody'"),
        (("orders.count", "--tenant", "acme", "--from", "March", "--to", "2026-03-04"), "'March' is no date"),
        (("orders.count", "--tenant", "acme", "--from", "2026-03-04", "--to", "2026-03-04"), "the range is empty"),
        (
            ("orders.count", "--tenant", "acme", "--from", "2026-03-05", "--to", "2026-03-04"),
            "--to 2026-03-04 must be later than --from 2026-03-05",
        ),
        (("orders.count", *RANGE, "--by", "shoe_size"), "no dimension"),
    ],
)
def test_mistakes_are_named(shop: Tenant, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        kpi(*arguments)
