"""The other real files import by the project's own mappings, and come out as DuckDB counts them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from analytics.access.services import tenant_create
from analytics.tenancy import tenant_by_slug, tenant_context
from tests.conftest import _truncate_as_owner

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# By mapping: the words of the first and of the second import.
Said = dict[str, tuple[str, str]]

# Mapping, file, and the events that its rows become, as a query over the file.
FILES = {
    "completejourney_transactions": (
        "completejourney/transactions_sample",
        "select case when quantity::double = 0 then 'discount_booked' else 'item_purchased' end,"
        " count(*) from f group by 1 union all select 'order_completed', count(distinct basket_id) from f",
    ),
    "completejourney_campaigns": ("completejourney/campaigns", "select 'campaign_received', count(*) from f"),
    "completejourney_redemptions": ("completejourney/coupon_redemptions", "select 'coupon_redeemed', count(*) from f"),
    "completejourney_demographics": ("completejourney/demographics", "select '$set', count(*) from f"),
    "stats_se_users": ("stats_se/users", "select 'signed_up', count(*) from f"),
    "stats_se_posts": (
        "stats_se/posts",
        "select case PostTypeId when '1' then 'question_asked' when '2' then 'answer_posted' else 'wiki_written' end,"
        " count(*) from f group by 1",
    ),
    "stats_se_badges": ("stats_se/badges", "select 'badge_earned', count(*) from f"),
    "stats_se_links": (
        "stats_se/postLinks",
        "select case LinkTypeId when '1' then 'post_linked' else 'duplicate_reported' end, count(*) from f group by 1",
    ),
}

TWICE = ("completejourney_campaigns", "completejourney_redemptions", "completejourney_demographics", "stats_se_links")


@pytest.fixture(scope="module")
def said(shared_dir: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Said]:
    """What the command said of each file, all imported into one tenant (the shorter ones twice) beside another."""
    files = {mapping: data_file(shared_dir, name) for mapping, (name, _) in FILES.items()}
    with django_db_blocker.unblock():
        tenant_create(slug="neighbour", name="Neighbour", zone="Asia/Kathmandu", base_currency="NPR")
        try:
            first = {mapping: imported(file, mapping) for mapping, file in files.items()}
            yield {
                mapping: (first[mapping], imported(files[mapping], mapping) if mapping in TWICE else "")
                for mapping in files
            }
        finally:
            _truncate_as_owner(None)  # type: ignore[arg-type]


def data_file(shared_dir: Path, name: str) -> Path:
    path = shared_dir / "data" / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"no file {path}")
    return path


def imported(file: Path, mapping: str) -> str:
    out = io.StringIO()
    options: dict[str, Any] = {"create_tenant": True, "stdout": out, "stderr": io.StringIO()}
    call_command("import_events", str(file), tenant="real", mapping=Path(mapping), **options)
    return out.getvalue()


def answer(tenant_id: int, query: str) -> list[tuple[Any, ...]]:
    with tenant_context(tenant_id), connection.cursor() as cursor:
        cursor.execute(query)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def duck(file: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as engine:
        engine.execute(f"create table f as select * from read_csv('{file}', all_varchar = true, header = true)")
        return engine.execute(query).fetchall()


@pytest.mark.parametrize("mapping", FILES)
def test_every_row_becomes_its_event_and_importing_again_changes_nothing(
    mapping: str, shared_dir: Path, said: Said
) -> None:
    name, query = FILES[mapping]
    expected = dict(duck(data_file(shared_dir, name), query))
    names = ", ".join(f"'{event}'" for event in expected)
    stored = answer(
        tenant_by_slug("real").id, f"SELECT name, count(*) FROM bw_event WHERE name IN ({names}) GROUP BY name"
    )
    assert dict(stored) == expected
    total = f"{sum(expected.values()):,}"
    assert f"stored {total}, duplicate 0, conflict 0, quarantined 0, rejected 0" in said[mapping][0]
    if mapping in TWICE:
        assert f"stored 0, duplicate {total}, conflict 0, quarantined 0, rejected 0" in said[mapping][1]


def test_a_neighbour_sees_nothing_of_it(said: Said) -> None:
    assert answer(tenant_by_slug("neighbour").id, "SELECT count(*) FROM bw_event") == [(0,)]


def test_what_households_paid_is_equal_to_the_cent(shared_dir: Path, said: Said) -> None:
    file = data_file(shared_dir, "completejourney/transactions_sample")
    found = answer(
        tenant_by_slug("real").id,
        "SELECT to_char(ts AT TIME ZONE 'America/New_York', 'YYYY-MM'), count(*), sum(amount),"
        " count(DISTINCT subject_id) FROM bw_event WHERE name = 'order_completed' GROUP BY 1 ORDER BY 1",
    )
    # Times that the clocks skipped in March 2017 moved by an hour within their day.
    expected = duck(
        file,
        "select strftime(paid_at, '%Y-%m'), count(*), sum(cents), count(distinct household_id) from ("
        " select basket_id, min(transaction_timestamp::timestamp) as paid_at, min(household_id) as household_id,"
        " (round(sum(sales_value::decimal(28, 12)), 2) * 100)::int as cents from f group by basket_id)"
        " group by 1 order by 1",
    )
    assert found == [(month, orders, Decimal(cents), households) for month, orders, cents, households in expected]
    # The year is the study's own: 2017, and the first hours of 2018 in local time.
    assert [row[0] for row in found][:1] == ["2017-01"]


def test_sign_ups_and_active_people_of_the_community_are_those_of_the_dump(shared_dir: Path, said: Said) -> None:
    found = answer(
        tenant_by_slug("real").id,
        "SELECT to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM'), count(*) FILTER (WHERE name = 'signed_up'),"
        " count(DISTINCT subject_id) FILTER (WHERE object_type = 'post') FROM bw_event"
        " WHERE name = 'signed_up' OR (object_type = 'post' AND source = 'import' AND name NOT IN ('post_linked',"
        " 'duplicate_reported')) GROUP BY 1 ORDER BY 1",
    )
    users = dict(duck(data_file(shared_dir, "stats_se/users"), "select CreationDate[:7], count(*) from f group by 1"))
    posts = duck(
        data_file(shared_dir, "stats_se/posts"),
        "select CreationDate[:7], count(distinct OwnerUserId) from f group by 1 order by 1",
    )
    assert found == [(month, users.get(month, 0), authors) for month, authors in posts]
