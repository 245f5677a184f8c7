"""The list of all metrics under a filter: the numbers of each metric alone, in a few readings together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from analytics.models import Tenant
from tests.api import Caller, caller
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def api(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Caller:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    for tenant, price in ((acme, 1000), (globex, 99_900)):
        story = Story(tenant, currency=tenant.base_currency)
        for number, country in enumerate(("FR", "DE", "FR", "US")):
            at = AT + timedelta(days=number)
            who = f"person {number}"
            story.add("order_completed", at, who, amount=price + number, country=country, channel="ads", tier="gold")
            story.add("$pageview", at, who, country=country, channel="mail")
        story.count(NOW)
    return caller(acme)


@pytest.mark.parametrize("query", ["country=FR", "country=FR,DE&channel=ads", "tier=gold", "action=never"])
def test_each_number_is_that_of_the_metric_alone(api: Caller, query: str) -> None:
    settings = f"period=2026-03-01..2026-03-08&{query}"
    listed = api.send("GET", f"kpis/?{settings}").json()["results"]
    asked = [row for row in listed if row["value"] not in (None, 0, "0.00")][:12] + listed[::40]

    for row in asked:
        alone = api.send("GET", f"kpis/{row['metric']}/series/?{settings}&granularity=total")
        expected = alone.json()["total"] if alone.status_code == 200 else None
        assert row["value"] == expected, row["metric"]
    assert len(listed) > 200


def test_a_filter_costs_a_few_statements_however_many_metrics_there_are(api: Caller) -> None:
    told: list[str] = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        told.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        assert api.send("GET", "kpis/?period=2026-03-01..2026-03-08&action=never").status_code == 200

    assert len(told) < 100
