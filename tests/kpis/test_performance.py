"""How fast requests are: totals, the slowest routes, their trend, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.models import Tenant
from analytics.tenancy import tenant_by_slug
from kpis.parameters import ask_of
from kpis.performance import performance
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
HOUR = timedelta(hours=1)
NOW = MONDAY + timedelta(days=2)


def requests(story: Story, at: datetime, path: str, count: int, slow: int, *, status: int = 200) -> None:
    """`count` requests of 100 ms, `slow` of them of 1,000 ms."""
    for number in range(count):
        story.add(
            "request_completed",
            at + timedelta(seconds=number),
            duration_ms=1000.0 if number < slow else 100.0,
            properties={"path": path, "status": status},
        )


@pytest.fixture
def site(acme: Tenant, globex: Tenant) -> Tenant:
    """On 1 March /pay is quick; on 2 March every other request to it is slow. /rare is slow, but seen 5 times only."""
    neighbour = Story(globex)
    requests(neighbour, MONDAY + HOUR, "/secret", 30, 30)
    neighbour.count(NOW)
    story = Story(acme)
    requests(story, MONDAY - 10 * HOUR, "/pay", 20, 0)
    requests(story, MONDAY + HOUR, "/pay", 40, 20)
    requests(story, MONDAY + 2 * HOUR, "/home", 55, 0)
    requests(story, MONDAY + 3 * HOUR, "/rare", 5, 5, status=503)
    story.count(NOW)
    return acme


def asked(**parameters: Any) -> dict[str, Any]:
    tenant = tenant_by_slug("acme")
    words = {"from": "2026-03-02", "to": "2026-03-03", **parameters}
    ask = ask_of(words, tenant, NOW)
    return performance(tenant, ask)


def test_totals_are_of_all_requests_of_the_range(site: Tenant) -> None:
    """100 requests, 25 of them of a second: the mean is 325 ms, the median 100, the 95th percentile 1,000; 5 failed."""
    found = asked()
    assert (found["requests"], found["mean"], found["error_rate"]) == (100, 325.0, 0.05)
    assert found["throughput"] == pytest.approx(100 / 1440)
    assert (found["p50"], found["p95"]) == (pytest.approx(100, rel=0.01), pytest.approx(1000, rel=0.01))
    assert found["quantile_error"] == 0.01


def test_the_slowest_routes_come_first_with_how_they_were_before(site: Tenant) -> None:
    slow, quick = asked()["slowest"]
    assert (slow["route"], slow["requests"], slow["error_rate"]) == ("/pay", 40, 0.0)
    assert slow["p95"] == pytest.approx(1000, rel=0.01)
    assert slow["p95_before"] == pytest.approx(100, rel=0.01)
    assert slow["trend"] == pytest.approx(9, rel=0.05)
    assert (quick["route"], quick["requests"], quick["p95_before"], quick["trend"]) == ("/home", 55, None, None)


def test_as_many_routes_as_asked_for(site: Tenant) -> None:
    assert [route["route"] for route in asked(limit="1")["slowest"]] == ["/pay"]
