"""Bodies as released clients wrap them, and bodies made to hurt."""

from __future__ import annotations

import base64
import gzip
import time
import tracemalloc
import zlib
from urllib.parse import quote

import pytest
import zstandard

from analytics.capture.decode import TooLargeBody, UnreadableBody, json_text
from analytics.capture.parse import read

TEXT = b'{"event":"page_view","properties":{"q":"a+b c"}}'
BASE64 = base64.b64encode(TEXT)
MIB = 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        TEXT,
        b" \r\n" + TEXT,
        gzip.compress(TEXT),
        gzip.compress(TEXT[:10]) + gzip.compress(TEXT[10:]),
        zlib.compress(TEXT, 1),
        zlib.compress(TEXT, 9),
        zstandard.compress(TEXT),
        BASE64,
        BASE64.rstrip(b"="),
        BASE64.replace(b"+", b" "),
        base64.urlsafe_b64encode(TEXT),
        b"data=" + quote(BASE64, safe="").encode(),
        b"data=" + quote(BASE64, safe="").encode() + b"&ip=1",
        b"data=" + BASE64,
        b"data=" + quote(base64.b64encode(gzip.compress(TEXT)), safe="").encode(),
        b"data=" + quote(TEXT, safe="").encode(),
        base64.b64encode(gzip.compress(TEXT)),
    ],
    ids=range(17),
)
def test_every_wrapping_gives_the_same_text(body: bytes) -> None:
    assert json_text(body).strip() == TEXT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\x00\x01\x02",
        b"\x1f\x8b",
        gzip.compress(TEXT)[:-12],
        gzip.compress(TEXT)[:12],
        gzip.compress(gzip.compress(TEXT)),
        zlib.compress(TEXT)[:-8],
        b"\x28\xb5\x2f\xfd" + b"garbage",
        b"data=",
        b"data=%zz",
        b"<html></html>",
        base64.b64encode(b"no json"),
    ],
    ids=range(13),
)
def test_what_cannot_be_read_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        json_text(body)


def test_lz64_is_refused_and_the_remedy_named() -> None:
    with pytest.raises(UnreadableBody, match="gzip-js"):
        json_text(BASE64, compression="lz64")


def zeros(mebibytes: int) -> bytes:
    return b'{"x":"' + b"0" * (mebibytes * MIB) + b'"}'


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(zeros(200), 9),
        zlib.compress(zeros(200), 9),
        zstandard.compress(zeros(200)),
        base64.b64encode(gzip.compress(zeros(100), 9)),
        gzip.compress(zeros(20), 9) * 5,
        b"data=" + quote(base64.b64encode(gzip.compress(zeros(100), 9)), safe="").encode(),
    ],
    ids=["gzip", "zlib", "zstd", "base64", "members", "form"],
)
def test_a_bomb_stops_in_50_ms_and_16_mebibytes(bomb: bytes) -> None:
    tracemalloc.start()
    begun = time.perf_counter()
    with pytest.raises(TooLargeBody):
        json_text(bomb)
    taken = time.perf_counter() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MIB
    assert taken < 0.5  # 50 ms on a quiet machine


def test_a_body_that_inflates_past_50_mebibytes_slowly_is_refused() -> None:
    line = bytes(range(256)) * 16
    with pytest.raises(TooLargeBody, match="inflates to more than 52428800"):
        json_text(gzip.compress(line * (51 * MIB // len(line)) + zlib.compress(line), 0))


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"1,", b'{"a":0},'])
def test_millions_of_tiny_values_are_refused(unit: bytes) -> None:
    body = b"[" + unit * (18 * MIB // len(unit)) + b"0]"
    with pytest.raises(TooLargeBody):
        read(body)


@pytest.mark.parametrize(
    "text", [b"{", b'{"a":', b"[1,]", b"{'a':1}", b"[1 2]", b'{"a":1}}', b'["' + b"\\" * 5, b"[" * 100_000]
)
def test_text_that_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(UnreadableBody):
        read(text)


def test_strings_are_known_to_be_clean_unless_an_escape_says_nul() -> None:
    assert read(b'{"a":"b"}') == ({"a": "b"}, True)
    assert read(rb'{"a":"b\u0000"}') == ({"a": "b\x00"}, False)
    assert read(rb'{"a":"\ud800"}') == ({"a": "\ud800"}, False)
    assert read(b'\xef\xbb\xbf{"a":1}') == ({"a": 1}, False)
    assert read(b'{"a":1,"a":2}') == ({"a": 2}, True)
