"""When an event happened, each case worked by hand (INGEST.md section 5, DECISIONS.md 16)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.capture.clocks import EventTime, event_time, instant
from analytics.capture.limits import Unfit
from analytics.capture.normalise import normalise
from analytics.contracts import CapturedEvent, Refusal, TenantInfo

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACME = TenantInfo(id=1, slug="acme", zone="Europe/Paris", base_currency="EUR")


def at(raw: Any, *, sent: str | None = None, offset: Any = None) -> EventTime:
    return event_time(raw, received_at=NOON, sent_at=instant(sent), offset=offset)


@pytest.mark.parametrize(
    ("raw", "sent", "expected"),
    [
        ("2026-11-21T11:00:00Z", None, "2026-11-21T11:00:00+00:00"),
        ("2026-11-21T11:00:00.123456+00:00", None, "2026-11-21T11:00:00.123456+00:00"),
        ("2026-11-21T14:00:00+03", None, "2026-11-21T11:00:00+00:00"),
        ("2026-11-21T06:15:00-05:45", None, "2026-11-21T12:00:00+00:00"),
        ("2026-11-21", None, "2026-11-21T00:00:00+00:00"),
        ("2026-11-21T11:00:00", None, "2026-11-21T11:00:00+00:00"),  # naive: UTC
        (1_795_258_800, None, "2026-11-21T11:00:00+00:00"),
        (1_795_258_800_000, None, "2026-11-21T11:00:00+00:00"),
        (None, None, "2026-11-21T12:00:00+00:00"),
        # The client's clock is an hour slow: it said 10:30 and sent at 11:00, which was noon.
        ("2026-11-21T10:30:00Z", "2026-11-21T11:00:00Z", "2026-11-21T11:30:00+00:00"),
        # Two days fast.
        ("2026-11-23T11:50:00Z", "2026-11-23T12:00:00Z", "2026-11-21T11:50:00+00:00"),
        # An old event sent by a right clock stays where it is.
        ("2020-02-29T08:00:00Z", "2026-11-21T12:00:00Z", "2020-02-29T08:00:00+00:00"),
        ("1970-01-01T00:00:00Z", None, "1970-01-01T00:00:00+00:00"),
        ("2026-11-21T12:05:00Z", None, "2026-11-21T12:05:00+00:00"),  # 5 minutes ahead: kept
    ],
)
def test_corrected_time(raw: Any, sent: str | None, expected: str) -> None:
    time = at(raw, sent=sent)
    assert (time.timestamp.isoformat(), time.is_clamped, time.client) == (expected, False, None)


@pytest.mark.parametrize("raw", ["2026-11-21T12:05:00.000001Z", "2026-11-22T11:00:00Z"])
def test_up_to_23_hours_ahead_becomes_the_receipt_and_the_word_is_kept(raw: str) -> None:
    time = at(raw)
    assert (time.timestamp, time.is_clamped, time.client) == (NOON, True, raw)


@pytest.mark.parametrize("raw", ["2026-11-22T11:00:00.000001Z", "2036-01-01", "1969-12-31T23:59:59.999Z", "0001-01-01"])
def test_beyond_that_and_before_1970_is_refused(raw: str) -> None:
    with pytest.raises(Unfit) as refused:
        at(raw)
    assert refused.value.reason == "timestamp_out_of_range"


@pytest.mark.parametrize("raw", ["yesterday", "", "2026-02-30", "2026-11-21T25:00:00Z", {"a": 1}, [], True, "9" * 400])
def test_a_time_that_cannot_be_read_is_the_receipt_with_the_word_kept(raw: Any) -> None:
    time = at(raw)
    assert (time.timestamp, time.is_clamped, time.client) == (NOON, False, str(raw)[:100])


def test_an_offset_counts_back_from_the_receipt_and_wins() -> None:
    time = at("2020-01-01", sent="2026-11-21T11:00:00Z", offset=90_000)
    assert time.timestamp == NOON - timedelta(seconds=90)


def test_a_client_may_forbid_the_correction() -> None:
    message = {
        "event": "page_view",
        "timestamp": "2026-11-21T10:00:00Z",
        "properties": {"$ignore_sent_at": True},
    }
    event = normalise(message, tenant=ACME, received_at=NOON, sent_at=NOON - timedelta(hours=1))
    assert isinstance(event, CapturedEvent)
    assert event.timestamp == datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_clocks_from_ten_years_slow_to_ten_years_fast_are_put_right() -> None:
    chance = random.Random(15)
    ids: set[str] = set()
    for _ in range(1_000):
        skew = timedelta(days=chance.uniform(-3650, 3650))
        age = timedelta(seconds=chance.uniform(0, 3600))
        transit = timedelta(milliseconds=chance.uniform(0, 900))
        received = NOON + timedelta(seconds=chance.uniform(0, 7200))
        sent = received - transit + skew
        happened = received - transit - age
        message = {"event": "page_view", "uuid": "one", "timestamp": (happened + skew).isoformat()}
        event = normalise(message, tenant=ACME, received_at=received, sent_at=sent)
        assert isinstance(event, CapturedEvent)
        assert abs(event.timestamp - happened) <= timedelta(seconds=1)
        ids.add(event.event_id)
    assert ids == {"one"}


def test_without_a_sending_time_no_event_lies_more_than_five_minutes_ahead() -> None:
    chance = random.Random(16)
    for _ in range(1_000):
        said = NOON + timedelta(days=chance.uniform(-3650, 3650))
        message = {"event": "page_view", "timestamp": said.isoformat()}
        event = normalise(message, tenant=ACME, received_at=NOON)
        if isinstance(event, Refusal):
            assert (event.reason, said - NOON > timedelta(hours=23)) == ("timestamp_out_of_range", True)
        else:
            assert event.timestamp <= NOON + timedelta(minutes=5)


def test_retries_with_another_sending_time_keep_id_and_hash() -> None:
    message = {"event": "page_view", "distinct_id": "u", "timestamp": "2026-11-21T10:00:00Z", "properties": {"a": 1}}
    tries = [
        normalise(
            dict(message), tenant=ACME, received_at=NOON + timedelta(minutes=n), sent_at=NOON + timedelta(seconds=n)
        )
        for n in range(1_000)
    ]
    assert len({(each.event_id, each.payload_hash) for each in tries if isinstance(each, CapturedEvent)}) == 1
