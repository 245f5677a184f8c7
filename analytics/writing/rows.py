"""From a captured event to a row of the staging table, as bytes."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from datetime import datetime
from struct import Struct
from typing import Any, Final
from uuid import NAMESPACE_OID

import msgspec

from analytics.contracts import CapturedEvent
from analytics.writing import wire
from analytics.writing.staging import COLUMNS

_HEAD: Final = Struct(">hiiiii16siqiQQiqiq" + "i?" * 4)
_NULL: Final = wire.NULL
_encode_json: Final = msgspec.json.Encoder(order=None).encode
_cells: Final = wire.TextCells()
_cell: Final = _cells.__getitem__


def dedupe_key(event_id: str) -> bytes:
    """The 16 bytes an event id is known by: itself when it is a UUID, else a UUID made of it (version 5)."""
    if len(event_id) == 36 and event_id[8] == event_id[13] == event_id[18] == event_id[23] == "-":
        try:
            key = bytes.fromhex(event_id.replace("-", ""))
        except ValueError:
            key = b""
        if len(key) == 16:
            return key
    digest = bytearray(hashlib.sha1(NAMESPACE_OID.bytes + event_id.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def event_uuids() -> Iterator[tuple[int, int]]:
    """Endless version 7 UUIDs as two 64-bit halves, in rising order within a call of this function."""
    high = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 16 | 0x7000
    low = 0x8000_0000_0000_0000 | int.from_bytes(os.urandom(8), "big") >> 2
    step = 1 + int.from_bytes(os.urandom(5), "big")
    while True:
        yield high, low
        low += step
        if low >= 0xC000_0000_0000_0000:
            # The 62 random bits are used up: go on in the next value of the 12 bits above them.
            high, low = high + 1, low - 0x4000_0000_0000_0000


def encode_row(
    place: int,
    event: CapturedEvent,
    uuid: tuple[int, int],
    *,
    key: bytes,
    subject_id: int | None,
    amount_base: int | None,
    properties: dict[str, Any],
    instant: Instants,
) -> bytes:
    """One binary COPY row. Raises TypeError, ValueError (UnicodeError) for what PostgreSQL could never take."""
    body = _encode_json(properties)
    value, duration, amount, sentiment = event.value, event.duration_ms, event.amount, event.sentiment
    sent_at = event.sent_at
    parts = [
        _HEAD.pack(
            len(COLUMNS), 4, place, 4, event.tenant_id, 16, key, 8, event.payload_hash, 16, *uuid,
            8, wire.microseconds(event.timestamp), 8, instant[event.received_at],
            1, event.is_bot, 1, event.is_internal, 1, event.is_historical, 1, event.is_clamped,
        ),
        _NULL if subject_id is None else wire.pack_int4(4, subject_id),
        _NULL if sent_at is None else wire.pack_int8(8, instant[sent_at]),
        _NULL if value is None else wire.pack_float8(8, value),
        _NULL if duration is None else wire.pack_float8(8, duration),
        _NULL if amount is None else wire.pack_int8(8, amount),
        _NULL if amount_base is None else wire.pack_int8(8, amount_base),
        _NULL if sentiment is None else wire.pack_float8(8, sentiment),
        wire.text_cell(event.event_id),
        wire.text_cell(event.session_id),
        wire.text_cell(event.object_id),
        wire.text_cell(event.client_timestamp),
        wire.text_cell(event.parent_id),
        _cell(event.name), _cell(event.type), _cell(event.action), _cell(event.source), _cell(event.platform),
        _cell(event.country), _cell(event.campaign), _cell(event.channel), _cell(event.content_type),
        _cell(event.object_type), _cell(event.method), _cell(event.tier), _cell(event.reason), _cell(event.currency),
        _cell(event.engagement), _cell(event.bot_reason),
        wire.pack_length(len(body) + 1), b"\x01", body,
    ]  # fmt: skip
    return b"".join(parts)


class Instants(dict[datetime, int]):
    """Microseconds of instants that many events of a batch share (receipt and sending)."""

    def __missing__(self, moment: datetime) -> int:
        found = self[moment] = wire.microseconds(moment)
        return found
