"""One spoiled event in a batch costs nothing but itself (R16)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from analytics.capture.normalise import Arrival, event_of, replayed
from analytics.capture.parse import read
from analytics.contracts import CapturedEvent, Outcome, Refusal, TenantInfo
from tests.analytics.capture.poison import ID, POISON, event

ACME = TenantInfo(id=1, slug="acme", zone="Europe/Paris", base_currency="EUR")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def good(n: int) -> str:
    return event(f'{{"n":{n}}}', uuid=f'"{UUID(int=n + 1)}"')


def shaped(texts: list[str]) -> list[CapturedEvent | Refusal]:
    value, is_clean = read(("[" + ",".join(texts) + "]").encode())
    arrival = Arrival(tenant=ACME, received_at=NOW, is_clean=is_clean, seen={})
    return [event_of(message, arrival) for message in value]


@pytest.mark.parametrize(("text", "reason"), POISON, ids=[f"{n}-{reason}" for n, (_, reason) in enumerate(POISON)])
def test_a_spoiled_event_is_quarantined_and_its_neighbours_are_not(text: str, reason: str) -> None:
    for place in (0, 1, 4, 9):
        texts = [good(n) for n in range(10)]
        texts[place] = text
        results = shaped(texts)
        refused = results.pop(place)

        assert isinstance(refused, Refusal)
        assert (refused.outcome, refused.reason) == (Outcome.QUARANTINED, reason)
        assert refused.detail
        assert refused.event_id == ID
        assert all(isinstance(each, CapturedEvent) for each in results)
        assert [each.properties for each in results if isinstance(each, CapturedEvent)] == [
            {"n": n} for n in range(10) if n != place
        ]


@pytest.mark.parametrize(("text", "reason"), POISON, ids=[f"{n}-{reason}" for n, (_, reason) in enumerate(POISON)])
def test_a_quarantined_event_is_held_as_readable_json(text: str, reason: str) -> None:
    refused = shaped([text])[0]
    assert isinstance(refused, Refusal)
    held = msgspec.json.decode(refused.payload)
    assert set(held) == {"message", "received_at", "source", "sent_at", "is_historical"}
    again = replayed(refused.payload, tenant=ACME)
    if reason == "bad_number":
        # What could not be kept as a number is a text now, and is kept.
        assert isinstance(again, CapturedEvent) or again.reason in ("unreadable_amount", "amount_out_of_range")
    else:
        assert isinstance(again, Refusal)
        assert again.reason == reason


def test_a_replay_after_the_clock_was_corrected_stores_the_event() -> None:
    refused = shaped([event(timestamp='"2026-11-23T10:00:00Z"')])[0]
    assert isinstance(refused, Refusal)
    held = msgspec.json.decode(refused.payload)
    held["received_at"] = "2026-11-23T12:00:00Z"
    again = replayed(msgspec.json.encode(held), tenant=ACME)
    assert isinstance(again, CapturedEvent)
    assert again.timestamp == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert again.received_at - again.timestamp == timedelta(hours=2)


def test_what_is_no_object_is_rejected() -> None:
    results = shaped(["1", '"text"', "null", "[]", good(1)])
    assert [(each.outcome, each.reason) for each in results[:4] if isinstance(each, Refusal)] == [
        (Outcome.REJECTED, "not_an_object")
    ] * 4
    assert isinstance(results[4], CapturedEvent)


def test_an_event_over_a_mebibyte_is_rejected_and_counted() -> None:
    huge = event('{"text":"%s"}' % ("x" * 1_048_600))
    results = shaped([good(1), huge, event('{"n":NaN,"text":"%s"}' % ("x" * 1_048_600)), good(2)])
    assert [each.reason if isinstance(each, Refusal) else "" for each in results] == ["", "too_large", "too_large", ""]
    assert [each.payload for each in results if isinstance(each, Refusal)] == [b"", b""]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (r'"a\u0000b"', "ab"),
        (r'"a\ud800b"', "a\ufffdb"),
        (r'"\udfff"', "\ufffd"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        ('"a\tb"', "a\tb"),
        ('"\u202eabc"', "\u202eabc"),
        ('"z\u0351\u036b\u0343\u036a"', "z\u0351\u036b\u0343\u036a"),
    ],
)
def test_strange_text_is_mended_and_the_rest_is_exact(written: str, kept: str) -> None:
    results = shaped([good(0), event(f'{{"text":{written},{written}:1}}'), good(2)])
    spoiled = results[1]
    assert isinstance(spoiled, CapturedEvent)
    assert spoiled.properties == {"text": kept, kept: 1}
    assert spoiled.properties["text"].encode()


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    value, is_clean = read(b'[{"event":"a","properties":{"x":"\xc0\xaf \xff \xed\xa0\x80"}}]')
    result = event_of(value[0], Arrival(tenant=ACME, received_at=NOW, is_clean=is_clean, seen={}))
    assert isinstance(result, CapturedEvent)
    assert set(result.properties["x"]) == {"\ufffd", " "}
