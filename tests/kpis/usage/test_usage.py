"""One week of a small product, by hand: who used what, what it went along with, what each post was followed by."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Tenant
from analytics.tenancy import tenant_by_slug
from kpis.explore.channels import Cost, costs_import
from tests.api import caller, logged_in, problem
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db(transaction=True)

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = MONDAY + 20 * DAY
WEEK = {"from": "2026-03-02", "to": "2026-03-09"}
HOSTILE = "'; DROP TABLE bw_event; -- <script>alert(1)</script> \u202e😀"
P1 = {"object_type": "post", "object_id": "p1", "platform": "instagram"}
P2 = {"object_type": "post", "object_id": HOSTILE, "platform": "instagram"}


@pytest.fixture
def suite(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Tenant:
    """Ann searches on Monday (twice) and Wednesday, Bob on Tuesday; Cyd exports once; Dan only looks and buys.

    Ann reacts to p1 and the hostile post and buys for 100.00, of which 20.00 come back two weeks later. Bob clicks the
    advertisement of spring, reacts to the hostile post and buys for 30.00. Eve reacts to p1. Dan buys for 7.00.
    """
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    neighbour = Story(globex)
    for who in ("fay", "gil"):
        neighbour.add("feature_used", MONDAY + HOUR, who, object_id="secret", platform="web")
        neighbour.add("post_engaged", MONDAY + HOUR, who, **P1)
        neighbour.add("order_completed", MONDAY + 2 * HOUR, who, amount=999_00)
    neighbour.count(NOW)
    story = Story(acme)
    for after in (HOUR, 2 * HOUR, 2 * DAY):
        story.add("feature_used", MONDAY + after, "ann", object_id="search", platform="web")
    story.add("feature_used", MONDAY + DAY, "bob", object_id="search", platform="web")
    story.add("feature_used", MONDAY + HOUR, "cyd", object_id=HOSTILE, platform="mobile")
    story.add("feature_used", MONDAY + HOUR, "gil", object_id="search", is_bot=True, bot_reason="test")
    story.add("$pageview", MONDAY + HOUR, "dan", platform="web")
    story.add("post_published", MONDAY + HOUR, None, **P1)
    story.add("post_published", MONDAY + HOUR, None, **P2)
    story.add("post_engaged", MONDAY + DAY, "ann", **P1)
    story.add("post_engaged", MONDAY + DAY, "eve", **P1)
    story.add("post_engaged", MONDAY + 2 * DAY, "ann", **P2)
    story.add("post_engaged", MONDAY + 2 * DAY, "bob", **P2)
    story.add("ad_shown", MONDAY + HOUR, "bob", campaign="spring")
    story.add("ad_clicked", MONDAY + DAY, "bob", campaign="spring")
    story.add("order_completed", MONDAY + 3 * DAY, "ann", amount=100_00, object_id="o1", platform="mobile")
    story.add("order_refunded", MONDAY + 17 * DAY, "ann", amount=20_00, object_id="o1")
    story.add("order_completed", MONDAY + 5 * DAY, "bob", amount=30_00, object_id="o2", platform="web")
    story.add("order_completed", MONDAY + 6 * DAY, "dan", amount=7_00, object_id="o3", platform="web")
    story.add("automation_completed", MONDAY + HOUR, None, object_id="invoices", value=1.5)
    story.add("automation_completed", MONDAY + DAY, None, object_id="invoices", value=0.5)
    story.add("automation_failed", MONDAY + DAY, None, object_id="invoices", reason="timeout")
    story.add("automation_completed", MONDAY + DAY, None, object_id="reports", value=3.0)
    story.count(NOW)
    for tenant in (acme, globex):
        lake_mark(tenant_id=tenant.pk, start=MONDAY - DAY, end=NOW, reason="test", now=NOW)
        seal_tenant(tenant.pk, now=NOW, workers=1)
    costs_import(
        tenant=tenant_by_slug("acme"),
        costs=[Cost(date(2026, 3, 3), "Paid Search", Decimal("5.00"), "EUR", "spring")],
        now=NOW,
    )
    return acme


def asked(tenant: Tenant, **more: Any) -> dict[str, Any]:
    answer = caller(tenant).get("usage/", **{**WEEK, **more})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_features_by_hand(suite: Tenant) -> None:
    """Five are active: 2 of 5 search. Net of the week: Ann 100.00, Bob 30.00, Dan 7.00; the refund lies after it.

    With revenue: (5·130 − 2·137) / √(2·3·(5·10949 − 137²)) = 376 / √215856 = 0.809293;
    with paying: (5·2 − 2·3) / √(2·3·3·2) = 2/3.
    """
    found = asked(suite)
    search, export = found["features"]
    assert (found["active_users"], found["payers"], found["timezone"]) == (5, 3, "Europe/Paris")
    assert {name: search[name] for name in ("feature", "users", "uses", "share", "uses_per_user")} == {
        "feature": "search", "users": 2, "uses": 4, "share": 0.4, "uses_per_user": 2.0,
    }  # fmt: skip
    assert (search["settled"], search["again"], search["again_share"], search["days_between"]) == (2, 1, 0.5, 2.0)
    assert (search["revenue_per_user"], search["revenue_per_other"]) == ("65.00", "2.33")
    assert (search["payer_share"], search["payer_share_of_others"]) == (1.0, pytest.approx(1 / 3))
    assert search["with_revenue"]["value"] == pytest.approx(0.809293, abs=1e-6)
    assert search["with_paying"]["value"] == pytest.approx(2 / 3)
    assert search["with_paying"]["note"] == "low data: 5 people"
    assert (export["feature"], export["users"], export["again"], export["revenue_per_user"]) == (HOSTILE, 1, 0, "0.00")


def test_the_share_is_that_of_the_metric(suite: Tenant) -> None:
    series = caller(suite).get(
        "kpis/features.adoption/series/", by="object_id", **{"from": "2026-03-02"}, to="2026-03-09"
    )
    shares = {part["key"]: part["total"] for part in series.json()["series"]}
    assert {feature["feature"]: feature["share"] for feature in asked(suite)["features"]} == shares


def test_what_the_limit_leaves_out_is_one_row(suite: Tenant) -> None:
    found = asked(suite, limit=1)
    search, other = found["features"]
    assert (search["feature"], other["feature"], other["users"], other["uses"]) == ("search", "__other__", 1, 1)
    first, rest = found["posts"]["results"]
    assert (first["id"], rest["id"], rest["posts"]) == (HOSTILE, "__other__", 2)
    assert (rest["reach"], rest["engagements"], rest["linear"]) == (3, 3, {"conversions": 1.0, "revenue": "55.00"})


def test_posts_by_hand(suite: Tenant) -> None:
    """Ann's 80.00 (20.00 came back): p1 and the hostile post 40.00 each, or all to the last. Bob's 30.00: spring and
    the hostile post 15.00 each. Dan's 7.00 nobody. Mean post of instagram: 47.50.
    """
    posts = asked(suite)["posts"]
    hostile, p1, spring = posts["results"]
    assert (posts["conversions"], posts["revenue"], posts["window_seconds"]) == (3, "117.00", 604_800)
    assert posts["untouched"] == {"conversions": 1.0, "revenue": "7.00"}
    assert (hostile["id"], hostile["platform"], hostile["reach"], hostile["engagements"]) == (
        HOSTILE, "instagram", 2, 2,
    )  # fmt: skip
    assert hostile["linear"] == {"conversions": 1.0, "revenue": "55.00"}
    assert hostile["last"] == {"conversions": 2.0, "revenue": "110.00"}
    assert hostile["converted"] == 2
    assert hostile["against"] == {
        "reach": 1.0, "engagements": 1.0, "revenue": pytest.approx(55 / 47.5),
    }  # fmt: skip
    assert (p1["reach"], p1["engaged"], p1["converted"]) == (2, 2, 1)
    assert (p1["linear"], p1["last"]["revenue"]) == ({"conversions": 0.5, "revenue": "40.00"}, "0.00")
    assert p1["published_at"] == "2026-03-02T00:00:00+00:00"
    assert (spring["kind"], spring["id"], spring["cost"], spring["return_on_cost"]) == (
        "campaign",
        "spring",
        "5.00",
        3.0,
    )
    assert spring["against"] == {"reach": None, "engagements": None, "revenue": None}
    assert not any(post["is_open"] for post in posts["results"])


def test_a_shorter_window_forgets_sooner(suite: Tenant) -> None:
    """Within a day of a reaction only Ann bought, a day after the hostile post."""
    posts = asked(suite, window="1d")["posts"]
    assert {post["id"]: post["linear"]["revenue"] for post in posts["results"]} == {
        HOSTILE: "80.00", "p1": "0.00", "spring": "0.00",
    }  # fmt: skip
    assert posts["untouched"]["revenue"] == "37.00"


def test_platforms_by_people_and_by_days(suite: Tenant) -> None:
    found = asked(suite)["platforms"]
    assert [(row["platform"], row["users"], row["engagement"], row["revenue"]) for row in found["platforms"]] == [
        ("instagram", 3, 6, "0.00"), ("mobile", 2, 2, "100.00"), ("web", 3, 7, "37.00"),
    ]  # fmt: skip
    shared = {(row["first"], row["second"]): row for row in found["shared_users"]}
    both = shared["instagram", "web"]
    assert (both["both"], both["share_of_first"], both["share_of_second"], both["share_of_either"]) == (
        2, pytest.approx(2 / 3), pytest.approx(2 / 3), 0.5,
    )  # fmt: skip
    # Of Monday to Sunday: instagram 2 2 2 0 0 0 0, web 3 1 1 0 0 1 1: the sums of products are 10 − 6·7/7 = 4,
    # 12 − 36/7 and 13 − 49/7.
    day = next(p for p in found["together"] if (p["first"], p["second"]) == ("instagram", "web"))
    assert day["pearson"]["value"] == pytest.approx(4 / ((12 - 36 / 7) * 6) ** 0.5)
    assert (day["pearson"]["n"], day["pearson"]["note"]) == (7, "low data: 7 pairs")


def test_automations_by_hand(suite: Tenant) -> None:
    found = asked(suite)["automation"]
    assert (found["hours_saved"], found["efficiency"], found["runs"], found["failed"]) == (5.0, 0.75, 4, 1)
    assert [(row["automation"], row["hours_saved"], row["efficiency"]) for row in found["by_automation"]] == [
        ("invoices", 2.0, pytest.approx(2 / 3)), ("reports", 3.0, 1.0),
    ]  # fmt: skip


def test_whoever_may_not_see_people_sees_no_small_groups(suite: Tenant, django_user_model: Any) -> None:
    viewer = django_user_model.objects.create_user(username="vera", password="correct horse")
    membership_set(tenant_id=suite.pk, user=viewer, role="viewer")
    found = logged_in("vera").get("usage/", **WEEK).json()
    assert (found["smallest_group"], found["payers"]) == (5, None)
    assert {feature["revenue_per_user"] for feature in found["features"]} == {None}
    assert {feature["with_paying"]["value"] for feature in found["features"]} == {None}
    assert [(post["reach"], post["converted"], post["linear"]) for post in found["posts"]["results"]] == (
        [(None, None, None)] * 3
    )
    assert {row["both"] for row in found["platforms"]["shared_users"]} <= {None, 0}
    assert asked(suite, shared="true")["features"] == found["features"]


def test_the_neighbours_answer_is_their_own(suite: Tenant, globex: Tenant) -> None:
    found = asked(globex)
    assert [feature["feature"] for feature in found["features"]] == ["secret"]
    assert [(post["id"], post["reach"], post["linear"]["revenue"]) for post in found["posts"]["results"]] == [
        ("p1", 2, "1998.00")
    ]
    assert "search" not in str(found)


def test_a_range_of_nothing_is_empty_and_a_bad_window_refused(suite: Tenant) -> None:
    found = asked(suite, **{"from": "2025-01-01", "to": "2025-01-08"})
    assert (found["features"], found["posts"]["results"], found["active_users"]) == ([], [], 0)
    refused = caller(suite).get("usage/", window="91d")
    assert problem(refused)["status"] == 400
    assert problem(caller(suite).get("usage/", by="country"))["status"] == 400
