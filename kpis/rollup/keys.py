"""How buckets are named: dimensions, the cohorts kept apart, and the keys that are no values. Cheap to import."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

NONE_KEY = "__none__"
"""The key of rows that have no value in a dimension, so that the keys of a breakdown add up to its total."""

OVERFLOW_KEY = "__other__"
"""Takes in the keys of a bucket beyond the KEYS_PER_BUCKET with the highest n (ties: by key)."""

KEYS_PER_BUCKET = 1_000
KEY_LENGTH = 200

COHORTS = ("", "bots", "internal", "bots+internal")
"""Disjoint kinds of traffic, by is_bot + 2 * is_internal. Only the first is in a KPI unless more is asked for."""


def stored_dimension(dimension: str, cohort: str = "") -> str:
    """The dimension column of a bucket: `country`, or `bots:country` for the part that bots make."""
    return f"{cohort}:{dimension}" if cohort else dimension


def cohorts(include: Collection[str] = ()) -> tuple[str, ...]:
    """The cohorts whose states to add for `include=bots,internal`; a row that is both needs both."""
    wanted = set(include)
    return tuple(cohort for cohort in COHORTS if set(filter(None, cohort.split("+"))) <= wanted)


def key_hash(text: str) -> int:
    """64 bits of BLAKE2b: what stands for a text in a set."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
