"""Rows of a binary COPY taken apart, compiled: where each field lies, numbers, and Arrow's views of texts.

All fields of all rows are found in one pass; the loops hold no lock of the interpreter. Numba keeps what it compiled
below NUMBA_CACHE_DIR. Format: PostgreSQL 18, COPY, "Binary Format".
"""

from __future__ import annotations

from typing import Any, Final

import numba
from numba import boolean, int32, int64, uint8, uint32

from analytics.compiling import compiled

BYTES: Final = numba.types.Array(uint8, 1, "C", readonly=True)
SHORT: Final = 12


@compiled(boolean(BYTES, int64, int64[::1], int32[:, ::1], int32[:, ::1]), nogil=True, cache=True)
def fields(content: Any, size: Any, starts: Any, places: Any, lengths: Any) -> bool:
    """Where each field (first index) of each row begins in the first `size` bytes, and its length, -1 for null.

    False when a row is not what it should be.
    """
    count = len(places)
    for row in range(len(starts)):
        at = starts[row] + 2
        if at > size or content[at - 2] << 8 | content[at - 1] != count:
            return False
        for field in range(count):
            if at + 4 > size:
                return False
            length = int32(
                uint32(content[at]) << 24
                | uint32(content[at + 1]) << 16
                | uint32(content[at + 2]) << 8
                | uint32(content[at + 3])
            )
            at += 4
            places[field, row] = at
            lengths[field, row] = length
            if length > 0:
                at += length
        if at > size:
            return False
    return True


@compiled(int64(BYTES, int32[::1], int32[::1], int64, int64[::1], boolean[::1]), nogil=True, cache=True)
def numbers(content: Any, places: Any, lengths: Any, width: Any, values: Any, is_null: Any) -> int:
    """The big-endian numbers of `width` bytes (signed, 1 to 8), 0 where there is none; how many are null or wrong."""
    missing = 0
    for row in range(len(places)):
        if lengths[row] != width:
            values[row] = 0
            is_null[row] = True
            missing += 1
            continue
        at = places[row]
        value = int64(content[at])
        if width > 1 and value > 127:
            value -= 256
        for place in range(at + 1, at + width):
            value = value << 8 | int64(content[place])
        values[row] = value
        is_null[row] = False
    return missing


@compiled(int64(BYTES, int32[::1], int32[::1], uint32[:, ::1], boolean[::1]), nogil=True, cache=True)
def views(content: Any, places: Any, lengths: Any, found: Any, is_null: Any) -> int:
    """Arrow's string views (length; up to 12 bytes, or 4 bytes, buffer 0 and place); how many are null."""
    missing = 0
    for row in range(len(places)):
        length, at = lengths[row], places[row]
        is_null[row] = length < 0
        if length <= 0:
            missing += length < 0
            for word in range(4):
                found[row, word] = 0
            continue
        found[row, 0] = length
        words = 3 if length <= SHORT else 1
        for word in range(words):
            packed = uint32(0)
            for byte in range(min(4, max(0, length - 4 * word))):
                packed |= uint32(content[at + 4 * word + byte]) << uint32(8 * byte)
            found[row, 1 + word] = packed
        if length > SHORT:
            found[row, 2] = 0
            found[row, 3] = at
    return missing


@compiled(boolean(BYTES, int32[::1], int32[::1], uint8[:, ::1]), nogil=True, cache=True)
def uuids(content: Any, places: Any, lengths: Any, found: Any) -> bool:
    """The 16 bytes of each; False when one is missing."""
    for row in range(len(places)):
        if lengths[row] != 16:
            return False
        for byte in range(16):
            found[row, byte] = content[places[row] + byte]
    return True
