"""Bodies made to keep a process busy are read in time that grows with their length and no faster."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import pytest

from analytics.capture.decode import MAX_MEMBERS, TooLargeBody, UnreadableBody, json_text
from analytics.capture.parse import read
from analytics.capture.sensitive import holds_email

EMPTY = gzip.compress(b"")
DEEP = b"[" * 2_000


def seconds(work: Callable[[], object]) -> float:
    """What it takes of a processor, whatever else the machine does; the least of three."""

    def once() -> float:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    "tail",
    [
        b"]" * 8_000_000,
        b'"' + b'\\"' * 200_000,
        b'"' * 400_001,
        b'"\\' * 200_000,
        b'"' + b"\\\\" * 200_000,
        b'"' + b"a" * 400_000,
    ],
    ids=["ends", "escaped quotes", "quotes", "quotes and backslashes", "backslashes", "letters"],
)
def test_a_deep_body_whose_string_never_ends_is_refused_at_once(tail: bytes) -> None:
    def refused() -> None:
        with pytest.raises(UnreadableBody):
            read(DEEP + tail)

    assert seconds(refused) < 2


def test_nesting_is_still_cut_off_around_strings_that_hold_brackets_and_quotes() -> None:
    hard = r'"]}\"[{\\"'
    value, _ = read(f'[{hard}, {"[" * 5_000}{hard}{"]" * 5_000}, {{"a": {hard}}}]'.encode())

    assert (value[0], value[2]) == ('"'.join(["]}", "[{\\"]), {"a": ']}"[{\\'})


def test_thousands_of_gzip_members_are_read_in_one_go() -> None:
    body = EMPTY * (MAX_MEMBERS - 2) + gzip.compress(b'{"event":') + gzip.compress(b'"a"}')

    assert seconds(lambda: json_text(body)) < 2
    assert json_text(body) == b'{"event":"a"}'


def test_a_body_of_nothing_but_members_is_refused() -> None:
    def refused() -> None:
        with pytest.raises(TooLargeBody, match="more than 10000 gzip members"):
            json_text(EMPTY * 900_000)

    assert seconds(refused) < 2


@pytest.mark.parametrize("unit", ["a", "a@", "%40", "@.", "a.", "@a.a@"])
def test_a_text_is_searched_for_addresses_in_time_that_grows_with_its_length(unit: str) -> None:
    short, long = (unit * (length // len(unit)) + "@" for length in (125_000, 1_000_000))

    assert seconds(lambda: holds_email(long)) < 24 * seconds(lambda: holds_email(short))  # with its square, 64 times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.org", True),
        ("write to <ann.o'hara+x@mail.example.org>, please", True),
        ("?to=ann%40example.org&x", True),
        ("é@example.org", True),
        ("a" * 200 + "@example.org", True),
        ("@example.org", False),
        (" @example.org", False),
        ("ann@localhost", False),
        ("ann@.org", False),
        ("10 @ 5.00", False),
        ("100%40.5", False),
    ],
)
def test_an_address_is_told_from_what_is_none(text: str, expected: bool) -> None:
    assert holds_email(text) is expected


@pytest.mark.parametrize("size", [1, 16_383, 16_384, 16_385, 300_000])
def test_members_of_any_size_meet_the_edges_of_what_is_fed(size: int) -> None:
    noise = bytes((7 * n * n + n // 3) % 95 + 32 for n in range(size)).replace(b'"', b"_").replace(b"\\", b"_")
    text = b'{"t":"' + noise + b'"}'
    for level in (0, 1, 9):
        halves = gzip.compress(text[: size // 2], level) + EMPTY + gzip.compress(text[size // 2 :], level)
        assert json_text(halves) == text
