"""Numbers as people write and read them on a command line."""

from __future__ import annotations

from argparse import ArgumentTypeError


def at_least_one(text: str) -> int:
    """Raises ArgumentTypeError, whose words argparse prints beside the option's name."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def mebibytes(count: int) -> str:
    """So many bytes, as in `1,024.5 MiB`."""
    return f"{count / 2**20:,.1f} MiB"
