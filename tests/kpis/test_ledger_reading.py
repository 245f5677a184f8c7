"""Why published numbers moved: each reason with its amount, and the amounts add up to the difference."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from analytics.identity import identity_merge, identity_unmerge
from analytics.jobs import run_job
from analytics.models import DirtyMark, Event, IdentityEdge, Tenant
from analytics.periods import floor_minute
from analytics.tenancy import tenant_context
from kpis.ledger import day_freeze
from kpis.ledger_reading import LedgerView, ledger_explained
from kpis.mapping import event_names_set
from kpis.models import MetricValue, Restatement
from kpis.rollup.backfill import Backfill, Ledger, plan_parts, run_backfill
from kpis.rollup.check import check_tenant
from kpis.rollup.refresh import refresh_tenant
from kpis.series import QuestionError
from kpis.services import Definition, metric_define
from tests.api import caller, problem
from tests.kpis.story import PEOPLE, Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NIGHT = MONDAY + DAY + 4 * HOUR
LATER = MONDAY + 5 * DAY


def define(tenant: Tenant, formula: str) -> None:
    metric_define(
        tenant_id=tenant.pk,
        definition=Definition(metric="shop.score", name="Score", formula=formula, unit="money"),
        now=NIGHT,
    )


def published_monday(tenant: Tenant) -> Story:
    """Orders of 10.00, 15.00 and 5.00 by three people; published at four in the morning."""
    define(tenant, "revenue.net + 100 * users.active")
    story = Story(tenant)
    for hour, who, amount in ((9, "ann", 1000), (10, "bob", 1500), (11, "cyd", 500)):
        story.add("order_completed", MONDAY + hour * HOUR, who, amount=amount)
    story.count(NIGHT)
    day_freeze(tenant_id=tenant.pk, now=NIGHT)
    return story


def explained(tenant: Tenant, metric: str = "shop.score", **changes: Any) -> LedgerView:
    span = {"start": MONDAY, "end": MONDAY + DAY, "now": LATER}
    return ledger_explained(tenant_id=tenant.pk, metric=metric, **{**span, **changes})


def parts(view: LedgerView) -> dict[str, tuple[Decimal | None, int]]:
    return {part.reason: (part.amount, part.records) for part in view.days[0].parts}


def late(story: Story) -> None:
    story.add("order_completed", MONDAY + 12 * HOUR, "dan", amount=600)
    story.store()


def refund(story: Story) -> None:
    story.add("order_refunded", MONDAY + 13 * HOUR, "ann", amount=400)
    story.store()


def merge(story: Story) -> None:
    identity_merge(
        tenant_id=story.tenant.pk, left=PEOPLE["ann"], right=PEOPLE["bob"], actor="olga", reason="one", now=LATER
    )


def erase(story: Story) -> None:
    """As far as the ledger is concerned: an event is gone, and a mark of that reason says where it was."""
    with tenant_context(story.tenant.pk):
        found = Event.objects.filter(subject_id=PEOPLE["cyd"])
        at = floor_minute(found.get().ts)
        found.delete()
        DirtyMark.objects.create(tenant_id=story.tenant.pk, minute=at, reason="erasure")


def redefine(story: Story) -> None:
    define(story.tenant, "2 * revenue.net + 100 * users.active")


EVERYTHING: tuple[Callable[[Story], None], ...] = (late, refund, merge, erase, redefine)


@pytest.mark.parametrize("refreshes", ["after each", "once at the end"])
def test_every_reason_has_its_amount_and_they_add_up(acme: Tenant, globex: Tenant, refreshes: str) -> None:
    """Published: 30 + 100 × 3 = 330. The definition alone makes 2 × 30 + 300 = 360: +30. Under it, a late order of 6.00
    by a new person is +112, a refund of 4.00 is -8, two people who are one -100, an order of 5.00 gone with its
    person -110. Now: 2 × 27 + 100 × 2 = 254, which is 76 less than was published.
    """
    story = published_monday(acme)
    neighbour = published_monday(globex)
    for happens in EVERYTHING:
        happens(story)
        if refreshes == "after each":
            refresh_tenant(acme.pk, now=LATER)
    refresh_tenant(acme.pk, now=LATER)
    view = explained(acme)

    (day,) = view.days
    assert (day.reported, day.reported_at, day.known, day.difference) == (330, NIGHT, 254, -76)
    assert parts(view) == {
        "definition": (30, 0),
        "late_events": (112, 1),
        "refunds": (-8, 1),
        "merge": (-100, 1),
        "erasure": (-110, 1),
    }
    assert sum(part.amount or 0 for part in day.parts) == day.difference
    assert [part.words for part in day.parts][:2] == [
        "The definition of the metric was changed.", "Events arrived after the day was published.",
    ]  # fmt: skip
    assert check_tenant(acme.pk, now=LATER) == []
    assert explained(globex).days[0].parts == ()
    assert neighbour.tenant == globex


def test_metrics_of_one_measure_have_only_their_own_reasons(acme: Tenant, globex: Tenant) -> None:
    story = published_monday(acme)
    for happens in EVERYTHING:
        happens(story)
    refresh_tenant(acme.pk, now=LATER)

    assert parts(explained(acme, "revenue.gross")) == {"late_events": (6, 1), "erasure": (-5, 1)}
    assert parts(explained(acme, "revenue.refunds")) == {"refunds": (4, 1)}
    assert parts(explained(acme, "revenue.net")) == {"late_events": (6, 1), "refunds": (-4, 1), "erasure": (-5, 1)}
    assert parts(explained(acme, "users.active")) == {"late_events": (1, 1), "merge": (-1, 1), "erasure": (-1, 1)}
    # 30.00 of 3 people were 10.00 each; 31.00 of 2 are 15.50.
    view = explained(acme, "revenue.arpu")
    assert (view.days[0].reported, view.days[0].known) == (10, Decimal("15.5"))
    assert sum(part.amount or 0 for part in view.days[0].parts) == Decimal("5.5")


def test_the_second_publication_is_explained_from_its_own_time(acme: Tenant, globex: Tenant) -> None:
    """A late order before the second night, a refund after it: as reported then, only the refund is missing."""
    story = published_monday(acme)
    late(story)
    refresh_tenant(acme.pk, now=NIGHT + HOUR)
    day_freeze(tenant_id=acme.pk, day=MONDAY.date() + DAY, now=NIGHT + DAY)
    refund(story)
    refresh_tenant(acme.pk, now=LATER)

    first, second = explained(acme, "revenue.net"), explained(acme, "revenue.net", at=NIGHT + DAY)
    assert (first.days[0].reported, parts(first)) == (30, {"late_events": (6, 1), "refunds": (-4, 1)})
    assert (second.days[0].reported, parts(second)) == (36, {"refunds": (-4, 1)})
    assert [(row.value, row.reason) for row in first.days[0].revisions] == [(30, "first"), (36, "restated")]
    assert explained(acme, "revenue.net", at=MONDAY).days[0].reported is None


def test_a_merge_that_is_undone_leaves_nothing_to_explain(acme: Tenant, globex: Tenant) -> None:
    story = published_monday(acme)
    merge(story)
    refresh_tenant(acme.pk, now=LATER)
    assert parts(explained(acme, "users.active")) == {"merge": (-1, 1)}
    with tenant_context(acme.pk):
        edge = IdentityEdge.objects.get()
    identity_unmerge(tenant_id=acme.pk, edge_id=edge.pk, actor="olga", reason="two", now=LATER)
    refresh_tenant(acme.pk, now=LATER)

    view = explained(acme, "users.active")
    assert (view.days[0].difference, view.days[0].parts) == (0, ())


def test_people_of_thirty_days_have_their_one_reason_or_all_together(acme: Tenant, globex: Tenant) -> None:
    """The people of a window do not follow from counts of days."""
    story = published_monday(acme)
    late(story)
    refresh_tenant(acme.pk, now=LATER)
    assert parts(explained(acme, "users.mau")) == {"late_events": (1, 1)}
    merge(story)
    erase(story)
    refresh_tenant(acme.pk, now=LATER)

    assert parts(explained(acme, "users.mau")) == {"several": (-1, 0)}


def test_days_of_a_sum_add_up_over_a_range(acme: Tenant, globex: Tenant) -> None:
    story = published_monday(acme)
    story.add("order_completed", MONDAY + DAY + HOUR, "ann", amount=700)
    story.count(NIGHT + DAY)
    day_freeze(tenant_id=acme.pk, now=NIGHT + DAY)
    story.add("order_completed", MONDAY + DAY + 2 * HOUR, "ann", amount=100)
    late(story)
    refresh_tenant(acme.pk, now=LATER)

    view = explained(acme, "revenue.gross", end=MONDAY + 2 * DAY)
    assert (view.reported, view.known, view.difference) == (37, 44, 7)
    (reason,) = view.reasons
    assert (reason.reason, reason.amount, reason.records, reason.days) == ("late_events", 7, 2, 2)
    assert explained(acme, "users.active", end=MONDAY + 2 * DAY).reported is None


def test_a_backfill_is_a_recount(acme: Tenant, globex: Tenant) -> None:
    """An event that vanished without a mark is found by counting everything again."""
    story = published_monday(acme)
    with tenant_context(acme.pk):
        Event.objects.filter(subject_id=PEOPLE["cyd"]).delete()
    backfill = Backfill(acme.pk, MONDAY.date() + DAY, MONDAY.date() + 2 * DAY)
    work = plan_parts(backfill)
    run_backfill(backfill, work, Ledger.of(work, {}, lambda *progress: None), workers=1, now=LATER)

    assert parts(explained(acme, "revenue.gross")) == {"recount": (-5, 1)}
    assert story.tenant == acme


def test_a_day_that_was_never_published_keeps_no_journal(acme: Tenant, globex: Tenant) -> None:
    story = Story(acme)
    story.add("order_completed", MONDAY + HOUR, "ann", amount=100)
    story.count(LATER)
    late(story)
    refresh_tenant(acme.pk, now=LATER)

    with tenant_context(acme.pk):
        assert (Restatement.objects.count(), MetricValue.objects.count()) == (0, 0)
    view = explained(acme, "revenue.gross")
    assert (view.days[0].reported, view.days[0].known, view.days[0].parts) == (None, 7, ())


def test_too_long_a_range_is_refused(acme: Tenant) -> None:
    with pytest.raises(QuestionError, match="at most 400 days"):
        explained(acme, "revenue.gross", end=MONDAY + 401 * DAY)


def test_the_ledger_by_api(acme: Tenant, globex: Tenant) -> None:
    story = published_monday(acme)
    late(story)
    refresh_tenant(acme.pk, now=LATER)
    api = caller(acme)
    answer = api.get("kpis/revenue.net/ledger/", from_="2026-03-02", to="2026-03-03")

    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["reported"], body["known"], body["difference"], body["currency"]) == ("30.00", "36.00", "6.00", "EUR")
    (day,) = body["days"]
    assert day["parts"] == [
        {
            "reason": "late_events",
            "words": "Events arrived after the day was published.",
            "amount": "6.00",
            "records": 1,
        }
    ]
    assert [row["value"] for row in day["revisions"]] == ["30.00"]
    assert api.get("kpis/revenue.nett/ledger/").status_code == 404
    refused = api.get("kpis/revenue.net/ledger/", from_="2020-03-02", to="2026-03-03")
    assert (refused.status_code, problem(refused)["errors"][0]["field"]) == (400, "to")


def test_names_that_count_since_are_the_mappings_part(acme: Tenant, globex: Tenant) -> None:
    """An event of the shop's own name is worth 12.00 once it is said to be an order; a late order brings 6.00 more."""
    story = published_monday(acme)
    story.add("Purchase Done", MONDAY + 14 * HOUR, "ann", amount=1200)
    story.count(NIGHT + HOUR)
    day_freeze(tenant_id=acme.pk, day=MONDAY.date() + DAY, now=NIGHT + 2 * HOUR)
    late(story)
    refresh_tenant(acme.pk, now=LATER)
    job = event_names_set(tenant_id=acme.pk, names={"Purchase Done": "order_completed"})
    assert job is not None
    assert run_job(job.pk)

    view = explained(acme, "revenue.gross")
    assert (view.days[0].reported, view.days[0].known) == (30, 48)
    assert parts(view) == {"mapping": (12, 0), "late_events": (6, 1)}
