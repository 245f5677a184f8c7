"""The other real files import by the project's own mappings, and come out as DuckDB counts them."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from analytics.access.services import api_key_create, tenant_create
from analytics.lake.sealing import seal_tenant
from analytics.tenancy import tenant_by_slug, tenant_context
from tests.api import Caller
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
            seal_tenant(tenant_by_slug("real").id, now=timezone.now())
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


# --- Questions over the API, each answered again in plain Python ------------------------------------------------------

NEW_YORK = ZoneInfo("America/New_York")
DAY = timedelta(days=1)
JOURNEY = {"from": "2016-11-01", "to": "2018-01-02"}


@pytest.fixture
def api(said: Said) -> Caller:
    _, token = api_key_create(tenant_id=tenant_by_slug("real").id, kind="sk", name="test", scopes=())
    return Caller(token)


def there(text: str) -> datetime:
    """A time of the grocer's clock."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def first_days(shared_dir: Path) -> dict[str, datetime]:
    rows = duck(data_file(shared_dir, "completejourney/campaign_descriptions"), "select campaign_id, start_date from f")
    return {campaign: there(day) for campaign, day in rows}


def touches(shared_dir: Path) -> dict[str, list[tuple[datetime, str]]]:
    """By household: when it was sent which campaign."""
    days, found = first_days(shared_dir), defaultdict(list)
    for campaign, household in duck(
        data_file(shared_dir, "completejourney/campaigns"), "select campaign_id, household_id from f"
    ):
        found[household].append((days[campaign], campaign))
    return found


def test_campaigns_share_the_sales_of_sixty_days(api: Caller, shared_dir: Path) -> None:
    asked = {
        **JOURNEY, "from": "2017-01-01", "touches": {"events": ["campaign_received"]}, "touch": "hit",
        "lookback": "60d", "by": "campaign", "models": ["linear", "shapley", "last"], "refunds": "restated",
    }  # fmt: skip
    answer = api.post("explore/attribution/", asked)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    sent = touches(shared_dir)
    linear: defaultdict[str, float] = defaultdict(float)
    certain: Counter[str] = Counter()
    sales, cents = 0, 0
    for household, at, paid in duck(
        data_file(shared_dir, "completejourney/transactions_sample"),
        "select min(household_id), min(transaction_timestamp),"
        " (round(sum(sales_value::decimal(28, 12)), 2) * 100)::int from f group by basket_id",
    ):
        sales, cents, when = sales + 1, cents + paid, there(at)
        before = [campaign for day, campaign in sent.get(household, ()) if when - 60 * DAY <= day <= when]
        for campaign in before or ["__none__"]:
            linear[campaign] += 1 / max(1, len(before))
        latest = max((day for day, campaign in sent.get(household, ()) if campaign in before), default=None)
        last = [campaign for day, campaign in sent.get(household, ()) if campaign in before and day == latest]
        if len(last) == 1:  # of two on one day the one that was received later counts, and the file has no order
            certain[last[0]] += 1
    assert (found["conversions"], found["revenue"]) == (sales, str(Decimal(cents).scaleb(-2)))
    tables = {table["model"]: {each["key"]: each for each in table["credits"]} for table in found["models"]}
    for model in ("linear", "shapley"):  # nobody is sent a campaign twice, so the two are one
        assert {
            key: each["conversions"] for key, each in tables[model].items() if each["conversions"]
        } == pytest.approx(dict(linear), abs=1e-6)
        assert sum(Decimal(each["revenue"]) for each in tables[model].values()) == Decimal(found["revenue"])
    assert all(tables["last"][campaign]["conversions"] >= count for campaign, count in certain.items())
    assert tables["last"]["__none__"]["conversions"] == linear["__none__"]


def test_households_redeem_coupons_of_the_campaign_they_were_sent(api: Caller, shared_dir: Path) -> None:
    asked = {
        "steps": [{"events": ["campaign_received"]}, {"events": ["coupon_redeemed"]}], **JOURNEY, "window": "60d",
        "hold": "campaign", "by": "campaign", "limit": 100, "curve": False,
    }  # fmt: skip
    found = api.post("explore/funnel/", asked).json()
    redeemed = defaultdict(set)
    for household, campaign, day in duck(
        data_file(shared_dir, "completejourney/coupon_redemptions"),
        "select household_id, campaign_id, redemption_date from f",
    ):
        redeemed[household, campaign].add(there(day))
    sent = touches(shared_dir)
    people = {
        household
        for household, given in sent.items()
        for at, campaign in given
        if any(at <= day <= at + 60 * DAY for day in redeemed[household, campaign])
    }
    assert [step["reached"] for step in found["steps"]] == [len(sent), len(people)]
    assert len(people) > 100


def community(shared_dir: Path) -> dict[str, list[tuple[datetime, str]]]:
    """By person: when they signed up, posted, won a badge; in the order in which that was received."""
    found = defaultdict(list)
    for name, file, query in (
        ("signed_up", "users", "select Id, CreationDate from f where Id <> '-1'"),
        (
            "posted",
            "posts",
            "select OwnerUserId::double::int::varchar, CreationDate from f where OwnerUserId::double > 0",
        ),
        ("badge_earned", "badges", "select UserId, Date from f"),
    ):
        for person, at in duck(data_file(shared_dir, f"stats_se/{file}"), query):
            found[person].append((datetime.fromisoformat(at).replace(tzinfo=UTC), name))
    return found


def test_who_signs_up_posts_within_a_week_and_wins_a_badge(api: Caller, shared_dir: Path) -> None:
    posts = {"events": ["question_asked", "answer_posted", "wiki_written"], "within": "7d"}
    asked = {"steps": [{"events": ["signed_up"]}, posts, {"events": ["badge_earned"]}], "window": "30d",
             "from": "2010-07-01", "to": "2014-09-16"}  # fmt: skip
    found = api.post("explore/funnel/", asked).json()
    reached = [0, 0, 0]
    for events in community(shared_dir).values():
        begin = next((at for at, name in events if name == "signed_up"), None)
        if begin is None:
            continue
        post = min((at for at, name in events if name == "posted" and begin <= at <= begin + 7 * DAY), default=None)
        won = post and any(name == "badge_earned" and post <= at <= begin + 30 * DAY for at, name in events)
        reached = [count + bool(step) for count, step in zip(reached, (True, post, won), strict=True)]
    assert [step["reached"] for step in found["steps"]] == reached


def test_who_is_new_stays_comes_back_and_falls_asleep_month_by_month(api: Caller, shared_dir: Path) -> None:
    months: dict[str, set[int]] = {}
    for person, events in community(shared_dir).items():
        for at, _ in events:
            local = at.astimezone(NEW_YORK)
            months.setdefault(person, set()).add(local.year * 12 + local.month - 1)
    found = api.post("explore/lifecycle/", {"unit": "month", "from": "2011-01-01", "to": "2014-09-01"}).json()
    assert len(found["points"]) == 44
    for place, point in enumerate(found["points"]):
        month = 2011 * 12 + place
        active = [seen for seen in months.values() if month in seen]
        new = sum(min(seen) == month for seen in active)
        stayed = sum(month - 1 in seen for seen in active)
        assert (point["active"], point["new"], point["returning"]) == (len(active), new, stayed)
        assert point["resurrected"] == len(active) - new - stayed
        assert point["dormant"] == sum(month - 1 in seen and month not in seen for seen in months.values())


# --- Price points: what was sold of one product at each price ---------------------------------------------------------

PRODUCT = """
select product_id from f where quantity::double > 0 group by 1
having count(distinct round(sales_value::decimal(18, 4) / quantity::double, 6)) between 6 and 60
order by count(*) desc, 1 limit 1
"""
POINTS = """
select round(sales_value::decimal(18, 4) / quantity::double, 6), sum(quantity::double),
       sum(sales_value::decimal(18, 4)), count(*)
  from f where product_id = '{product}' and quantity::double > 0 group by 1
"""


def test_units_sales_and_lines_at_each_price_are_those_of_the_file(api: Caller, shared_dir: Path) -> None:
    """Of the product sold most often among those with some prices, by what was paid for one piece."""
    file = data_file(shared_dir, "completejourney/transactions_sample")
    (product,) = duck(file, PRODUCT)[0]
    rows = duck(file, POINTS.format(product=product))
    assert len(rows) > 5
    asked = {"from_": "2017-01-01", "to": "2018-01-02", "granularity": "month", "by": "properties.price",
             "object_id": product, "limit": 100}  # fmt: skip
    for metric, column in (("items.quantity", 1), ("items.revenue", 2), ("items.sold", 3)):
        answer = api.get(f"kpis/{metric}/series/", **asked)
        assert answer.status_code == 200, answer.content
        found = {float(each["key"]): float(each["total"]) for each in answer.json()["series"]}
        assert found == pytest.approx({float(row[0]): float(row[column]) for row in rows}), metric
