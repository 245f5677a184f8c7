"""Answers about metrics that are remembered: never stale, never another's, and warmed up for whoever asks again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.cache import Audience, Cache, answers, warmers
from analytics.cache.warm import recipes, remember, warm_up
from analytics.models import Tenant
from analytics.signals import buckets_refreshed
from analytics.tenancy import tenant_by_slug, tenant_context
from kpis.answers import lifetime, series_of
from kpis.parameters import ask_of
from kpis.rollup.refresh import refresh_tenant
from kpis.services import Definition, metric_define
from tests.analytics.events import event, write
from tests.api import Caller, caller

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db
SERIES = "kpis/events.count/series/?from=2026-03-01&to=2026-03-03"


class Clock:
    def __init__(self) -> None:
        self.now = NOW


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(timezone, "now", lambda: found.now)
    return found


@pytest.fixture
def process(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache]:
    fresh = Cache(url=redis_url, memory_bytes=1_000_000)
    monkeypatch.setattr(answers, "_cache", fresh)
    yield fresh
    fresh.shared._redis.close()


@pytest.fixture
def api(acme: Tenant, globex: Tenant, process: Cache, clock: Clock, settings: Any) -> Caller:
    settings.API_RATE_PER_MINUTE = 0
    for tenant, many in ((acme, 3), (globex, 5)):
        tell(tenant, many, "first")
    return caller(acme)


def tell(tenant: Tenant, many: int, word: str, *, country: str = "FR") -> None:
    """So many events on 1 March, counted."""
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    write(
        tenant,
        [
            event(tenant, f"{word}{n}", name="seen", timestamp=at, received_at=at, distinct_id=f"p{n}", country=country)
            for n in range(many)
        ],
    )
    refresh_tenant(tenant.pk, now=NOW)


def total(answer: Any) -> Any:
    assert answer.status_code == 200, answer.content
    return answer.json()["total"]


def outcomes(process: Cache) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_, outcome), count in process.outcomes.items():
        found[outcome] = found.get(outcome, 0) + count
    return found


def test_an_answer_is_found_until_its_numbers_change(api: Caller, acme: Tenant, process: Cache) -> None:
    assert [total(api.get(SERIES)) for _ in range(3)] == [3, 3, 3]
    assert outcomes(process) == {"computed": 1, "memory": 2}

    tell(acme, 4, "more")

    assert total(api.get(SERIES)) == 7
    assert outcomes(process) == {"computed": 2, "memory": 2}


def test_a_remembered_answer_keeps_its_etag(api: Caller) -> None:
    first, again = api.get(SERIES), api.get(SERIES)

    assert again["ETag"] == first["ETag"]
    assert again.content == first.content
    assert api.send("GET", SERIES, headers={"If-None-Match": first["ETag"]}).status_code == 304


def test_tenants_asked_in_turn_get_their_own(api: Caller, globex: Tenant, process: Cache) -> None:
    other = caller(globex)
    paths = [
        SERIES,
        "kpis/overview/?from=2026-03-01&to=2026-03-03",
        "kpis/?from=2026-03-01&to=2026-03-03&family=events",
    ]

    alone = {(who, path): who.get(path).json() for who in (api, other) for path in paths}
    turns = [(who, path) for _ in range(5) for path in paths for who in (api, other)]

    assert all(who.get(path).json() == alone[who, path] for who, path in turns)
    assert (total(api.get(SERIES)), total(other.get(SERIES))) == (3, 5)
    assert outcomes(process)["computed"] == 6


def test_a_changed_definition_is_a_new_answer(api: Caller, acme: Tenant, process: Cache) -> None:
    def define(formula: str) -> None:
        definition = Definition(metric="shop.own", name="Own", formula=formula)
        metric_define(tenant_id=acme.pk, definition=definition, now=NOW)

    path = SERIES.replace("events.count", "shop.own")
    define("events.count * 2")
    before = [total(api.get(path)) for _ in range(2)]
    define("events.count * 10")

    assert before == [6, 6]
    assert total(api.get(path)) == 30


def test_the_whole_catalogue_follows_each_count(api: Caller, acme: Tenant, process: Cache) -> None:
    """Of so many measures the version is remembered until the next count is committed."""

    def counted() -> Any:
        found = api.get("kpis/", from_="2026-03-01", to="2026-03-03").json()["results"]
        return next(each["value"] for each in found if each["metric"] == "events.count")

    before = [counted() for _ in range(2)]
    tell(acme, 4, "more")
    buckets_refreshed.send(sender=None, tenant_id=acme.pk, start=NOW, end=NOW)

    assert before == [3, 3]
    assert counted() == 7


def test_realtime_is_thirty_seconds_old_at_most_and_dropped_by_news(
    api: Caller, acme: Tenant, clock: Clock, process: Cache
) -> None:
    path = "kpis/realtime/?metrics=events.count"
    for seconds in (0, 10, 29, 31):
        clock.now = NOW + timedelta(seconds=seconds)
        assert api.get(path).status_code == 200
    assert outcomes(process) == {"computed": 2, "memory": 2}

    buckets_refreshed.send(sender=None, tenant_id=acme.pk, start=NOW, end=NOW)
    api.get(path)

    assert outcomes(process)["computed"] == 3


def test_series_come_back_as_they_were(api: Caller, acme: Tenant, process: Cache) -> None:
    info = tenant_by_slug("acme")
    query = {"from": "2026-03-01", "to": "2026-03-03", "country": "FR,DE", "by": "platform", "compare": "previous"}
    with tenant_context(acme.pk):
        ask = ask_of(query, info, NOW)
        audience = Audience.member(acme.pk, "viewer")
        first = series_of(audience=audience, metrics=["events.count", "revenue.gross"], ask=ask)
        process.memory.clear()
        again = series_of(audience=audience, metrics=["events.count", "revenue.gross"], ask=ask)

    assert again == first
    assert outcomes(process) == {"computed": 1, "shared": 1}


def test_today_until_now_is_one_question_all_day(api: Caller, acme: Tenant, process: Cache) -> None:
    info, audience = tenant_by_slug("acme"), Audience.member(acme.pk, "viewer")
    with tenant_context(acme.pk):
        for seconds in (0, 60, 600):
            ask = ask_of({"period": "today"}, info, NOW + timedelta(seconds=seconds))
            series_of(audience=audience, metrics=["events.count"], ask=ask)

    assert outcomes(process) == {"computed": 1, "memory": 2}


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ({"granularity": "minute", "period": "today"}, 30),
        ({"granularity": "hour", "period": "today"}, 300),
        ({"granularity": "day", "period": "today"}, 900),
        ({"granularity": "day", "from": "2026-02-01", "to": "2026-03-01"}, 1800),
        ({"granularity": "week", "from": "2026-01-01", "to": "2026-03-01"}, 3600),
    ],
)
def test_answers_live_by_how_fast_they_change(acme: Tenant, query: dict[str, str], seconds: int) -> None:
    with tenant_context(acme.pk):
        assert lifetime(ask_of(query, tenant_by_slug("acme"), NOW)) == seconds


# --- Warm-up ----------------------------------------------------------------------------------------------------------


def test_what_was_asked_lately_is_ready_before_it_is_asked_again(
    api: Caller, globex: Tenant, clock: Clock, process: Cache
) -> None:
    other = caller(globex)
    api.get(SERIES)
    other.get(SERIES)
    clock.now = NOW + timedelta(minutes=28)  # in two minutes the answers end

    assert warm_up(now=clock.now) == 2
    clock.now = NOW + timedelta(minutes=31)
    before = outcomes(process)

    assert (total(api.get(SERIES)), total(other.get(SERIES))) == (3, 5)
    assert outcomes(process)["memory"] - before.get("memory", 0) == 2
    assert before["computed"] == 4


def test_a_warm_up_leaves_alone_what_lives_long_enough(api: Caller, clock: Clock, process: Cache) -> None:
    api.get(SERIES)

    warm_up(now=clock.now)

    assert outcomes(process) == {"computed": 1, "memory": 1}


def test_a_question_that_fails_does_not_stop_the_others(
    api: Caller, acme: Tenant, clock: Clock, process: Cache
) -> None:
    audience = Audience.member(acme.pk, "viewer")
    api.get(SERIES)
    remember(audience, "kpis.address", {"path": "/nowhere/", "query": {}})
    remember(audience, "of.another.release", {})
    remember(audience, "kpis.address", {"path": "/admin/", "query": {}})

    assert warm_up(now=clock.now) == 2  # the page of the admin is looked at, and is no answer about metrics
    assert len(recipes(acme.pk, now=0)) == 4


def test_a_forged_question_is_not_read(api: Caller, acme: Tenant, globex: Tenant, process: Cache) -> None:
    api.get(SERIES)
    mine, theirs = (f"bw:cache:asked:{_space()}:{tenant.pk}" for tenant in (acme, globex))
    for found in process.shared.remembered(mine, since=0):
        process.shared.remember(theirs, found, at=1e12, limit=5, seconds=60)
    process.shared.remember(theirs, b"x" * 40, at=1e12, limit=5, seconds=60)

    assert recipes(globex.pk, now=0) == []
    assert "kpis.address" in warmers


def _space() -> str:
    from analytics.cache.keys import namespace

    return namespace()
