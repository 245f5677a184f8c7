"""Days as people write them on a command line."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import date

from analytics.filters import EARLIEST, LATEST


def day(text: str) -> date:
    """The day of `2026-11-21`. Raises ArgumentTypeError, whose words argparse prints beside the option's name."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write it as in 2026-11-21") from None
    if not EARLIEST.date() < found < LATEST.date():
        raise ArgumentTypeError(f"{text} lies outside the years 1970 to {LATEST.year - 1}")
    return found
