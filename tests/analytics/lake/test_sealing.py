"""What is sealed is what was stored, and only what changed is sealed again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from analytics.contracts import IdentityLink, LinkKind
from analytics.identity import identity_merge, identity_unmerge, subject_of
from analytics.lake import sealing
from analytics.lake.sealing import cut, span_around
from analytics.lake.services import lake_due, lake_mark, lake_tick
from analytics.models import Tenant
from analytics.rates import Rate, rates_import
from analytics.store import event_store
from analytics.tenancy import tenant_by_slug
from tests.analytics.events import NOON, event, rows, write
from tests.analytics.lake.lakes import (
    DAY,
    FIRST,
    LAST,
    event_ids,
    files_of,
    lake_rows,
    live,
    on_disk,
    pieces,
    seal,
    stored_ids,
)

pytestmark = pytest.mark.django_db
MIDNIGHT = NOON - timedelta(hours=12)

# The same question in both languages; compared cell by cell.
PARITY = """
SELECT e.name, count(*)::int, count(DISTINCT s.person_id)::int, sum(amount_base)::int, count(session_id)::int,
       count(*) FILTER (WHERE is_bot)::int, max(e.properties ->> 'plan'), sum(duration_ms)
  FROM bw_event e LEFT JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id GROUP BY 1 ORDER BY 1"""


def asked(tenant: Tenant) -> list[tuple[Any, ...]]:
    with event_store(
        tenant_id=tenant.pk, start=FIRST, end=LAST, columns=("session_id",), properties=("plan",)
    ) as store:
        e = store.events
        answer = store.run(
            e.group_by("name")
            .agg(
                n=e.count(), people=e.person_id.nunique(), worth=e.amount_base.sum(), sessions=e.session_id.count(),
                bots=e.is_bot.ifelse(1, 0).sum(), plan=store.property("plan").max(), spent=e.duration_ms.sum(),
            )
            .order_by("name")
        )  # fmt: skip
    return [tuple(row.values()) for row in answer.to_pylist()]


def history(tenant: Tenant) -> None:
    """Three days: people and nobody, money, bots, sessions, all kinds of properties, a name that sorts by its bytes."""
    write(
        tenant,
        [
            event(tenant, "a", distinct_id="ann", name="signup", properties={"plan": "pro", "n": 1.5}),
            event(tenant, "b", distinct_id="ann", name="order_completed", minute=5, amount=1999, currency="EUR"),
            event(tenant, "c", distinct_id="bob", name="order_completed", minute=1440, amount=500, currency="EUR"),
            event(tenant, "d", name="Überraschung", minute=1441, properties={"plan": "free"}, is_bot=True),
            event(tenant, "e", distinct_id="bob", minute=2880, session_id="s-1", duration_ms=12.5),
            event(tenant, "f", distinct_id="ann", minute=2881, session_id="s-2", source="sdk", country="FR"),
        ],
    )


def test_the_lake_answers_as_postgresql_does_and_each_tenant_for_itself(
    acme: Tenant, globex: Tenant, lake: Path
) -> None:
    history(acme)
    write(globex, [event(globex, "g", distinct_id="ann", name="signup")])

    done = seal(acme)

    assert (done.pieces, done.events) == (3, 6)
    assert asked(acme) == rows(acme, PARITY)
    assert event_ids(acme) == stored_ids(acme) == ["a", "b", "c", "d", "e", "f"]
    assert event_ids(globex) == [], "its own seal has not run"
    seal(globex)
    assert asked(globex) == rows(globex, PARITY)
    assert pieces(acme) == [(MIDNIGHT + n * DAY, MIDNIGHT + (n + 1) * DAY, 2) for n in range(3)]


def test_rows_lie_by_name_person_and_time_and_equal_times_keep_the_order_of_receipt(acme: Tenant, lake: Path) -> None:
    write(acme, [event(acme, "late", distinct_id="ann", name="z"), event(acme, "x", distinct_id="ann", minute=1)])
    write(acme, [event(acme, "tie", distinct_id="ann", name="a", received_at=NOON + timedelta(seconds=1))])
    write(acme, [event(acme, "nobody", name="z", minute=9)])
    seal(acme)

    with event_store(tenant_id=acme.pk, start=FIRST, end=LAST, columns=("event_id",)) as store:
        e = store.events
        found = store.run(e.order_by("line").select("name", "person_id", "seq", "event_id"))

    ann = subject_of(tenant_id=acme.pk, distinct_id="ann")
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("a", ann, 1, "tie"),
        ("page_viewed", ann, 0, "x"),
        ("z", None, 0, "nobody"),
        ("z", ann, 0, "late"),
    ]


def test_a_late_event_has_its_own_day_written_again_and_no_other(acme: Tenant, lake: Path) -> None:
    history(acme)
    seal(acme)
    before = {piece.start: piece.path for piece in live(acme)}

    write(acme, [event(acme, "late", minute=1500, received_at=NOON + 10 * DAY)])
    done = seal(acme)

    after = {piece.start: piece.path for piece in live(acme)}
    assert (done.pieces, done.events) == (1, 3)
    assert [start for start in before if before[start] != after[start]] == [MIDNIGHT + DAY]
    assert event_ids(acme) == stored_ids(acme)
    assert seal(acme).pieces == 0, "nothing is left to do"


def test_a_merge_and_its_undoing_reach_the_days_of_the_person_only(acme: Tenant, lake: Path) -> None:
    history(acme)
    seal(acme)
    ann, bob = (subject_of(tenant_id=acme.pk, distinct_id=name) for name in ("ann", "bob"))

    edge = identity_merge(tenant_id=acme.pk, left=ann, right=bob, actor="olga", reason="same", now=NOON)
    assert seal(acme).pieces == 2, "bob's two days"
    assert asked(acme) == rows(acme, PARITY)
    assert {person for _, person in lake_rows(acme, "name", "person_id")} == {None, ann}

    identity_unmerge(tenant_id=acme.pk, edge_id=edge.pk, actor="olga", reason="not", now=NOON)
    seal(acme)
    assert {person for _, person in lake_rows(acme, "name", "person_id")} == {None, ann, bob}
    assert asked(acme) == rows(acme, PARITY)


def test_merges_of_stored_events_mark_the_lake_too(acme: Tenant, lake: Path) -> None:
    write(acme, [event(acme, "a", distinct_id="anon")])
    seal(acme)
    write(
        acme,
        [
            event(
                acme,
                "b",
                distinct_id="ann",
                minute=2000,
                identifies=True,
                links=(IdentityLink(other="anon", kind=LinkKind.IDENTIFY),),
            )
        ],
    )
    seal(acme)
    assert len({person for _, person in lake_rows(acme, "event_id", "person_id")}) == 1


def test_a_rate_that_arrives_later_is_worth_a_seal(acme: Tenant, lake: Path) -> None:
    write(acme, [event(acme, "usd", amount=1000, currency="USD")])
    seal(acme)
    assert lake_rows(acme, "amount", "amount_base") == [(1000, None)]
    rates_import(tenant=tenant_by_slug("acme"), rates=[Rate(NOON.date(), "USD", Decimal("0.9"))], now=NOON)
    seal(acme)
    assert lake_rows(acme, "amount", "amount_base") == [(1000, 900)]


def test_what_is_sealed_in_postgresql_is_nowhere_in_the_lake(acme: Tenant, lake: Path) -> None:
    mail = "canary-7@example.org"
    write(acme, [event(acme, "a", distinct_id=mail, properties={"plan": "pro"}, sensitive={"email": mail})])
    seal(acme)
    assert b"canary" not in on_disk(lake)
    assert b"sealed" not in on_disk(lake)
    with event_store(tenant_id=acme.pk, start=FIRST, end=LAST, properties=("$sealed", "plan")) as store:
        found = store.run(store.events.select("property_0", "property_1")).to_pylist()
    assert found == [{"property_0": None, "property_1": "pro"}]


def test_data_through_is_the_moment_before_which_nothing_is_missing(acme: Tenant, lake: Path) -> None:
    history(acme)
    seal(acme)
    write(acme, [event(acme, "new", minute=3)], now=NOON + timedelta(hours=1))
    write(acme, [event(acme, "newer", minute=4)], now=NOON + timedelta(hours=2))

    def through(start: datetime, end: datetime) -> datetime:
        with event_store(tenant_id=acme.pk, start=start, end=end) as store:
            return store.data_through

    assert through(FIRST, LAST) == NOON + timedelta(hours=1)
    assert through(MIDNIGHT + DAY, LAST) > NOON + 30 * DAY, "that day has nothing that waits: as of now"
    seal(acme)
    assert through(FIRST, LAST) > NOON + 30 * DAY


def test_a_reader_keeps_the_snapshot_it_opened(acme: Tenant, lake: Path) -> None:
    history(acme)
    seal(acme)
    with event_store(tenant_id=acme.pk, start=FIRST, end=LAST) as store:
        write(acme, [event(acme, "late", minute=3)])
        seal(acme)
        assert store.run(store.events.count().name("n").as_table()).to_pylist() == [{"n": 6}]
    assert len(event_ids(acme)) == 7


def test_a_day_too_large_for_one_piece_is_cut_at_hours_and_only_a_touched_part_is_written_again(
    acme: Tenant, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "cut", lambda counts, start, end: cut(counts, start, end, limit=4))
    write(acme, [event(acme, f"e{n}", minute=10 * n - 600) for n in range(48)])  # six an hour, 02:00 to 10:00
    assert seal(acme).events == 48
    found = pieces(acme)
    assert [rows for _, _, rows in found] == [6] * 8
    assert (found[0][0], found[-1][1]) == (MIDNIGHT, MIDNIGHT + DAY)
    assert all(left[1] == right[0] for left, right in pairwise(found)), "no hour is left out"

    write(acme, [event(acme, "late", minute=-305)])
    assert seal(acme).events == 7
    assert event_ids(acme) == stored_ids(acme)


def test_hours_of_the_last_days_are_due_at_once_and_older_ones_after_a_pause(acme: Tenant, lake: Path) -> None:
    history(acme)
    write(acme, [event(acme, "old", minute=-60 * 24 * 20)])
    later = NOON + 2 * DAY
    lake_tick(now=later)
    assert len(event_ids(acme)) == 7, "its mark is two days old by then"
    write(acme, [event(acme, "older", minute=-60 * 24 * 21)], now=later)
    lake_tick(now=later)
    assert "older" not in event_ids(acme)
    lake_tick(now=later + timedelta(minutes=31))
    assert event_ids(acme) == stored_ids(acme)


def test_a_dry_run_counts_and_changes_nothing(acme: Tenant, lake: Path) -> None:
    history(acme)
    assert lake_due(tenant_id=acme.pk, now=NOON) == (3, 6)
    assert lake_due(tenant_id=acme.pk, span=(MIDNIGHT, MIDNIGHT + DAY), now=NOON) == (1, 2)
    assert files_of(lake, acme) == []
    assert seal(acme).events == 6


def test_a_range_is_sealed_anew_on_demand_and_empty_hours_lose_their_piece(acme: Tenant, lake: Path) -> None:
    history(acme)
    seal(acme)
    rows(acme, "DELETE FROM bw_event WHERE event_id IN ('e', 'f') RETURNING 1")
    lake_mark(tenant_id=acme.pk, start=FIRST, end=LAST, reason="rebuild", now=NOON)
    assert seal(acme, start=MIDNIGHT + DAY, end=LAST).pieces == 1
    assert [rows for _, _, rows in pieces(acme)] == [2, 2]
    assert seal(acme).pieces == 1, "the day before the range was marked and waited"


def test_the_free_hours_around_an_hour_are_sealed_together() -> None:
    assert span_around([], NOON) == (MIDNIGHT, MIDNIGHT + DAY)
    assert cut([(MIDNIGHT, 5), (NOON, 6)], MIDNIGHT, MIDNIGHT + DAY, limit=5) == [
        (MIDNIGHT, NOON),
        (NOON, MIDNIGHT + DAY),
    ]
    assert cut([], MIDNIGHT, MIDNIGHT + DAY) == [(MIDNIGHT, MIDNIGHT + DAY)]
    assert datetime(1970, 1, 1, tzinfo=UTC) < MIDNIGHT
