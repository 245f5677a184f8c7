"""The parts of the live socket that need no server: threads, origins of questions, what is kept for a resume."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection

from analytics.access.keys import KeyInfo
from analytics.contracts import TenantInfo
from analytics.tenancy import tenant_by_slug
from reports.live import answers, desk
from reports.live.access import Credential, Holder
from reports.live.answers import Question
from reports.live.consumer import Allowance
from reports.live.feed import Feed, FeedKey
from reports.live.protocol import Complaint
from reports.live.stream import KEPT_MESSAGES, Stream, Subscription

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
async def test_a_desk_keeps_its_connection_while_it_works_and_none_while_idle(
    monkeypatch: pytest.MonkeyPatch, database_urls: dict[str, str], settings: Any
) -> None:
    monkeypatch.setattr(desk, "IDLE_SECONDS", 0.3)
    worker = desk.Desk("test", threads=1)
    pid = await worker.run(backend)

    def lives() -> bool:
        with psycopg.connect(database_urls["DATABASE_URL"]) as other:
            found = other.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
        return found == (1,)

    for _ in range(40):
        if not await asyncio.to_thread(lives):
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the connection of an idle desk is still there")
    assert await worker.run(lambda: 7) == 7
    worker.close()


async def test_a_desk_hands_on_what_was_raised_and_goes_on() -> None:
    worker = desk.Desk("test", threads=1)

    def broken() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await worker.run(broken)
    assert await worker.run(lambda: "next") == "next"
    worker.close()


@pytest.mark.parametrize(
    ("range_", "query", "text"),
    [
        ("", "", "period=today"),
        ("today", "", "period=today"),
        ("", "?country=FR&period=last_30d", "country=FR&period=last_30d"),
        ("", {"period": "last_30d", "country": "FR"}, "country=FR&period=last_30d"),
        ("", "period=today&granularity=hour&by=country&limit=5", "period=today"),
        ("", "from=2026-11-01&to=2026-11-08", "from=2026-11-01&to=2026-11-08"),
        ("realtime", "", "realtime"),
    ],
)
def test_one_question_is_written_one_way(range_: str, query: Any, text: str) -> None:
    assert Question.of(range_, query).text == text


def test_a_question_is_not_asked_twice_over() -> None:
    for range_, query in (("realtime", "country=FR"), ("today", "period=today"), ("", "&".join(["a=b"] * 60))):
        with pytest.raises(Complaint):
            Question.of(range_, query)


def test_an_unchanged_version_is_no_answer(acme: Any, globex: Any) -> None:
    tenant = tenant_by_slug("acme")
    question = Question.of("today", "")

    def read(tag: str, of: TenantInfo = tenant) -> answers.Answer | None:
        return answers.answer_read(tenant=of, question=question, metrics=["orders.count"], known_tag=tag, now=NOW)

    first = read("")
    assert first is not None
    assert read(first.tag) is None
    assert read(first.tag, tenant_by_slug("globex")) is not None


def stream_of(count: int) -> tuple[Stream, Subscription]:
    """A stream with one subscription to a feed that somebody else fills."""
    tenant = TenantInfo(id=1, slug="acme", zone="UTC", base_currency="EUR", week_start=0)
    info = KeyInfo(tenant=tenant, kind="sk", scopes=frozenset())
    feed = Feed(FeedKey(tenant, "key", Question("period=today")), desk=desk.Desk("none", threads=1), clock=lambda: NOW)
    feed.values, feed.head = {f"m{n}": "0" for n in range(count)}, '"as_of":null'
    stream = Stream(Holder(Credential("key", "secret"), info), lambda: None)
    subscription = Subscription("", feed, tuple(feed.values), 1.0, lambda: None)
    stream.subscriptions[""] = subscription
    return stream, subscription


async def test_news_in_between_are_one_message_and_a_return_is_none() -> None:
    stream, subscription = stream_of(2)
    assert [*stream.due(0.0)] == ['{"type":"snapshot","seq":1,"as_of":null,"values":{"m0":0,"m1":0}}']
    for value in ("1", "2", "3"):
        subscription.feed.values = subscription.feed.values | {"m0": value}
        assert [*stream.due(0.5)] == []
    assert stream.next_at() == 0.9
    assert [*stream.due(1.0)] == ['{"type":"delta","seq":2,"as_of":null,"values":{"m0":3}}']
    subscription.feed.values = {"m0": "9", "m1": "0"}
    subscription.feed.values = {"m0": "3", "m1": "0"}
    assert [*stream.due(9.0)] == []
    assert stream.next_at() == float("inf")


async def test_what_is_kept_for_a_resume_is_bounded() -> None:
    stream, subscription = stream_of(50)
    for number in range(100):
        subscription.feed.values = dict.fromkeys(subscription.metrics, f'"{number}{"x" * 40}"')
        assert len([*stream.due(float(number))]) == 1
    kept = stream.kept_after(99)
    assert kept is not None
    assert len(kept) == 1
    assert stream.kept_after(100) == []
    assert stream.kept_after(101) is None
    assert stream.kept_after(0) is None
    assert sum(map(len, stream.kept_after(stream.seq - 5) or [])) < 32 * 1024
    assert len(stream._kept) <= KEPT_MESSAGES
    assert "secret" not in repr(stream.holder)


def test_an_allowance_refills() -> None:
    allowance = Allowance()
    assert [allowance.take(0.0) for _ in range(21)] == [True] * 20 + [False]
    assert [allowance.take(1.0) for _ in range(6)] == [True] * 5 + [False]
