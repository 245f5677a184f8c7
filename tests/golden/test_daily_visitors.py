"""Visitors without a cookie on three days, by hand (S35): each day is counted, days are never added, and it is told.

At noon of Monday, Tuesday and Wednesday, by UTC's days (an id holds for one of them):

day    Mon       Tue       Wed
cleo   d1        d2        d3       no cookie: another id each day
dora   d4                  d5
ezra             d6        d7
ann    ann                 ann      known

DAU: Mon 3 (2 daily), Tue 2 (both daily), Wed 4 (3 daily). Over the three days 8 different ids, of which 7 are daily;
the days added would be 9, and there are 4 people.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics import daily_visitors
from analytics.identity import identity_edges, identity_unmerge, subject_of
from analytics.models import Subject, Tenant
from analytics.privacy import erase_subject
from analytics.tenancy import tenant_context
from kpis.contracts import OTHER, Breakdown, Series, plain
from kpis.daily_visitors import DailyVisitors, is_of_days
from kpis.goals.plain import goal_plain
from kpis.goals.selectors import goals_list
from kpis.goals.services import GoalDraft, goal_create
from kpis.lifecycle import lifecycle_people, lifecycle_read
from kpis.retention import retention_read
from kpis.rollup.keys import NONE_KEY
from kpis.rollup.refresh import refresh_tenant
from kpis.series import metric_overview, metric_series, metrics_series
from kpis.versions import data_version
from tests.kpis.visitors import COOKIELESS, seen, tell

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
DAY = timedelta(days=1)
NOON = MONDAY + timedelta(hours=13)
NOW = MONDAY + 3 * DAY
CAME = {"cleo": (0, 1, 2), "dora": (0, 2), "ezra": (1, 2)}


@pytest.fixture
def site(acme: Tenant, globex: Tenant) -> Tenant:
    """Acme's three days. Globex sees Cleo's address on each of them, and nobody else."""
    daily = [seen(acme, who, NOON + day * DAY) for who, days in CAME.items() for day in days]
    tell(acme, *daily, *(seen(acme, "ann", NOON + day * DAY, by="ann") for day in (0, 2)))
    tell(globex, *(seen(globex, "cleo", NOON + day * DAY) for day in range(3)))
    count(acme, globex)
    return acme


def count(*tenants: Tenant) -> None:
    for tenant in tenants:
        refresh_tenant(tenant.pk, now=NOW)


def asked(tenant: Tenant, metric: str, first: int = 0, last: int = 2, **more: Any) -> Series:
    """The metric from day `first` to day `last`, both included; Monday is 0."""
    start, end = MONDAY + first * DAY, MONDAY + (last + 1) * DAY
    return metric_series(tenant_id=tenant.pk, metric=metric, start=start, end=end, now=NOW, **more)


def counted(series: Series) -> tuple[Decimal | None, DailyVisitors | None]:
    return series.total, series.daily_visitors


def days_of(tenant: Tenant) -> list[tuple[Decimal | None, DailyVisitors | None]]:
    return [counted(asked(tenant, "users.active", day, day)) for day in range(3)]


def people(number: int) -> Decimal:
    return Decimal(number)


# --- Numbers over days ------------------------------------------------------------------------------------------------


def test_each_day_counts_its_visitors_and_several_days_are_never_the_sum_of_them(site: Tenant) -> None:
    whole = asked(site, "users.active")
    assert [point.value for point in whole.points] == [3, 2, 4]
    assert counted(whole) == (8, DailyVisitors(7))


def test_a_week_of_nobody_else_is_one_of_daily_visitors(site: Tenant, globex: Tenant) -> None:
    """The neighbour's one visitor of three days is three there, and none of Acme's."""
    assert counted(asked(globex, "users.wau")) == (3, DailyVisitors(3, is_everybody=True))
    assert counted(asked(site, "users.wau")) == (8, DailyVisitors(7))
    assert counted(asked(site, "users.wau", 0, 1)) == (5, DailyVisitors(4))
    assert counted(asked(site, "users.mau", 2, 2)) == (8, DailyVisitors(7))


def test_a_local_day_that_two_days_of_utc_share_counts_twice_and_says_so(site: Tenant) -> None:
    """In Paris it is 00:30 of Thursday when the id is still Wednesday's; at noon Cleo has the next one."""
    later = NOW + timedelta(minutes=30)
    tell(site, seen(site, "cleo", later), seen(site, "cleo", NOON + 3 * DAY))
    refresh_tenant(site.pk, now=NOW + DAY)
    thursday = metric_series(
        tenant_id=site.pk, metric="users.active", start=NOW, end=NOW + DAY, now=NOW + DAY, grain="day"
    )
    assert counted(thursday) == (2, DailyVisitors(2, is_everybody=True))
    hours = metric_series(
        tenant_id=site.pk, metric="users.active", start=NOW + timedelta(hours=1), end=NOW + DAY, now=NOW + DAY
    )
    assert counted(hours) == (1, None)  # within one UTC day nobody is counted twice


def test_a_day_is_labelled_only_where_two_days_of_utc_touch_it(site: Tenant) -> None:
    assert days_of(site) == [
        (3, DailyVisitors(2)),
        (2, DailyVisitors(2, is_everybody=True)),
        (4, DailyVisitors(3)),
    ]
    assert not is_of_days(NOW.replace(hour=0), NOW.replace(hour=0) + DAY)
    assert is_of_days(NOW, NOW + DAY)


def test_numbers_made_of_others_say_it_for_all_their_parts(site: Tenant) -> None:
    """Stickiness looks at every day and the month behind it; new users are the 7 ids and Ann, none came back."""
    names = ("users.new", "users.returning", "events.count")
    assert {name: counted(asked(site, name)) for name in names} == {
        "users.new": (8, DailyVisitors(7)),
        "users.returning": (0, None),
        "events.count": (9, None),
    }
    assert asked(site, "users.stickiness").daily_visitors == DailyVisitors(7)
    assert counted(asked(site, "users.returning", 2, 2)) == (1, None)  # Ann
    assert counted(asked(site, "users.new", 2, 2)) == (3, DailyVisitors(3, is_everybody=True))
    assert counted(asked(site, "users.growth", 1, 1)) == (Decimal(-1) / 3, DailyVisitors(4))


def test_a_part_of_the_people_has_its_own_daily_visitors(site: Tenant) -> None:
    """Counted from events: Globex's platform is none of these."""
    browser = asked(site, "users.active", by="properties.$browser")
    assert browser.executor == "events"
    assert counted(browser) == (8, DailyVisitors(7))


def test_the_overview_says_it_of_each_number(site: Tenant) -> None:
    items = metric_overview(
        tenant_id=site.pk,
        start=MONDAY,
        end=NOW,
        metrics=["users.active", "users.mau", "revenue.gross", "sessions.count"],
        now=NOW,
    )
    assert [item.series.daily_visitors for item in items] == [DailyVisitors(7), DailyVisitors(7), None, None]


# --- Points, comparisons, parts ---------------------------------------------------------------------------------------

Marked: TypeAlias = tuple[Decimal | None, DailyVisitors | None]


def points_of(series: Series) -> list[Marked]:
    return [(point.value, point.daily_visitors) for point in series.points]


def test_a_point_says_it_where_it_is_longer_than_a_day(site: Tenant, globex: Tenant) -> None:
    """The next Monday Dora comes with another id, and Ann: 2 of the week, of whom Ann is no daily visitor."""
    monday = MONDAY + 7 * DAY
    dora = seen(site, "dora", monday + DAY / 2), seen(site, "dora", monday + 1.5 * DAY)
    tell(site, *dora, seen(site, "ann", monday + DAY / 2, by="ann"))
    refresh_tenant(site.pk, now=monday + 7 * DAY)
    question: dict[str, Any] = {"start": MONDAY, "end": monday + 7 * DAY, "now": monday + 7 * DAY}

    weeks = metric_series(tenant_id=site.pk, metric="users.active", grain="week", **question)
    assert points_of(weeks) == [(8, DailyVisitors(7)), (3, DailyVisitors(2))]
    assert counted(weeks) == (10, DailyVisitors(9))
    new = metric_series(tenant_id=site.pk, metric="users.new", grain="week", **question)
    assert points_of(new) == [(8, DailyVisitors(7)), (2, DailyVisitors(2, is_everybody=True))]
    days = metric_series(tenant_id=site.pk, metric="users.active", **question)
    assert {point.daily_visitors for point in days.points} == {None}
    theirs = metric_series(tenant_id=globex.pk, metric="users.active", grain="week", **question)
    assert points_of(theirs) == [(3, DailyVisitors(3, is_everybody=True)), (0, None), (0, None)]


def test_every_point_of_a_window_says_it_of_the_days_behind_it(site: Tenant, globex: Tenant) -> None:
    """A week that ends on Monday has Monday's 3, on Tuesday its 2 besides, on Wednesday all 8. In Kathmandu, where
    Globex is, Paris's Wednesday ends on Thursday morning.
    """
    week = [(3, DailyVisitors(2)), (5, DailyVisitors(4)), (8, DailyVisitors(7))]
    assert points_of(asked(site, "users.wau")) == week
    assert points_of(asked(site, "users.mau")) == week
    alone = [(number, DailyVisitors(number, is_everybody=True)) for number in (1, 2, 3, 3)]
    assert points_of(asked(globex, "users.wau")) == alone


def test_windows_that_slide_count_as_those_that_are_united(site: Tenant) -> None:
    """Two points are united one by one, three slide."""
    assert points_of(asked(site, "users.wau"))[1:] == points_of(asked(site, "users.wau", 1, 2))


def test_a_point_that_is_still_to_come_has_nobody(site: Tenant) -> None:
    later = asked(site, "users.wau", 2, 4)
    assert points_of(later) == [(8, DailyVisitors(7)), (None, None), (None, None)]


def test_what_a_number_is_compared_with_has_its_own_daily_visitors(site: Tenant) -> None:
    """Tuesday and Wednesday against Sunday (nobody) and Monday; Wednesday against Tuesday, of which all are daily."""
    two = asked(site, "users.active", 1, 2, compare="previous")
    assert counted(two) == (6, DailyVisitors(5))
    assert two.comparison is not None
    assert (two.comparison.total, two.comparison.daily_visitors) == (3, DailyVisitors(2))
    one = asked(site, "users.wau", 2, 2, compare="previous").comparison
    assert one is not None
    assert (one.total, one.daily_visitors) == (5, DailyVisitors(4))
    assert [(point.value, point.daily_visitors) for point in one.points] == [(5, DailyVisitors(4))]


def test_each_part_of_a_breakdown_has_its_own(site: Tenant) -> None:
    """Cleo is seen on the free plan on Monday, Dora and Ann on the paid one on Wednesday. The rest has no plan."""
    tell(
        site,
        seen(site, "cleo", NOON + DAY / 24, plan="free"),
        seen(site, "dora", NOON + 2 * DAY + DAY / 24, plan="paid"),
        seen(site, "ann", NOON + 2 * DAY + DAY / 24, by="ann", plan="paid"),
    )
    count(site)
    plans = asked(site, "users.active", by="properties.plan", compare="previous")
    assert {part.key: (part.total, part.daily_visitors) for part in plans.series} == {
        "free": (1, DailyVisitors(1, is_everybody=True)),
        "paid": (2, DailyVisitors(1)),
        NONE_KEY: (8, DailyVisitors(7)),
    }
    assert {part.comparison and part.comparison.daily_visitors for part in plans.series} == {None}
    weeks = asked(site, "users.active", by="properties.plan", grain="week", limit=1)
    assert [(part.key, points_of_part(part)) for part in weeks.series] == [
        (NONE_KEY, [(8, DailyVisitors(7))]),
        (OTHER, [(3, DailyVisitors(2))]),
    ]


def points_of_part(part: Breakdown) -> list[Marked]:
    return [(point.value, point.daily_visitors) for point in part.points]


def test_a_goal_says_it_of_its_value(site: Tenant, globex: Tenant) -> None:
    """Of the month up to now; revenue counts nobody."""
    for tenant in (site, globex):
        for metric in ("users.active", "users.mau", "revenue.gross"):
            draft = GoalDraft(name=metric, metric=metric, target=Decimal(100), first=NOON.date(), period="month")
            goal_create(tenant_id=tenant.pk, draft=draft, actor="olga", now=NOW)
    assert standings(site) == {
        "users.active": (8, DailyVisitors(7)),
        "users.mau": (8, DailyVisitors(7)),
        "revenue.gross": (0, None),
    }
    everybody = DailyVisitors(3, is_everybody=True)
    assert standings(globex)["users.active"] == (3, everybody)
    (view,) = [goal for goal in goals_list(tenant_id=globex.pk, now=NOW) if goal.metric == "users.active"]
    assert goal_plain(view)["standing"]["daily_visitors"] == everybody.plain()


def standings(tenant: Tenant) -> dict[str, Marked]:
    found = goals_list(tenant_id=tenant.pk, now=NOW)
    return {goal.metric: (goal.standing.value, goal.standing.daily_visitors) for goal in found}


def test_the_answer_as_json_has_the_count_and_the_period_of_the_salt(site: Tenant, globex: Tenant) -> None:
    assert plain(asked(site, "users.wau"))["daily_visitors"] == {
        "count": 7,
        "salt_period": "1 day (UTC)",
        "is_everybody": False,
        "are_left_out": False,
    }
    assert "daily_visitors" not in plain(asked(site, "revenue.gross"))
    weeks = plain(asked(site, "users.active", 1, 2, grain="week", compare="previous", by="properties.$browser"))
    counts = [
        found["daily_visitors"]["count"] for found in (weeks["points"][0], weeks["comparison"], weeks["series"][0])
    ]
    assert counts == [5, 2, 5]
    assert "daily_visitors" not in plain(asked(site, "users.active"))["points"][0]


def test_the_words() -> None:
    salt = "(the salt of their ids changes at 00:00 UTC)"
    some, one = DailyVisitors(1200), DailyVisitors(1)
    assert (some.label, one.label) == ("incl. 1,200 daily visitors", "incl. 1 daily visitor")
    assert some.told == f"Includes 1,200 daily visitors, counted anew each day {salt}."
    everybody = DailyVisitors(3, is_everybody=True)
    assert everybody.label == "daily visitors"
    assert everybody.told == f"All of them are daily visitors, counted anew each day {salt}."
    gone = DailyVisitors(1, are_left_out=True)
    assert gone.label == "without 1 daily visitor"
    assert [each.told_of("new customers") for each in (some, everybody)] == [
        f"New customers include 1,200 daily visitors, counted anew each day {salt}.",
        f"All new customers are daily visitors, counted anew each day {salt}.",
    ]
    assert [each.told_of_before for each in (some, everybody, gone)] == [
        "What it is compared with includes 1,200 daily visitors.",
        "What it is compared with counts daily visitors only.",
        "What it is compared with leaves out 1 daily visitor.",
    ]
    assert gone.told == f"1 daily visitor left out: no day knows those of another {salt}."


# --- Who comes again --------------------------------------------------------------------------------------------------


def test_retention_is_of_those_who_can_be_seen_to_come_again(site: Tenant) -> None:
    """Only Ann is in a cohort: Monday's, back on Wednesday. With the others it would be 1 of 3 on day 2."""
    found = retention_read(tenant_id=site.pk, start=MONDAY, periods=3, unit="day", now=NOW)
    assert [(row.size, [cell.returned for cell in row.cells]) for row in found.rows] == [
        (1, [1, 0, 1]),
        (0, [0, 0, None]),
        (0, [0, None, None]),
    ]
    assert found.daily_visitors == DailyVisitors(7, are_left_out=True)


def test_the_share_that_comes_back_is_of_those_who_can_be_seen_to(site: Tenant) -> None:
    """Eight came for the first time; Ann is the one who is known a week later, and she is there: 1 of 1, not of 8."""
    tell(site, seen(site, "ann", NOON + 7 * DAY, by="ann"), seen(site, "cleo", NOON + 7 * DAY))
    later = MONDAY + 12 * DAY
    refresh_tenant(site.pk, now=later)
    found = metric_series(tenant_id=site.pk, metric="retention.day_7", start=MONDAY, end=NOW, now=later)
    assert counted(found) == (1, DailyVisitors(7, are_left_out=True))


def test_lifecycle_is_of_those_who_can_be_seen_to_come_again(site: Tenant) -> None:
    found = lifecycle_read(tenant_id=site.pk, start=MONDAY, end=NOW, unit="day", now=NOW)
    states = [(p.active, p.new, p.returning, p.resurrected, p.dormant) for p in found.points]
    assert states == [(1, 1, 0, 0, 0), (0, 0, 0, 0, 1), (1, 0, 0, 1, 0)]
    assert found.daily_visitors == DailyVisitors(7, are_left_out=True)
    question: dict[str, Any] = {"tenant_id": site.pk, "start": MONDAY, "end": NOW, "unit": "day", "now": NOW}
    ann = subject_of(tenant_id=site.pk, distinct_id="ann")
    assert list(lifecycle_people(**question, index=0, state="new")) == [ann]


# --- Who they are -----------------------------------------------------------------------------------------------------


def test_who_signs_in_is_known_from_then_on_and_no_daily_visitor(site: Tenant, globex: Tenant) -> None:
    """Ezra signs in on Wednesday: that day's id is his. Tuesday's cannot be: nobody knows whose it was."""
    tell(
        site, seen(site, "ezra", NOON + 2 * DAY + DAY / 48, "$identify", by="ezra", **{"$anon_distinct_id": COOKIELESS})
    )
    count(site, globex)
    assert counted(asked(site, "users.wau")) == (8, DailyVisitors(6))
    assert days_of(site) == [
        (3, DailyVisitors(2)),
        (2, DailyVisitors(2, is_everybody=True)),
        (4, DailyVisitors(2)),
    ]
    assert counted(asked(globex, "users.wau")) == (3, DailyVisitors(3, is_everybody=True))


def test_answers_that_are_kept_are_others_once_somebody_signed_in(site: Tenant) -> None:
    """The number is the same, and so is every bucket: Wednesday's id is Ezra's lowest. What it says is another."""
    before = version(site)
    seen_in = seen(site, "ezra", NOON + 2 * DAY + DAY / 48, "$identify", by="ezra", **{"$anon_distinct_id": COOKIELESS})
    tell(site, seen_in)
    count(site)
    assert version(site) != before


def version(tenant: Tenant) -> str:
    with tenant_context(tenant.pk):
        return data_version(tenant_id=tenant.pk, measures=["users.active"], end=NOW, now=NOW + DAY)


def test_a_claim_that_is_undone_makes_a_daily_visitor_of_them_again(site: Tenant) -> None:
    tell(
        site, seen(site, "ezra", NOON + 2 * DAY + DAY / 48, "$identify", by="ezra", **{"$anon_distinct_id": COOKIELESS})
    )
    ezra = subject_of(tenant_id=site.pk, distinct_id="ezra")
    (edge,) = [
        each for each in identity_edges(tenant_id=site.pk, subject_id=ezra) if each.left_subject != each.right_subject
    ]
    identity_unmerge(tenant_id=site.pk, edge_id=edge.pk, actor="olga", reason="a shared computer", now=NOW)
    count(site)
    assert counted(asked(site, "users.wau")) == (8, DailyVisitors(7))


def test_a_visitor_who_says_to_be_themselves_is_not_known_by_that(site: Tenant) -> None:
    tell(site, seen(site, "dora", NOON + 2 * DAY + DAY / 48, "$identify"))
    count(site)
    assert counted(asked(site, "users.wau")) == (8, DailyVisitors(7))


def test_ids_of_exports_are_told_by_their_form_and_others_are_lasting(site: Tenant) -> None:
    """PostHog's are 16 bytes in base64, the middleware's `daily-…`. Whoever calls a customer so has a customer."""
    told = ["cookieless_YWJjZGVmZ2hpamtsbW5vcA", "daily-" + 32 * "a"]
    names = [*told, "cookieless_customer", "cookieless_", "daily-news", "COOKIELESS_" + 32 * "a"]
    tell(site, *(seen(site, "cleo", NOON + DAY / 24, by=name) for name in names))
    with tenant_context(site.pk):
        daily = set(Subject.objects.filter(is_daily=True).values_list("pk", flat=True))
    assert [subject_of(tenant_id=site.pk, distinct_id=name) in daily for name in names] == [True, True, *4 * [False]]
    assert len(daily) == 9


@pytest.mark.django_db(transaction=True, databases=["default", "erasure"])
def test_an_erased_daily_visitor_still_counts_as_one(site: Tenant) -> None:
    """Numbers stay, and so does what is said of them."""
    with tenant_context(site.pk):
        first = Subject.objects.filter(is_daily=True).order_by("pk").values_list("pk", flat=True)[0]
    assert erase_subject(tenant_id=site.pk, subject_id=first, now=NOW).subjects == 1
    count(site)
    assert counted(asked(site, "users.wau")) == (8, DailyVisitors(7))


@pytest.mark.django_db(transaction=True)
def test_counting_again_gives_the_same(site: Tenant) -> None:
    before = asked(site, "users.active")
    call_command("backfill", "--tenant", "acme", "--workers", "1")
    assert asked(site, "users.active") == before


def test_they_are_read_once_for_all_numbers_and_never_where_there_are_none(site: Tenant) -> None:
    metrics = ["users.active", "users.wau", "users.mau", "users.stickiness"]
    assert looked(site, metrics) == 1
    with tenant_context(site.pk):
        Subject.objects.update(is_daily=False)
    assert looked(site, metrics) == 0


def looked(tenant: Tenant, metrics: list[str]) -> int:
    """How many statements of an answer look for daily visitors."""
    question: dict[str, Any] = {"start": MONDAY, "end": NOW, "now": NOW, "grain": "week", "compare": "previous"}
    with CaptureQueriesContext(connection) as queries:
        metrics_series(tenant_id=tenant.pk, metrics=metrics, **question)
    return sum("is_daily" in query["sql"] for query in queries)


def test_a_process_remembers_all_but_the_newest(site: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a margin of 2 the older ones are read once; who signs in is gone at once all the same."""
    monkeypatch.setattr(daily_visitors, "MARGIN", 2)
    monkeypatch.setattr(daily_visitors, "_remembered", {})
    assert counted(asked(site, "users.wau")) == (8, DailyVisitors(7))
    (kept,) = daily_visitors._remembered.values()
    assert len(kept.ids) == 5
    first = min(kept.ids)
    with tenant_context(site.pk):
        Subject.objects.filter(pk=first).update(is_daily=False)  # nothing does that: it shows what is remembered
        Subject.objects.filter(pk=first + 1).update(is_identified=True)
    assert counted(asked(site, "users.wau")) == (8, DailyVisitors(6))
    monkeypatch.setattr(daily_visitors, "REMEMBERED_SECONDS", -1)
    assert counted(asked(site, "users.wau")) == (8, DailyVisitors(5))
