"""From JSON text to Python values, fast for good text and patient with bad.

msgspec reads what is well formed. Text that it refuses (lone surrogates, NaN, numbers without end, nesting without
end, stray control characters) is read again by slower means, so that one bad value costs its own event and not its
neighbours. Numbers that cannot be kept become `BadNumber`, and nesting far beyond the limit is cut off; both are found
when the event is checked.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from analytics.capture.decode import TooLargeBody, UnreadableBody

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 2_000_000
COUNTED_BYTES: Final = 1024 * 1024  # smaller text cannot hold enough values to hurt
KEPT_DEPTH: Final = MAX_DEPTH + 8  # envelope levels, and enough to be seen as too deep
BAD_CHARACTERS: Final = re.compile("[\x00\ud800-\udfff]")
# Possessive, and a string that never ends reaches to the end of the text: each character is looked at once, whatever
# is written. Trying again at every quote would take minutes for some kilobytes.
TOKENS: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
INT64: Final = 2**63


class BadNumber(str):
    """A number that cannot be kept, as it was written."""

    __slots__ = ()


def read(text: bytes) -> tuple[Any, bool]:
    """The value of a JSON text, and whether its strings are known to be free of NUL and lone surrogates.

    Raises `UnreadableBody` for text that is not JSON even with patience, `TooLargeBody` for too many values.
    """
    if len(text) > COUNTED_BYTES:
        _count_values(text)
    try:
        return msgspec.json.decode(text), b"\\u0000" not in text
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return read_patiently(text), False


def read_patiently(text: bytes) -> Any:
    """The value of a JSON text with every extension that clients were seen to send."""
    characters = text.decode("utf-8", errors="replace").removeprefix("\ufeff")
    try:
        return _loads(characters)
    except RecursionError:
        pass
    except ValueError as error:
        raise UnreadableBody(f"the body is not JSON: {error}") from error
    try:
        return _loads(_flattened(characters))
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(f"the body is not JSON: {error}") from error


def clean_text(text: str) -> str:
    """Text without NUL, lone surrogates replaced by U+FFFD; PostgreSQL takes neither."""
    if not BAD_CHARACTERS.search(text):
        return text
    return BAD_CHARACTERS.sub(lambda found: "" if found[0] == "\x00" else "\ufffd", text)


def _loads(text: str) -> Any:
    return json.loads(
        text,
        strict=False,
        parse_int=_integer,
        parse_float=_float,
        parse_constant=BadNumber,
    )


def _integer(digits: str) -> int | BadNumber:
    if len(digits) > 20:  # int() of thousands of digits is refused by Python, and slow where it is not
        return BadNumber(digits[:100])
    number = int(digits)
    return number if -INT64 <= number < INT64 else BadNumber(digits)


def _float(digits: str) -> float | BadNumber:
    number = float(digits)
    return number if abs(number) != float("inf") else BadNumber(digits[:100])


def _count_values(text: bytes) -> None:
    # Ten million empty lists fit in 20 MiB of text and need a gigabyte as Python objects.
    if text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_VALUES:
        raise TooLargeBody(f"the body holds more than {MAX_VALUES} values")


def _flattened(text: str) -> str:
    """The text with everything nested deeper than the limit replaced by one string, read without recursion."""
    pieces: list[str] = []
    depth, kept_from = 0, 0
    for token in TOKENS.finditer(text):
        mark = text[token.start()]
        if mark in "[{":
            depth += 1
            if depth == KEPT_DEPTH + 1:
                pieces.append(text[kept_from : token.start()])
        elif mark in "]}":
            if depth == KEPT_DEPTH + 1:
                pieces.append('"…"')
                kept_from = token.end()
            depth -= 1
            if depth < 0:
                break  # this closes what nobody opened: it is no JSON, whatever follows
    pieces.append(text[kept_from:])
    return "".join(pieces)
