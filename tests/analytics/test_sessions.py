"""Sessions by hand: gaps, SDK ids, late events, and deriving in parts equals deriving all."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from analytics.models import Session, Tenant
from analytics.sessions import SessionRules, derive_persons, derive_touched
from analytics.tenancy import tenant_context
from tests.kpis.telling import event, store

pytestmark = pytest.mark.django_db
RULES = SessionRules(ignored=frozenset({"$identify"}), pageviews=frozenset({"page_view"}))
FOREVER = timedelta(days=400)


def derive(tenant: Tenant, start: datetime, end: datetime | None = None) -> set[int]:
    with tenant_context(tenant.pk):
        return derive_touched(tenant.pk, [(start, end or start + timedelta(minutes=1))], RULES)


def sessions(tenant: Tenant, *fields: str) -> list[Any]:
    with tenant_context(tenant.pk):
        return list(Session.objects.order_by("start", "sdk_id").values_list(*(fields or ("start", "end", "events"))))


def minutes(t0: datetime, *at: float) -> list[datetime]:
    return [t0 + timedelta(minutes=minute) for minute in at]


def tell(tenant: Tenant, who: str, at: list[datetime], name: str = "page_view", **columns: Any) -> None:
    store(*(event(tenant, name, moment, who, **columns) for moment in at))


def test_thirty_minutes_belong_together_and_a_second_more_does_not(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    a, b, c = minutes(t0, 0, 30, 60 + 1 / 60)
    tell(acme, "ann", [a, b, c])
    tell(globex, "ann", [b])
    derive(acme, t0, t0 + FOREVER)
    assert sessions(acme) == [(a, b, 2), (c, c, 1)]
    assert sessions(globex) == []


def test_a_session_over_midnight_is_one_and_starts_on_the_first_day(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    a, b = minutes(t0, -10, 10)
    tell(acme, "ann", [a, b])
    derive(acme, b)
    assert sessions(acme) == [(a, b, 2)]


def test_the_sdks_id_wins_over_a_pause_and_over_a_second_tab(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    a, b, c, d = minutes(t0, 0, 5, 50, 55)
    tell(acme, "ann", [a, c], session_id="one")
    tell(acme, "ann", [b, d], session_id="two")
    derive(acme, t0, t0 + FOREVER)
    assert sessions(acme, "sdk_id", "start", "end", "events") == [("one", a, c, 2), ("two", b, d, 2)]


def test_an_event_of_the_server_joins_the_visit_it_falls_into(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    a, b, c = minutes(t0, 0, 5, 9)
    tell(acme, "ann", [a, c], session_id="one", country="FR")
    tell(acme, "ann", [b], name="order_completed", country="US")
    tell(acme, "bob", [b], name="order_completed")
    derive(acme, t0, t0 + FOREVER)
    assert sessions(acme, "sdk_id", "events", "pageviews", "country") == [("one", 3, 2, "FR"), (None, 1, 0, None)]


def test_bots_and_signs_of_identity_form_no_visit_of_people(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    a, b = minutes(t0, 0, 5)
    tell(acme, "ann", [a])
    tell(acme, "ann", [b], is_bot=True)
    tell(acme, "ann", [b], name="$identify")
    derive(acme, t0, t0 + FOREVER)
    assert sessions(acme, "is_bot", "events") == [(False, 1), (True, 1)]


def test_a_late_event_joins_two_and_tells_the_minutes_of_both(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    a, b, c = minutes(t0, 0, 40, 20)
    tell(acme, "ann", [a, b])
    derive(acme, t0, t0 + FOREVER)
    tell(acme, "ann", [c])
    moved = derive(acme, c)
    assert sessions(acme) == [(a, b, 3)]
    assert moved == {int(a.timestamp()) * 10**6, int(b.timestamp()) * 10**6}


def test_a_late_sdk_event_hours_before_moves_the_start(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    late, a, b = minutes(t0, -600, 0, 3000)
    tell(acme, "ann", [a, b], session_id="one")
    derive(acme, t0, t0 + FOREVER)
    tell(acme, "ann", [late], session_id="one")
    derive(acme, late)
    assert sessions(acme) == [(late, b, 3)]


def test_deriving_again_changes_nothing(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    tell(acme, "ann", minutes(t0, 0, 10, 50))
    assert derive(acme, t0, t0 + FOREVER)
    assert derive(acme, t0, t0 + FOREVER) == set()


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_arrival_gives_the_sessions_of_a_whole_derivation(
    acme: Tenant, globex: Tenant, t0: datetime, seed: int
) -> None:
    chance = random.Random(seed)
    told = [
        event(
            acme, chance.choice(("page_view", "order_completed", "$identify")),
            t0 + timedelta(minutes=chance.randrange(600), seconds=number % 60),
            chance.choice(("ann", "bob")), session_id=chance.choice((None, None, "s1", "s2")),
            country=chance.choice((None, "FR", "DE")),
        )
        for number in range(80)
    ]  # fmt: skip
    while told:
        batch, told = told[:7], told[7:]
        store(*batch)
        with tenant_context(acme.pk):
            spans = [(one.timestamp, one.timestamp + timedelta(seconds=1)) for one in batch]
            derive_touched(acme.pk, spans, RULES)
    fields = ("person_id", "sdk_id", "start", "end", "events", "pageviews", "country", "id")
    stepwise = sessions(acme, *fields)
    with tenant_context(acme.pk):
        Session.objects.all().delete()
        derive_persons(acme.pk, 0, 1000, RULES)
    assert stepwise == sessions(acme, *fields)
    assert len(stepwise) > 4


def test_a_machine_that_never_pauses_has_a_session_a_quarter_of_a_day(
    acme: Tenant, globex: Tenant, t0: datetime
) -> None:
    # From 05:00 on, every 20 minutes: the quarter until 06:00 is not filled, the one until 12:00 is, and so on.
    at = minutes(t0, *range(300, 1500, 20))
    tell(acme, "ann", at)
    derive(acme, t0, t0 + FOREVER)
    assert sessions(acme, "start") == [(start,) for start in (at[0], *minutes(t0, 720, 1080, 1440))]


@pytest.mark.parametrize("seed", range(4))
def test_endless_activity_in_any_order_is_cut_the_same_way(
    acme: Tenant, globex: Tenant, t0: datetime, seed: int
) -> None:
    chance = random.Random(seed)
    told = [
        event(
            acme,
            "page_view",
            t0 + timedelta(minutes=m, seconds=chance.randrange(60)),
            "ann",
            session_id="s1" if m % 97 == 0 else None,
        )
        for m in range(0, 60 * 24 * 5, 13)
        if chance.random() < 0.95
    ]
    chance.shuffle(told)
    while told:
        batch, told = told[:60], told[60:]
        store(*batch)
        with tenant_context(acme.pk):
            derive_touched(acme.pk, [(one.timestamp, one.timestamp + timedelta(seconds=1)) for one in batch], RULES)
    fields = ("person_id", "sdk_id", "start", "end", "events", "id")
    stepwise = sessions(acme, *fields)
    with tenant_context(acme.pk):
        Session.objects.all().delete()
        derive_persons(acme.pk, 0, 1000, RULES)
    assert stepwise == sessions(acme, *fields)
