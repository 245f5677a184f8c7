"""Answers that are remembered: in this process first, then in Redis, and never longer than they are true.

    from analytics.cache import DASHBOARD, METRICS, Audience, cached

    @cached(ttl=DASHBOARD, tags=(METRICS,))
    def overview(*, audience: Audience, names: Sequence[str], ask: Ask) -> dict[str, Any]: ...

One place builds every key (`keys.py`), from the verified credential. Redis may be emptied or killed at any moment:
that costs time and nothing else.
"""

from analytics.cache.answers import Cache, cache, cached, drop, drop_after_commit
from analytics.cache.keys import Audience, definitions_from
from analytics.cache.lifetimes import (
    ANNOTATIONS,
    BROWSER,
    DASHBOARD,
    DAY,
    DEFINITIONS,
    EVERYTHING,
    GOALS,
    HOUR,
    LIVE,
    MAPPING,
    METRICS,
    REVENUE,
    ROLES,
    TENANT,
    USAGE,
    WEEK,
)
from analytics.cache.listening import dropped_by
from analytics.cache.warm import Warmer, remember, warmers

__all__ = [
    "ANNOTATIONS",
    "BROWSER",
    "DASHBOARD",
    "DAY",
    "DEFINITIONS",
    "EVERYTHING",
    "GOALS",
    "HOUR",
    "LIVE",
    "MAPPING",
    "METRICS",
    "REVENUE",
    "ROLES",
    "TENANT",
    "USAGE",
    "WEEK",
    "Audience",
    "Cache",
    "Warmer",
    "cache",
    "cached",
    "definitions_from",
    "drop",
    "drop_after_commit",
    "dropped_by",
    "remember",
    "warmers",
]
