"""The simulated marketplace: the same story every time, with something to see in every built-in metric."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics.demo.catalogue import OUTAGE
from analytics.demo.simulator import Told, story
from analytics.demo.world import Plan
from analytics.models import Event, Quarantine, Subject, Tenant
from analytics.tenancy import tenant_context
from kpis.taxonomy import STANDARD_EVENTS

PLAN = Plan(seed=7, start=date(2026, 1, 5), zone="Europe/Paris", days=90, events=100_000)
UNTIL = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)


def told(plan: Plan = PLAN, until: datetime = UNTIL) -> Told:
    """The whole story as one list."""
    return [pair for day in story(plan, until) for pair in day]


@pytest.fixture(scope="module")
def whole() -> Told:
    """The story of PLAN, told once for the module."""
    return told()


# --- The story --------------------------------------------------------------------------------------------------------


def test_the_same_seed_tells_the_same_story_and_another_seed_another(whole: Told) -> None:
    short = datetime(2026, 1, 15, tzinfo=UTC)
    again = told(until=short)
    assert again == whole[: len(again)]
    other = told(Plan(seed=8, start=PLAN.start, zone=PLAN.zone, days=90, events=100_000), short)
    assert {message["uuid"] for _, message in other}.isdisjoint(message["uuid"] for _, message in again)


def test_a_story_told_further_repeats_what_was_told_before(whole: Told) -> None:
    further = told(until=UNTIL + timedelta(days=3))
    assert {m["uuid"]: m for _, m in further}.items() >= {m["uuid"]: m for _, m in whole}.items()
    assert len(further) > len(whole)


def test_it_holds_about_as_many_events_as_asked_for_each_with_its_own_id(whole: Told) -> None:
    assert 0.85 * PLAN.events < len(whole) < 1.15 * PLAN.events
    assert len({message["uuid"] for _, message in whole}) == len(whole)


def test_nothing_happens_after_the_end(whole: Told) -> None:
    assert max(at for at, _ in whole) < UNTIL.timestamp()
    assert min(at for at, _ in whole) >= datetime(2026, 1, 4, 23, 0, tzinfo=UTC).timestamp() - 9 * 3600


def test_every_event_has_a_name_that_the_built_in_metrics_know(whole: Told) -> None:
    known = {name for event in STANDARD_EVENTS.values() for name in (event.name, *event.aliases)}
    names = {message["event"] for _, message in whole}
    assert names - known == {"$identify", "$pageleave"}


def test_every_family_of_metrics_has_its_events(whole: Told) -> None:
    names = {message["event"] for _, message in whole}
    assert names >= {
        "order_completed", "order_refunded", "item_purchased", "fee_charged", "gift_sent", "top_up_completed",
        "membership_purchased", "subscription_started", "subscription_renewed", "stream_started", "stream_ended",
        "battle_started", "message_sent", "payment_created", "payment_verifying", "payment_verified",
        "payment_pending", "payment_settled", "payment_failed", "payment_expired", "payment_refunded", "otp_sent",
        "otp_verified", "otp_failed", "event_hosted", "event_cancelled", "event_viewed", "event_joined",
        "event_attended", "signed_up", "logged_in", "page_view", "data_point", "webhook_delivered",
        "webhook_failed", "webhook_queued", "content_flagged", "moderation_action", "user_banned", "appeal_opened",
        "appeal_granted", "appeal_rejected", "game_started", "game_ended", "stake_placed", "payout_made",
        "feature_used", "automation_completed", "automation_failed", "post_published", "post_engaged", "ad_shown",
        "ad_clicked", "lead_created", "lead_converted", "campaign_charged", "listing_created", "listing_viewed",
        "listing_contacted", "trade_opened", "trade_closed", "request_completed", "generation_completed",
        "generation_failed", "content_created", "event_created",
    }  # fmt: skip


def test_the_outage_is_there_to_be_found(whole: Told) -> None:
    """On that day card payments fail for a reason of their own, and on no other day."""
    failed = [message for _, message in whole if message["properties"].get("reason") == "provider_unavailable"]
    fails = Counter(message["timestamp"][:10] for message in failed)
    assert set(fails) == {(PLAN.start + timedelta(days=OUTAGE.day)).isoformat()}


def test_people_are_invented_and_unreachable(whole: Told) -> None:
    mails = [message["properties"]["$set"]["email"] for _, message in whole if message["event"] == "$identify"]
    assert mails
    assert all(mail.endswith("@example.com") for mail in mails)


def test_a_few_people_do_much_and_most_do_little(whole: Told) -> None:
    visits = Counter(message["distinct_id"] for _, message in whole if message["event"] == "page_view")
    counts = sorted(visits.values(), reverse=True)
    assert sum(counts[: len(counts) // 10]) > 0.35 * sum(counts)


# --- The command ------------------------------------------------------------------------------------------------------


def demo(**options: Any) -> str:
    """Runs the command on a small story."""
    out = StringIO()
    defaults = {"tenant": "acme", "days": 6, "events": 900, "until": datetime(2026, 3, 2, 10, 0, tzinfo=UTC)}
    call_command("demo", stdout=out, stderr=StringIO(), **{**defaults, **options})
    return out.getvalue()


def stored(tenant: Tenant) -> int:
    """How many events a tenant has."""
    with tenant_context(tenant.pk):
        return Event.objects.count()


@pytest.mark.django_db(transaction=True)
def test_running_it_twice_changes_nothing_and_later_adds_only_what_is_new(acme: Tenant, globex: Tenant) -> None:
    demo()
    first = stored(acme)
    assert first > 300
    demo()
    assert stored(acme) == first
    later = demo(until=datetime(2026, 3, 3, 10, 0, tzinfo=UTC))
    assert f"{first} duplicate" in later
    assert stored(acme) > first
    with tenant_context(acme.pk):
        assert Quarantine.objects.count() == 0
        assert Event.objects.filter(is_bot=True).exists()
        assert Event.objects.filter(campaign__isnull=True, amount__gt=0).exists()
        assert Subject.objects.count() > 50
    assert stored(globex) == 0


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_says_what_would_be_stored_and_stores_nothing(acme: Tenant, globex: Tenant) -> None:
    assert "page_view" in demo(dry_run=True)
    assert stored(acme) == stored(globex) == 0


@pytest.mark.django_db
def test_an_end_without_offset_is_refused(acme: Tenant, globex: Tenant) -> None:
    with pytest.raises(CommandError, match="offset"):
        demo(until=datetime(2026, 3, 2, 10, 0))
