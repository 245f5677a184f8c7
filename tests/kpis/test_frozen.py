"""What was counted of days whose events are gone stays, whoever asks for it to be counted again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pyroaring import BitMap, FrozenBitMap

from analytics.aggregates import Distinct, DistinctKeys, Repeat, decode
from analytics.contracts import IdentityLink, LinkKind, Outcome
from analytics.identity import subject_of
from analytics.jobs import enqueue, run_due
from analytics.lake.sealing import seal_tenant
from analytics.models import DirtyMark, Job, Session, Subject, Tenant
from analytics.periods import RangeError
from analytics.privacy import erase_subject
from analytics.retention_run import retention_apply
from analytics.tenancy import tenant_by_slug, tenant_context
from kpis.base import Condition
from kpis.explore.grammar import Asking
from kpis.explore.selectors import explore
from kpis.mapping import event_names_set
from kpis.models import Bucket
from kpis.rollup.cells import Cell
from kpis.rollup.check import check_tenant
from kpis.rollup.frozen import Swap
from kpis.rollup.keys import key_hash
from kpis.rollup.plan import plan_for
from kpis.rollup.refresh import keep_weeks, refresh_tenant
from kpis.rollup.services import calendar_change
from kpis.sample_check import sample_check
from kpis.series import metric_series
from tests.analytics.events import ledger, rows, write
from tests.kpis.telling import event, store

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
NOW = datetime(2026, 4, 20, 12, tzinfo=UTC)
FLOOR = datetime(2026, 3, 20, 23, tzinfo=UTC)  # the 21st in Paris: thirty days before the 20th of April
OLD, YOUNG = FLOOR - 3 * DAY, FLOOR + 3 * DAY
BUCKETS = """
SELECT measure, dimension, key, grain, start, n, total, md5(state) FROM bw_bucket
 WHERE start < '{}' AND grain <> 4 AND calendar_id = (SELECT id FROM bw_calendar WHERE state = 'live')
 ORDER BY 1, 2, 3, 4, 5"""

pytestmark = pytest.mark.django_db
Frozen = Callable[[], None]


def tell(tenant: Tenant) -> None:
    """Ann and Bob buy on an old and on a young day, Ann looks at Bob on both; "Old Shop" is a name of their own."""
    for at in (OLD, YOUNG):
        store(
            event(tenant, "order_completed", at, "ann", amount=2000, currency=tenant.base_currency, country="FR"),
            event(tenant, "order_completed", at + MINUTE, "bob", amount=3000, currency=tenant.base_currency),
            event(tenant, "message_sent", at + 2 * MINUTE, "ann", object_id="bob", object_type="user"),
            event(tenant, "Old Shop", at + 3 * MINUTE, "ann", amount=700, currency=tenant.base_currency),
        )
    refresh_tenant(tenant.pk, now=NOW)
    while keep_weeks(tenant.pk, now=NOW):
        pass


def frozen_rows(tenant: Tenant) -> list[Any]:
    return rows(tenant, BUCKETS.format(FLOOR))


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Tenant:
    """Acme, which has let go of everything before the 21st of March by Paris. Globex has not."""
    for tenant in (acme, globex):
        tell(tenant)
    with tenant_context(acme.pk):
        Tenant.objects.filter(pk=acme.pk).update(retention_days=30)
    before = frozen_rows(acme)
    retention_apply(tenant_id=acme.pk, now=NOW)
    assert rows(acme, "SELECT count(*), min(ts) FROM bw_event") == [(4, YOUNG)]
    assert (frozen_rows(acme), len(before) > 50) == (before, True)
    return acme


@pytest.fixture
def frozen(shop: Tenant, globex: Tenant) -> Frozen:
    """Call it at the end: not a cell of the old days has changed, of nobody, and the young ones are right."""
    before, theirs = frozen_rows(shop), rows(globex, BUCKETS.format("infinity"))

    def look() -> None:
        assert frozen_rows(shop) == before
        assert rows(globex, BUCKETS.format("infinity")) == theirs
        assert check_tenant(shop.pk, now=NOW) == []
        assert total(shop, "orders.count") >= 4

    return look


def total(tenant: Tenant, metric: str, **more: Any) -> Any:
    series = metric_series(
        tenant_id=tenant.pk, metric=metric, start=OLD - 5 * DAY, end=NOW, grain="total", now=NOW, **more
    )
    return series.total


def test_old_days_are_answered_as_before(shop: Tenant, frozen: Frozen) -> None:
    assert [total(shop, name) for name in ("orders.count", "revenue.gross", "users.paying")] == [4, 100, 2]
    frozen()


def test_a_late_event_is_refused_and_counted_as_refused(shop: Tenant, frozen: Frozen) -> None:
    (verdict,) = write(shop, [event(shop, "order_completed", OLD + 5 * MINUTE, "cyd", amount=1)], now=NOW)
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, "older_than_kept")
    refresh_tenant(shop.pk, now=NOW)
    assert ledger(shop) == {"rejected/older_than_kept": 1, "stored": 8}
    frozen()


def test_marks_of_old_minutes_count_nothing(shop: Tenant, frozen: Frozen) -> None:
    with tenant_context(shop.pk):
        for reason in ("event", "rate", "merge", "mapping", "command", "derived", "session", "erasure"):
            for at in (OLD, OLD + MINUTE, FLOOR - MINUTE):
                DirtyMark.objects.create(tenant_id=shop.pk, minute=at, reason=reason)
    refresh_tenant(shop.pk, now=NOW)
    with tenant_context(shop.pk):
        assert not DirtyMark.objects.exists()
    frozen()


def test_a_merge_changes_young_days_only(shop: Tenant, frozen: Frozen) -> None:
    link = (IdentityLink(LinkKind.IDENTIFY, "bob"),)
    store(event(shop, "$identify", YOUNG + 5 * MINUTE, "ann", links=link, identifies=True))
    refresh_tenant(shop.pk, now=NOW)
    with tenant_context(shop.pk):
        assert Subject.objects.values("person_id").distinct().count() == 1
    series = metric_series(tenant_id=shop.pk, metric="users.paying", start=YOUNG, end=NOW, grain="total", now=NOW)
    assert series.total == 1
    frozen()


def test_commands_refuse_old_days_and_say_from_when_on_they_count(
    shop: Tenant, frozen: Frozen, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["rollup", "--from", "2026-03-01", "--to", "2026-04-01"], ["backfill", "--from", "2026-03-01"]):
        with pytest.raises(CommandError, match="Events before 2026-03-21 are not kept any more"):
            call_command(*command, "--tenant", "acme")
    call_command("rollup", "--tenant", "acme", "--from", "2026-03-21", "--to", "2026-04-01")
    call_command("backfill", "--tenant", "acme", "--workers", "1")
    call_command("check_rollups", "--tenant", "acme")
    said = capsys.readouterr().out
    assert "4 events of" in said
    assert "acme: days before 2026-03-21 were not compared: their events are not kept" in said
    frozen()


def test_jobs_that_were_ordered_before_leave_old_days_alone(shop: Tenant, frozen: Frozen) -> None:
    days = {"from": "2026-03-01", "to": "2026-04-20"}
    for kind in ("rollup.refresh", "rollup.backfill"):
        enqueue(kind=kind, tenant_id=shop.pk, params=days)
    span = [int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) for at in (OLD - DAY, NOW - DAY)]
    begun = enqueue(kind="rollup.backfill", tenant_id=shop.pk, params=days | {"measures": ["orders.count"]})
    with tenant_context(shop.pk):  # planned before the clean-up, and killed
        Job.objects.filter(pk=begun.pk).update(cursor={"parts": [["buckets", *span, 8]], "done": {}})
    run_due(only=["rollup.refresh", "rollup.backfill"])
    with tenant_context(shop.pk):
        assert set(Job.objects.values_list("state", flat=True)) == {"done"}
    frozen()


def test_a_meaning_given_to_a_name_holds_from_the_kept_days_on(shop: Tenant, frozen: Frozen) -> None:
    event_names_set(tenant_id=shop.pk, names={"Old Shop": "order_completed"})
    run_due(only=["rollup.switch_calendar"])
    assert (total(shop, "orders.count"), total(shop, "revenue.gross")) == (5, 107)
    frozen()


def test_another_zone_takes_old_hours_over_where_they_fit(shop: Tenant) -> None:
    with pytest.raises(RangeError, match="begin at other minutes"):
        calendar_change(tenant_id=shop.pk, zone="Asia/Kathmandu")
    calendar_change(tenant_id=shop.pk, zone="America/New_York")
    assert run_due(only=["rollup.switch_calendar"]) == 1
    assert [total(shop, name) for name in ("orders.count", "revenue.gross", "users.paying")] == [4, 100, 2]
    days = rows(shop, "SELECT start FROM bw_bucket WHERE measure = 'orders.count' AND dimension = '' AND grain = 3")
    # By local midnight: 23:00 UTC is the evening before in New York (summer time since the 8th).
    assert sorted(day for (day,) in days) == [datetime(2026, 3, n, 4, tzinfo=UTC) for n in (17, 23)]
    assert check_tenant(shop.pk, now=timezone.now()) == []
    call_command("backfill", "--tenant", "acme", "--workers", "1")
    assert total(shop, "orders.count") == 4


def test_a_visit_over_the_edge_is_one_visit(acme: Tenant, globex: Tenant) -> None:
    for minutes in (-45, -20, 5):
        store(event(acme, "page_view", FLOOR + minutes * MINUTE, "ann"))
        store(event(acme, "page_view", FLOOR + minutes * MINUTE, "bob", session_id="s1"))
    refresh_tenant(acme.pk, now=NOW)
    with tenant_context(acme.pk):
        Tenant.objects.filter(pk=acme.pk).update(retention_days=30)
    retention_apply(tenant_id=acme.pk, now=NOW)
    store(event(acme, "page_view", FLOOR + 10 * MINUTE, "ann"))
    store(event(acme, "page_view", FLOOR + 10 * MINUTE, "bob", session_id="s1"))
    store(event(acme, "page_view", FLOOR + 300 * MINUTE, "ann"))
    refresh_tenant(acme.pk, now=NOW)
    call_command("backfill", "--tenant", "acme", "--workers", "1")
    assert total(acme, "sessions.count") == 3
    with tenant_context(acme.pk):
        assert Session.objects.count() == 3
    assert check_tenant(acme.pk, now=NOW) == []


@pytest.mark.django_db(databases=["default", "erasure"], transaction=True)
def test_an_erased_person_leaves_the_sets_of_old_days_and_counts_stay(shop: Tenant, globex: Tenant) -> None:
    before = [row[:6] for row in frozen_rows(shop)]
    bob, theirs = subject_of(tenant_id=shop.pk, distinct_id="bob"), rows(globex, BUCKETS.format(FLOOR))
    assert bob in people_of(shop)

    dry = erase_subject(tenant_id=shop.pk, distinct_id="bob", now=NOW, dry_run=True)
    assert bob in people_of(shop)
    receipt = erase_subject(tenant_id=shop.pk, distinct_id="bob", now=NOW)

    assert receipt.is_complete
    assert receipt.rows["buckets"] == dry.rows["buckets"] > 0
    assert bob not in people_of(shop)
    assert [row[:6] for row in frozen_rows(shop)] == before, "as many people as before"
    assert total(shop, "users.paying") in (2, 3), "on both sides of the edge he may be two"
    refresh_tenant(shop.pk, now=NOW)
    assert check_tenant(shop.pk, now=NOW) == []
    assert rows(globex, BUCKETS.format(FLOOR)) == theirs


def test_ids_of_an_erased_person_leave_sets_of_objects() -> None:
    swap = Swap(BitMap([7]), 99, frozenset([key_hash("bob")]))
    objects = DistinctKeys(frozenset([key_hash("bob"), key_hash("a chair")]))
    cell = Cell("objects", "", "", 0, *objects.encode())
    assert swap(cell, "distinct")[4:] == DistinctKeys(frozenset([key_hash("a chair")])).encode()
    people = Cell("people", "", "", 0, *Distinct.of([3, 7]).encode())
    assert swap(people, "distinct")[4:] == Distinct.of([3, 99]).encode()
    others = Cell("people", "", "", 0, *Distinct.of([3]).encode())
    assert swap(others, "distinct") is others
    repeat = Cell("people", "", "", 0, *Repeat(FrozenBitMap([3, 7]), FrozenBitMap([3])).encode())
    assert swap(repeat, "repeat")[4:] == Repeat(FrozenBitMap([3, 99]), FrozenBitMap([3])).encode()


def people_of(tenant: Tenant) -> set[int]:
    found: set[int] = set()
    for state in states(tenant):
        if isinstance(state, Distinct):
            found |= set(state.ids)
        elif isinstance(state, Repeat):
            found |= set(state.once) | set(state.twice)
    return found


def states(tenant: Tenant) -> list[Any]:
    """The sets of the old days."""
    kinds = {measure.id: measure.aggregate for measure in plan_for().measures}
    with tenant_context(tenant.pk):
        old = Bucket.objects.filter(start__lt=FLOOR, state__isnull=False, grain__lt=4)
        cells = list(old.values_list("measure", "n", "total", "state"))
    return [
        decode(kinds[name], n, whole, bytes(state))
        for name, n, whole, state in cells
        if state is not None and kinds[name] in ("distinct", "repeat")
    ]


def test_an_answer_from_events_says_from_when_on_they_are_there(shop: Tenant, globex: Tenant) -> None:
    asked: dict[str, Any] = {"metric": "orders.count", "start": OLD - DAY, "end": NOW, "now": NOW}
    filters = (Condition("amount", "gt", 100),)
    series = metric_series(tenant_id=shop.pk, filters=filters, **asked)
    assert (series.executor, series.events_from, series.total) == ("events", FLOOR, 2)
    values = {point.start: point.value for point in series.points}
    assert (values[OLD], values[YOUNG], values[YOUNG + DAY]) == (None, 2, 0), "not known is not zero"
    assert metric_series(tenant_id=shop.pk, **asked).events_from is None, "buckets have it all"
    theirs = metric_series(tenant_id=globex.pk, filters=filters, **asked)
    assert (theirs.events_from, theirs.total) == (None, 4)


def test_an_exploration_says_from_when_on_events_are_there(shop: Tenant, settings: Any, tmp_path: Path) -> None:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    seal_tenant(shop.pk, now=NOW, workers=1)
    asking = Asking(tenant_by_slug("acme"), NOW)

    def answer(first: date) -> dict[str, Any]:
        steps = [{"events": [name]} for name in ("order_completed", "message_sent")]
        wanted = {"steps": steps, "from": first.isoformat(), "to": "2026-04-01"}
        return explore(kind="funnel", wanted=wanted, asking=asking)

    told = answer(date(2026, 3, 1))
    assert told["events_from"] == FLOOR.isoformat()
    assert told["reading"].endswith("Events before 2026-03-21 are not kept any more and not in it.")
    assert "events_from" not in answer(date(2026, 3, 21))


def test_the_nightly_check_looks_at_days_that_can_be_counted(shop: Tenant) -> None:
    checked = {sample_check(tenant_id=shop.pk, now=NOW, seed=seed) for seed in range(12)}
    days = {row.day for row in checked if row is not None}
    assert min(days) >= date(2026, 3, 21)
    assert len(days) > 3
