"""DuckDB and a Spark cluster give the same answers over the same files, and say the same when something is wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest

from analytics.models import Tenant
from analytics.periods import Calendar
from analytics.store import EventStore, StoreTimeout, event_store
from kpis.explore.picks import EventPick
from kpis.funnels import Funnel, Step, columns_of, funnel_read
from kpis.retention_clock import ClockRetention, clock_retention_read
from kpis.retention_clock import columns_of as retention_columns
from tests.analytics.events import NOON, event, write
from tests.analytics.lake.lakes import FIRST, LAST, files_of, seal
from tests.parity.cluster import cluster, missing
from tests.parity.questions import HOSTILE, QUESTIONS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there is a cluster"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def spark_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One master, two workers."""
    with cluster(tmp_path_factory.mktemp("spark")) as url:
        yield url
        from analytics.lake.spark import sessions_close

        sessions_close()


NAMES = ("product_viewed", "order_completed", "signup", "$pageview", "message_sent")


def fields(n: int) -> dict[str, Any]:
    """Of the n-th event."""
    hostile = {name: f"{name} {n}" for name in HOSTILE} if n % 9 == 0 else {}
    money = {"amount": n * 10 - 500, "currency": "EUR"} if n % 5 == 1 else {}
    return {
        "name": NAMES[n * 7 % 5],
        "distinct_id": f"p{n * 13 % 40}" if n % 11 else None,
        "country": ("FR", "DE", None)[n % 3],
        "duration_ms": n / 7 if n % 4 == 0 else None,
        "is_bot": n % 50 == 0,
        "session_id": f"s{n // 5}" if n % 2 else None,
        "properties": {**hostile, "plan": ("pro", "free", "")[n % 3], "$groups": {"company": f"c{n % 7}", "n": n}},
        **money,
    }


@pytest.fixture
def stocked(db: None, acme: Tenant, globex: Tenant, settings: Any, tmp_path: Path) -> Tenant:
    """Ten days of Acme's shop: people and nobody, ties, nulls, money, hostile properties, and views with a sign-up some
    minutes later, so that some are one visit. Globex has one event."""
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    write(acme, [event(acme, f"e{n:04}", minute=n * 37 % 14_400, **fields(n)) for n in range(600)])
    write(acme, [event(acme, f"v{n}{name}", name=name, distinct_id=f"p{n % 30}", minute=n * 290 + after)
                 for n in range(45) for after, name in ((0, "product_viewed"), (n, "signup"))])  # fmt: skip
    write(globex, [event(globex, "g", name="signup")])
    seal(acme)
    seal(globex)
    return acme


def answers(tenant: Tenant, engine: str, question: str) -> dict[str, list[Any]]:
    with event_store(
        tenant_id=tenant.pk,
        start=FIRST,
        end=LAST,
        columns=("event_id", "session_id"),
        properties=HOSTILE,
        engine=engine,
    ) as store:
        table = store.run(QUESTIONS[question](store))
    return {"types": [str(kind) for kind in table.schema.types], **table.to_pydict()}


@pytest.mark.parametrize("question", QUESTIONS)
def test_both_engines_give_the_same_answer(question: str, stocked: Tenant, spark_url: str) -> None:
    expected = answers(stocked, "duckdb", question)
    found = answers(stocked, spark_url, question)
    assert len(expected) > 1
    assert found.keys() == expected.keys()
    for column, values in expected.items():
        assert [_rounded(value) for value in found[column]] == [_rounded(value) for value in values], column


def _rounded(value: Any) -> Any:
    """Means are sums of floats in any order: equal to 12 digits."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


FUNNEL: dict[str, Any] = {
    "steps": tuple(Step(EventPick((name,))) for name in ("product_viewed", "signup", "order_completed")),
    "start": FIRST,
    "end": LAST,
    "window": timedelta(days=2),
    "curve": True,
}
FUNNELS: dict[str, dict[str, Any]] = {
    "best": {},
    "every": {"entry": "every"},
    "session": {"session": True, "steps": tuple(Step(EventPick((name,))) for name in ("product_viewed", "signup"))},
    "group": {"group": "company", "by": "country"},
    "group, every": {"group": "company", "entry": "every", "hold": "properties.plan"},
}


@pytest.mark.parametrize("which", FUNNELS)
def test_both_engines_give_the_same_funnel(which: str, stocked: Tenant, spark_url: str) -> None:
    """With its curve and times, whoever matches it."""
    funnel = Funnel(**{**FUNNEL, **FUNNELS[which]})
    columns, properties = columns_of(funnel)
    found = []
    for engine in ("duckdb", spark_url):
        start, end = funnel.span
        with event_store(
            tenant_id=stocked.pk, start=start, end=end, columns=columns, properties=properties, engine=engine
        ) as store:
            answer = funnel_read(store, funnel, timezone="UTC", now=LAST)
        found.append((answer.steps, answer.breakdown, answer.curve, answer.times))
    assert found[0] == found[1]
    assert found[0][0][1].reached


DAYS = {"start": NOON, "calendar": Calendar("UTC"), "periods": 4, "unit": "day", "cohort": "first_in_range"}


@pytest.mark.parametrize(
    "more",
    [
        {"days": (1, 2, 3)},
        {"days": (0, 2), "mode": "on_or_after"},
        {"versus": (0, 1)},
        {"by": "country"},
        {"by": f"properties.{HOSTILE[3]}", "cohort": "recurring", "limit": 2, "revenue": True},
    ],
)
def test_both_engines_give_the_same_retention(more: dict[str, Any], stocked: Tenant, spark_url: str) -> None:
    question = ClockRetention(**{**DAYS, **more})
    columns, properties = retention_columns(question)
    found = []
    for engine in ("duckdb", spark_url):
        start, end = question.span
        with event_store(
            tenant_id=stocked.pk, start=start, end=end, columns=columns, properties=properties, engine=engine
        ) as store:
            answer = clock_retention_read(store, question, now=LAST)
        found.append((answer.rows, answer.means, answer.versus, answer.interval, answer.breakdown))
    assert found[0] == found[1]
    assert any(row.size for row in found[0][0])


def test_the_cluster_sees_ranges_names_and_tenants_as_the_embedded_engine_does(
    stocked: Tenant, globex: Tenant, spark_url: str
) -> None:
    def count(tenant: Tenant, engine: str, **options: Any) -> int:
        chosen = {"start": FIRST, "end": LAST, **options}
        with event_store(tenant_id=tenant.pk, engine=engine, **chosen) as store:
            return int(store.run(store.events.count().name("n").as_table()).column(0)[0].as_py())

    day = {"start": NOON + timedelta(days=1), "end": NOON + timedelta(days=2, hours=3)}
    none = {"start": datetime(2020, 1, 1, tzinfo=UTC), "end": datetime(2020, 2, 1, tzinfo=UTC)}
    for options in ({}, day, {"names": ("signup", "it's")}, {"names": ()}, none):
        assert count(stocked, spark_url, **options) == count(stocked, "duckdb", **options)
    assert count(globex, spark_url) == 1


def test_a_lost_file_is_made_again_for_the_cluster_too(stocked: Tenant, spark_url: str, tmp_path: Path) -> None:
    expected = answers(stocked, "duckdb", "ids")
    files_of(tmp_path / "lake", stocked)[0].unlink()
    assert answers(stocked, spark_url, "ids") == expected


def _endless(store: EventStore) -> Any:
    numbers = store.events.select(a=store.events.line)
    many = numbers
    for name in "bcde":
        many = many.cross_join(numbers.select(**{name: "a"}))
    return many.filter(ibis._.a + ibis._.b + ibis._.c + ibis._.d + ibis._.e == -1).count().name("n").as_table()


def test_a_question_to_the_cluster_ends_in_time(stocked: Tenant, spark_url: str) -> None:
    begun = time.monotonic()
    with (
        pytest.raises(StoreTimeout),
        event_store(tenant_id=stocked.pk, start=FIRST, end=LAST, engine=spark_url, timeout=3) as store,
    ):
        store.run(_endless(store))
    assert time.monotonic() - begun < 20
