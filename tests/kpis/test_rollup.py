"""Roll-ups: what is counted, in which bucket, and that only what changed is counted again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics.aggregates import Distinct, decode
from analytics.contracts import Grain
from analytics.models import DirtyMark, Tenant
from analytics.tenancy import tenant_context
from kpis.models import Bucket
from kpis.rollup.refresh import close_hours, refresh_tenant
from tests.kpis.telling import event, store

pytestmark = pytest.mark.django_db
LATER = timedelta(days=10)


def rows(
    tenant: Tenant, measure: str, grain: Grain, dimension: str = ""
) -> list[tuple[datetime, str, int, Decimal | None]]:
    with tenant_context(tenant.pk):
        found = Bucket.objects.filter(measure=measure, grain=grain, dimension=dimension).order_by("start", "key")
        return list(found.values_list("start", "key", "n", "total"))


def all_rows(tenant: Tenant) -> list[tuple[object, ...]]:
    with tenant_context(tenant.pk):
        found = Bucket.objects.order_by("measure", "dimension", "grain", "start", "key")
        values = found.values_list("measure", "dimension", "grain", "start", "key", "n", "total", "state")
        return [(*row[:-1], None if row[-1] is None else bytes(row[-1])) for row in values]


def members(tenant: Tenant, measure: str, grain: Grain) -> list[tuple[datetime, int]]:
    with tenant_context(tenant.pk):
        found = Bucket.objects.filter(measure=measure, grain=grain, dimension="").order_by("start")
        states = [(b.start, decode("distinct", b.n, b.total, bytes(b.state or b""))) for b in found]
    return [(start, len(state.ids)) for start, state in states if isinstance(state, Distinct)]


def test_orders_are_counted_by_local_hour_and_day_of_their_own_tenant_only(
    acme: Tenant, globex: Tenant, t0: datetime
) -> None:
    # 23:30 UTC on Monday is 00:30 on Tuesday in Paris and 05:15 on Tuesday in Kathmandu.
    late = t0 + timedelta(hours=23, minutes=30)
    store(
        event(acme, "order_completed", t0 + timedelta(hours=9), "ann", amount=1000, currency="EUR", country="FR"),
        event(acme, "order_completed", late, "bob", amount=250, currency="EUR"),
    )
    store(event(globex, "order_completed", late, "ann", amount=77, currency="NPR"))
    for tenant in (acme, globex):
        refresh_tenant(tenant.pk, now=t0 + LATER)
    monday = datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert rows(acme, "revenue.gross", Grain.DAY) == [
        (monday, "", 1, Decimal(1000)),
        (monday + timedelta(days=1), "", 1, Decimal(250)),
    ]
    assert rows(acme, "revenue.gross", Grain.HOUR) == [
        (t0 + timedelta(hours=9), "", 1, Decimal(1000)),
        (t0 + timedelta(hours=23), "", 1, Decimal(250)),
    ]
    assert rows(acme, "orders.count", Grain.DAY, "country") == [
        (monday, "FR", 1, None),
        (monday + timedelta(days=1), "__none__", 1, None),
    ]
    assert rows(globex, "revenue.gross", Grain.DAY) == [(t0 + timedelta(hours=18, minutes=15), "", 1, Decimal(77))]
    assert rows(globex, "revenue.gross", Grain.HOUR) == [(t0 + timedelta(hours=23, minutes=15), "", 1, Decimal(77))]


def test_an_open_hour_is_kept_as_minutes_and_a_closed_one_is_not(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    at = t0 + timedelta(hours=10, minutes=7)
    store(
        event(acme, "page_view", at, "ann", country="FR"),
        event(acme, "page_view", at + timedelta(minutes=5), "bob", country="DE"),
    )
    refresh_tenant(acme.pk, now=at + timedelta(minutes=6))
    assert rows(acme, "pageviews.count", Grain.MINUTE, "country") == [
        (at, "FR", 1, None),
        (at + timedelta(minutes=5), "DE", 1, None),
    ]
    assert rows(acme, "pageviews.count", Grain.HOUR, "country") == [
        (t0 + timedelta(hours=10), "DE", 1, None),
        (t0 + timedelta(hours=10), "FR", 1, None),
    ]
    hours = rows(acme, "pageviews.count", Grain.HOUR)
    close_hours(acme.pk, now=t0 + timedelta(hours=12))
    assert rows(acme, "pageviews.count", Grain.MINUTE, "country") == []
    assert len(rows(acme, "pageviews.count", Grain.MINUTE)) == 2  # totals stay for "until 10:40"
    close_hours(acme.pk, now=t0 + timedelta(days=3))
    assert rows(acme, "pageviews.count", Grain.MINUTE) == []
    assert rows(acme, "pageviews.count", Grain.HOUR) == hours
    assert all_rows(globex) == []


def test_a_late_event_changes_its_own_buckets_and_leaves_the_marks_empty(
    acme: Tenant, globex: Tenant, t0: datetime
) -> None:
    store(*(event(acme, "page_view", t0 + timedelta(hours=h), "ann") for h in (1, 30, 60)))
    refresh_tenant(acme.pk, now=t0 + LATER)
    before = {row[:5]: row for row in all_rows(acme)}
    store(event(acme, "page_view", t0 + timedelta(hours=30, minutes=10), "bob"))
    refresh_tenant(acme.pk, now=t0 + LATER)
    after = {row[:5]: row for row in all_rows(acme)}
    changed = {key[3] for key in after if after[key] != before.get(key)}
    assert changed == {t0 + timedelta(hours=30), t0 + timedelta(hours=23)}
    with tenant_context(acme.pk):
        assert not DirtyMark.objects.exists()


def test_the_same_person_is_one_in_any_range_and_a_merge_heals_the_past(
    acme: Tenant, globex: Tenant, t0: datetime
) -> None:
    store(
        event(acme, "page_view", t0 + timedelta(hours=1), "anon"),
        event(acme, "page_view", t0 + timedelta(hours=2), "ann"),
    )
    refresh_tenant(acme.pk, now=t0 + LATER)
    assert [n for _, n in members(acme, "users.active", Grain.DAY)] == [2]
    from analytics.contracts import IdentityLink, LinkKind

    link = IdentityLink(kind=LinkKind.IDENTIFY, other="anon")
    store(event(acme, "$identify", t0 + timedelta(hours=50), "ann", links=(link,), identifies=True))
    refresh_tenant(acme.pk, now=t0 + LATER)
    assert [n for _, n in members(acme, "users.active", Grain.DAY)] == [1]


def test_bots_and_internal_users_are_kept_apart(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    store(
        event(acme, "page_view", t0, "ann"),
        event(acme, "page_view", t0, "bot", is_bot=True, bot_reason="user_agent"),
        event(acme, "page_view", t0, "me", is_internal=True),
        event(acme, "page_view", t0, "mybot", is_internal=True, is_bot=True),
    )
    refresh_tenant(acme.pk, now=t0 + LATER)
    counted = {
        name: [row[2] for row in rows(acme, "pageviews.count", Grain.DAY, name)]
        for name in ("", "bots:", "internal:", "bots+internal:")
    }
    assert counted == {"": [1], "bots:": [1], "internal:": [1], "bots+internal:": [1]}


def test_sessions_join_when_a_late_event_bridges_them(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    store(
        event(acme, "page_view", t0 + timedelta(minutes=50), "ann"),
        event(acme, "page_view", t0 + timedelta(minutes=100), "ann"),
    )
    refresh_tenant(acme.pk, now=t0 + LATER)
    assert rows(acme, "sessions.count", Grain.HOUR) == [(t0, "", 1, None), (t0 + timedelta(hours=1), "", 1, None)]
    store(event(acme, "page_view", t0 + timedelta(minutes=75), "ann"))
    refresh_tenant(acme.pk, now=t0 + LATER)
    assert rows(acme, "sessions.count", Grain.HOUR) == [(t0, "", 1, None)]
    assert rows(acme, "sessions.bounced", Grain.HOUR) == []


def test_counting_again_writes_nothing(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    store(event(acme, "page_view", t0, "ann", country="FR"))
    refresh_tenant(acme.pk, now=t0 + LATER)
    with tenant_context(acme.pk):
        DirtyMark.objects.create(tenant_id=acme.pk, minute=t0)
    refresh_tenant(acme.pk, now=t0 + LATER + timedelta(hours=1))
    with tenant_context(acme.pk):
        assert set(Bucket.objects.values_list("computed_at", flat=True)) == {t0 + LATER}


def test_a_value_is_its_own_bucket_whatever_characters_it_holds(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    """The signs of COPY (tab, line break, backslash, its word for null) are text like any other."""
    hostile = ["a\tb", "a\nb", "a\r\nb", "\\N", "\\", "a\\tb", "\\x41", "\\.", "q\"'; --", "ünï 🦄"]
    for tenant, times in ((acme, 1), (globex, 2)):
        store(
            *(
                event(tenant, "order_completed", t0 + timedelta(minutes=minute), "ann", country=country)
                for minute in range(times)
                for country in hostile
            )
        )
        refresh_tenant(tenant.pk, now=t0 + LATER)

    for tenant, times in ((acme, 1), (globex, 2)):
        for grain in (Grain.HOUR, Grain.DAY):
            counted = {key: n for _, key, n, _ in rows(tenant, "orders.count", grain, "country")}
            assert counted == dict.fromkeys(hostile, times)
