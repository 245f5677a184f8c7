"""T13: what row-level security costs the queries that the product runs: `python tests/bench/bench_rls.py`.

Each query runs by turns as the app role and as a reader that row-level security lets pass, on the same
connection. Printed are both p95, their ratio and that of the medians; the bar is 1.15.

    python tests/bench/bench_rls.py --events 1000000 10000000
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.bench.stocked import END, NOW, percentile, stock

DAYS = 120
FREE = "bellwether_bench_free"
BAR = 1.15

Query = Callable[[], int]


def run(events: int, users: int, rounds: int) -> dict[str, Any]:
    tenant_id = stock(events=events, users=users, days=DAYS)
    from tests.bench.generate import generate

    generate(slug=f"neighbour-{events}", events=max(1, events // 10), users=users, days=DAYS, end=END)
    assert (_tenants_seen(is_free=False), _tenants_seen(is_free=True) > 1) == (0, True), "the roles do not differ"
    measured = {name: _measure(tenant_id, query, rounds) for name, query in _queries(tenant_id).items()}
    worst = max(measured, key=lambda name: float(measured[name]["ratio_p95"]))
    return {
        "bench": "rls", "events": events, "users": users, "rounds": rounds, "queries": measured, "worst": worst,
        "worst_ratio_p95": measured[worst]["ratio_p95"], "bar": BAR,
    }  # fmt: skip


def _queries(tenant_id: int) -> dict[str, Query]:
    """What people and workers ask all day; each returns how much it found."""
    from analytics.periods import Calendar
    from analytics.selectors import events_matching
    from analytics.tenancy import tenant_context, tenants
    from kpis.contracts import Series
    from kpis.rollup.plan import plan_for
    from kpis.rollup.read import read_events, read_sessions
    from kpis.series import metric_overview, metric_series

    (tenant,) = (each for each in tenants() if each.id == tenant_id)
    calendar, chance, plan = Calendar(tenant.zone), random.Random(7), plan_for()
    days = [END - timedelta(days=number) for number in range(25)]

    def overview() -> int:
        end = calendar.day_start(chance.choice(days))
        return len(metric_overview(tenant_id=tenant_id, start=end - timedelta(days=30), end=end, now=NOW))

    def series_by_country() -> int:
        end = calendar.day_start(chance.choice(days))
        start = end - timedelta(days=30)
        found: Series = metric_series(
            tenant_id=tenant_id, metric="revenue.gross", start=start, end=end, by="country", now=NOW
        )
        return len(found.series)

    def page(parameters: dict[str, str]) -> int:
        with tenant_context(tenant_id):
            return len(events_matching(tenant=tenant, parameters=parameters).order_by("-ts", "-id")[:101])

    def newest_events() -> int:
        return page({})

    def orders_of_a_day() -> int:
        day = chance.choice(days)
        return page({"name": "order_completed", "from": str(day - timedelta(days=1)), "to": str(day)})

    def events_of_a_person() -> int:
        with tenant_context(tenant_id):
            people = events_matching(tenant=tenant, parameters={}).filter(subject_id=chance.randrange(1, 5_000))
            return len(people.order_by("-ts", "-id")[:101])

    def rollup_of_an_hour() -> int:
        start = calendar.day_start(chance.choice(days)) - timedelta(hours=chance.randrange(1, 24))
        with tenant_context(tenant_id):
            span = [(start, start + timedelta(hours=1))]
            return read_events(plan, tenant_id, span).size + read_sessions(tenant_id, span).size

    def rollup_of_minutes() -> int:
        start = calendar.day_start(chance.choice(days)) - timedelta(hours=chance.randrange(2, 24))
        starts = [start + timedelta(minutes=4 * number) for number in range(30)]
        with tenant_context(tenant_id):
            return read_events(plan, tenant_id, [(at, at + timedelta(minutes=1)) for at in starts]).size

    queries = (
        overview, series_by_country, newest_events, orders_of_a_day, events_of_a_person, rollup_of_an_hour,
        rollup_of_minutes,
    )  # fmt: skip
    return {query.__name__: query for query in queries}


def _tenants_seen(*, is_free: bool) -> int:
    """With no tenant set."""
    from django.db import connection

    with _role(is_free), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM bw_calendar")
        return int(cursor.fetchone()[0])


def _measure(tenant_id: int, query: Query, rounds: int) -> dict[str, float]:
    """Milliseconds by turns, guarded and free; the first rounds warm up."""
    guarded: list[float] = []
    free: list[float] = []
    found = 0
    for number in range(rounds + 10):
        for is_free in (False, True) if number % 2 else (True, False):
            with _role(is_free):
                begun = time.perf_counter()
                found += query()
                (free if is_free else guarded).append((time.perf_counter() - begun) * 1000)
    guarded, free = guarded[10:], free[10:]
    p95, free_p95 = percentile(guarded, 0.95), percentile(free, 0.95)
    return {
        "p95_ms": round(p95, 2), "free_p95_ms": round(free_p95, 2), "ratio_p95": round(p95 / free_p95, 3),
        "ratio_p50": round(percentile(guarded, 0.5) / percentile(free, 0.5), 3), "found": found // (2 * rounds + 20),
    }  # fmt: skip


@contextmanager
def _role(is_free: bool) -> Iterator[None]:
    from django.db import connection

    if not is_free:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {FREE}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


@contextmanager
def _free_role() -> Iterator[None]:
    """For the length of the benchmark: a role that reads all tables and that row-level security lets pass."""
    import os

    from config import embedded

    admin_url = embedded.admin_url(Path(os.environ["BELLWETHER_HOME"]))
    with psycopg.connect(admin_url, dbname="bellwether", autocommit=True) as admin:
        _drop(admin)
        admin.execute(f"CREATE ROLE {FREE} NOLOGIN BYPASSRLS")
        admin.execute(f"GRANT pg_read_all_data TO {FREE}")
        admin.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {FREE}")
        admin.execute(f"GRANT {FREE} TO bellwether_app")
        try:
            yield
        finally:
            _drop(admin)


def _drop(admin: psycopg.Connection[Any]) -> None:
    if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [FREE]).fetchone():
        admin.execute(f"DROP OWNED BY {FREE}")
        admin.execute(f"DROP ROLE {FREE}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=200)
    chosen = parser.parse_args()
    from tests.bench.stage import prepare

    prepare()
    with _free_role():
        for events in chosen.events:
            print(json.dumps(run(events, chosen.users, chosen.rounds)), flush=True)


if __name__ == "__main__":
    main()
