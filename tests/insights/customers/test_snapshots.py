"""Snapshots of customers from real events through the lake: segments, movements, one customer's value, curves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from insights.customers.forgetting import person_forget
from insights.customers.rfm import SEGMENTS, Segment
from insights.customers.services import NobodyBought, segment_table_set, snapshot_take
from insights.models import CustomerSnapshot
from insights.plain import money
from insights.selectors import (
    NoCustomer,
    NoSnapshot,
    customer_value,
    lifetime_curves,
    segment_members,
    snapshot_read,
    snapshots_list,
)
from kpis.explore.stamp import Stamp
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MARCH = datetime(2026, 3, 1, 11, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = datetime(2026, 6, 2, 10, tzinfo=UTC)
LAST = date(2026, 5, 31)


@pytest.fixture(autouse=True)
def _lake(settings: Any, tmp_path: Path) -> None:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    return


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Tenant:
    """Ann buys for 20.00 on 1 March, twice on 15 March (10.00 and 30.00), 50.00 on 29 May, and gets 5.00 back on 30
    May. Bob buys for 100.00 on 2 April. Cyd only looks. Fay buys somewhere else.
    """
    neighbour = Story(globex)
    neighbour.add("order_completed", MARCH, "fay", amount=999_00)
    neighbour.count(NOW)
    story = Story(acme)
    for days, amount in ((0, 20_00), (14, 10_00), (14, 30_00), (89, 50_00)):
        story.add("order_completed", MARCH + days * DAY + timedelta(minutes=amount % 7), "ann", amount=amount)
    story.add("order_refunded", MARCH + 90 * DAY, "ann", amount=5_00)
    story.add("order_completed", MARCH + 32 * DAY, "bob", amount=100_00)
    story.add("$pageview", MARCH + 33 * DAY, "cyd")
    story.count(NOW)
    for tenant in (acme, globex):
        lake_mark(tenant_id=tenant.pk, start=MARCH - DAY, end=NOW, reason="test", now=NOW)
        seal_tenant(tenant.pk, now=NOW, workers=1)
    return acme


def test_a_snapshot_scores_every_customer_and_nobody_elses(shop: Tenant) -> None:
    """Two customers are few: fixed edges. Ann: 2 days, 4 orders, 105.00; Bob: 59 days, 1 order, 100.00. A mean order is
    205.00 / 5 = 41.00, so money scores 3 from 82.00. Ann 5-3-3 is loyal, Bob 4-1-3 may become so.
    """
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    view = snapshot_read(tenant_id=shop.pk)
    assert (view.taken_on, view.customers, view.rule, view.currency) == (LAST, 2, "fixed", "EUR")
    assert [(s.name, s.size, s.orders, s.net) for s in view.segments if s.size] == [
        ("Loyal customers", 1, 4, 105_00),
        ("Potential loyalists", 1, 1, 100_00),
    ]
    assert view.fit_note == "2 customers, 1 with a second purchase; a fit takes at least 100 and 30"
    assert (view.prediction, view.calibration, view.compared_with) == (None, None, None)


def test_movements_between_snapshots_add_up_to_both(shop: Tenant) -> None:
    """By the end of 20 March only Ann had bought: 5 days ago, 3 orders, 60.00, at a mean of 20.00: 5-3-3."""
    snapshot_take(tenant_id=shop.pk, taken_on=date(2026, 3, 20), now=NOW)
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    view = snapshot_read(tenant_id=shop.pk)
    assert view.compared_with == date(2026, 3, 20)
    assert view.moves == {("Loyal customers", "Loyal customers"): 1, ("", "Potential loyalists"): 1}
    assert snapshots_list(tenant_id=shop.pk) == [LAST, date(2026, 3, 20)]


def test_a_snapshot_taken_again_replaces_the_one_of_the_day(shop: Tenant) -> None:
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    segment_table_set(tenant_id=shop.pk, table=[Segment("All", (1, 5), (1, 5), (1, 5))])
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    assert [(s.name, s.size) for s in snapshot_read(tenant_id=shop.pk).segments] == [("All", 2)]
    assert segment_members(tenant_id=shop.pk, name="All") == (LAST, BitMap([1, 2]))
    segment_table_set(tenant_id=shop.pk, table=[])
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    assert [s.name for s in snapshot_read(tenant_id=shop.pk).segments] == [segment.name for segment in SEGMENTS]


def test_a_snapshot_tells_what_it_was_made_from(shop: Tenant, globex: Tenant) -> None:
    """Of one that did not keep it, the calendar knows zone and range; by which rule and by what nobody knows."""
    snapshot_take(tenant_id=globex.pk, taken_on=LAST, now=NOW)
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    stamp = snapshot_read(tenant_id=shop.pk).stamp
    until = datetime(2026, 5, 31, 22, tzinfo=UTC)
    assert stamp == Stamp(
        timezone="Europe/Paris",
        start=datetime(2026, 2, 28, 23, tzinfo=UTC),
        end=until,
        filters=(),
        include=(),
        definition_version=stamp.definition_version,
        data_through=until,
        is_complete=True,
        computed_at=NOW,
        executor="duckdb",
    )
    with tenant_context(shop.pk):
        CustomerSnapshot.objects.update(starts_at=None, zone="", definition_version="", executor="")
    assert snapshot_read(tenant_id=shop.pk).stamp == replace(stamp, definition_version="", executor="")
    assert snapshot_read(tenant_id=globex.pk).stamp.definition_version == stamp.definition_version


def test_another_table_of_segments_is_another_version(shop: Tenant) -> None:
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    snapshot_take(tenant_id=shop.pk, taken_on=date(2026, 3, 20), now=NOW)
    before, earlier = (
        snapshot_read(tenant_id=shop.pk, taken_on=day).stamp.definition_version for day in (LAST, date(2026, 3, 20))
    )
    segment_table_set(tenant_id=shop.pk, table=[Segment("All", (1, 5), (1, 5), (1, 5))])
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    assert (earlier == before, snapshot_read(tenant_id=shop.pk).stamp.definition_version == before) == (True, False)


def test_one_customer_is_worth_what_they_bought_less_what_they_got_back(shop: Tenant, globex: Tenant) -> None:
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    ann = customer_value(tenant_id=shop.pk, subject=1, now=NOW)
    assert (ann.purchases, ann.orders, ann.gross, ann.refunds, ann.net) == (3, 4, 110_00, 5_00, 105_00)
    assert (ann.first_purchase_on, ann.last_purchase_on) == (date(2026, 3, 1), date(2026, 5, 29))
    assert (ann.scores, ann.segment) == ((5, 3, 3), "Loyal customers")
    assert (ann.alive, ann.expected_value) == (None, None)
    cyd = customer_value(tenant_id=shop.pk, subject=3, now=NOW)
    assert (cyd.net, cyd.segment, cyd.note) == (0, None, "never bought anything")
    with pytest.raises(NoCustomer):
        customer_value(tenant_id=shop.pk, subject=999, now=NOW)
    with pytest.raises(NoSnapshot, match=r"manage\.py customers"):
        snapshot_read(tenant_id=globex.pk)


def test_cohorts_bring_what_their_people_spent_and_open_months_are_left_out(shop: Tenant) -> None:
    """March: Ann 60.00, then nothing in April, 45.00 in May; June runs. April: Bob 100.00. Means: age 0 is 160/2."""
    found = lifetime_curves(tenant_id=shop.pk, unit="month", units=3, now=NOW)
    assert [(cohort.start, cohort.size, cohort.net) for cohort in found.cohorts] == [
        (date(2026, 3, 1), 1, (60_00, 60_00, 105_00, None)),
        (date(2026, 4, 1), 1, (100_00, 100_00, None)),
    ]
    assert found.means == (80_00.0, 80_00.0, 105_00.0, None)


def test_an_erased_person_is_in_no_segment_any_more(shop: Tenant) -> None:
    snapshot_take(tenant_id=shop.pk, taken_on=LAST, now=NOW)
    person_forget(tenant_id=shop.pk, people=[1])
    assert segment_members(tenant_id=shop.pk, name="Loyal customers") == (LAST, BitMap())


def test_a_day_before_any_sale_has_no_customers(shop: Tenant) -> None:
    with pytest.raises(NobodyBought, match="2026-02-01"):
        snapshot_take(tenant_id=shop.pk, taken_on=date(2026, 2, 1), now=NOW)


def test_money_is_written_in_the_digits_of_its_currency() -> None:
    assert (money(1234.5, "EUR"), money(1234, "JPY"), money(1234, "KWD"), money(None, "EUR")) == (
        "12.35", "1234", "1.234", None,
    )  # fmt: skip
    assert Decimal(money(-5, "EUR") or "") == Decimal("-0.05")
