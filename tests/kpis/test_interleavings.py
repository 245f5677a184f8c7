"""R3: a thousand transactions that took their marks before a roll-up and commit after it; none is skipped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from analytics.aggregates import Distinct, decode
from analytics.contracts import CapturedEvent, Grain
from analytics.models import DirtyMark, Tenant
from analytics.tenancy import tenant_context
from analytics.writer import write_batch
from kpis.models import Bucket
from kpis.rollup.check import check_tenant
from kpis.rollup.refresh import refresh_tenant
from tests.kpis.telling import event, store

ROUNDS, WRITERS = 29, 40

Writer = psycopg.Connection[Any]


@pytest.fixture
def writers(database_urls: dict[str, str]) -> Iterator[list[Writer]]:
    """Connections of role app, each with a transaction of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(psycopg.connect(database_urls["DATABASE_URL"])) for _ in range(WRITERS)]


def write(writer: Writer, told: CapturedEvent) -> None:
    """Write in a transaction that stays open."""
    writer.execute("SELECT set_config('app.tenant', %s, true)", [str(told.tenant_id)])
    write_batch(writer, [told], now=told.received_at)


def counted(tenant: Tenant) -> tuple[Counter[datetime], int]:
    """Events of each hour and different people, as the buckets have them."""
    with tenant_context(tenant.pk):
        assert not DirtyMark.objects.exists()
        hours = Bucket.objects.filter(measure="events.count", dimension="", grain=Grain.HOUR)
        days = Bucket.objects.filter(measure="users.active", dimension="", grain=Grain.DAY)
        people = Distinct()
        for n, total, state in days.values_list("n", "total", "state"):
            found = decode("distinct", n, total, None if state is None else bytes(state))
            assert isinstance(found, Distinct)
            people += found
        return Counter(dict(hours.values_list("start", "n"))), people.n


@pytest.mark.django_db(transaction=True)
def test_a_thousand_transactions_that_commit_after_the_rollup_are_all_counted(
    acme: Tenant, globex: Tenant, t0: datetime, writers: list[Writer]
) -> None:
    chance, tenants = random.Random(20261121), (acme, globex)
    expected: dict[int, Counter[datetime]] = {tenant.pk: Counter() for tenant in tenants}
    zones = {tenant.pk: ZoneInfo(tenant.zone) for tenant in tenants}
    late = skipped = 0

    def tell(name: str) -> CapturedEvent:
        minute = t0 + timedelta(minutes=chance.randrange(120))
        return event(chance.choice(tenants), "page_view", minute + timedelta(seconds=chance.randrange(60)), name)

    def commit(told: CapturedEvent) -> None:
        local = told.timestamp.astimezone(zones[told.tenant_id])  # Kathmandu's hours begin at a quarter past
        expected[told.tenant_id][local.replace(minute=0, second=0).astimezone(UTC)] += 1

    for number in range(ROUNDS):
        # The clock only goes on: hours are open in the first rounds and closed in the last, so both ways count.
        now = t0 + (timedelta(minutes=60 + 6 * number) if number < 25 else timedelta(hours=40))
        stories = [(writer, tell(f"{number}-{place}")) for place, writer in enumerate(writers)]
        for writer, told in stories:
            write(writer, told)
        for told in (tell(f"{number}-first"), tell(f"{number}-second")):
            store(told)  # later marks, committed earlier
            commit(told)
        chance.shuffle(stories)
        for part in (stories[:20], stories[20:]):
            for tenant in tenants:
                refresh_tenant(tenant.pk, now=now)
            for writer, told in part:
                if chance.random() < 0.1:
                    writer.rollback()
                else:
                    writer.commit()
                    commit(told)
                    late += 1
        for tenant in tenants:
            refresh_tenant(tenant.pk, now=now)
            hours, people = counted(tenant)
            skipped += (expected[tenant.pk] - hours).total()
            assert (hours, people) == (expected[tenant.pk], expected[tenant.pk].total()), number
    assert late >= 1000
    assert skipped == 0
    for tenant in tenants:
        assert check_tenant(tenant.pk, now=t0 + timedelta(hours=40)) == []
