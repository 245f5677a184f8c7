"""What a process watches is shared among tenants: one that asks without end leaves room for its neighbours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from analytics.contracts import TenantInfo
from reports.live.answers import Question
from reports.live.feed import FeedKey
from reports.live.hub import Hub
from reports.live.protocol import QUESTIONS_OF_PROCESS, QUESTIONS_OF_TENANT, Complaint


def tenant(number: int) -> TenantInfo:
    return TenantInfo(id=number, slug=f"t{number}", zone="UTC", base_currency="EUR", week_start=0)


def key(number: int, country: int) -> FeedKey:
    return FeedKey(tenant(number), "viewer", Question.of("", f"period=today&country=C{country}"))


def test_one_tenant_cannot_use_up_the_questions_of_a_process() -> None:
    hub = Hub(redis_url="redis://nowhere", clock=lambda: datetime(2026, 3, 2, tzinfo=UTC))
    for country in range(QUESTIONS_OF_TENANT):
        hub._feed(key(1, country))
    with pytest.raises(Complaint, match="Too many different questions"):
        hub._feed(key(1, QUESTIONS_OF_TENANT))
    assert hub._feed(key(1, 0)) is hub._feed(key(1, 0)), "what is watched already goes on"
    assert hub._feed(key(2, 0)).key == key(2, 0)
    assert 2 * QUESTIONS_OF_TENANT < QUESTIONS_OF_PROCESS
