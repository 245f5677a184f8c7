"""How the cache does, over all processes: figures of the last hours, as people read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings

from analytics.cache.answers import ALONE, COMPUTED, MEMORY, SHARED, WAITED, cache
from analytics.cache.lifetimes import EVERYTHING, TENANT
from analytics.cache.shared import Away

HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Asked:
    """How often something was asked, and where its answer came from. `milliseconds` is the mean of working it out."""

    name: str
    memory: int
    shared: int
    waited: int
    computed: int
    milliseconds: int | None

    @property
    def total(self) -> int:
        return self.memory + self.shared + self.waited + self.computed

    @property
    def hit_rate(self) -> float | None:
        """The share that nobody had to work out; null when nothing was asked."""
        return (self.total - self.computed) / self.total if self.total else None

    @property
    def percent(self) -> int:
        return round(100 * (self.hit_rate or 0))


@dataclass(frozen=True, slots=True)
class Status:
    """The cache at this moment. `is_away` says that Redis does not answer, so that there are no figures."""

    is_enabled: bool
    is_away: bool
    hours: int
    all: Asked
    names: tuple[Asked, ...]
    entries: int
    bytes: int


def cache_status(*, now: datetime, hours: int = HOURS) -> Status:
    """Of the last `hours`, all processes together; `entries` and `bytes` are of this process's memory."""
    cache().flush()
    last, is_away = int(now.timestamp() // 3600), False
    counts: Counter[str] = Counter()
    try:
        for found in cache().shared.counts(range(last - hours + 1, last + 1)):
            counts.update(found)
    except Away:
        is_away = True
    names = sorted({key.rpartition("|")[0] for key in counts})
    rows = tuple(_asked(name, counts, [name]) for name in names)
    entries, size = cache().memory.size
    return Status(
        is_enabled=settings.CACHE_ENABLED,
        is_away=is_away,
        hours=hours,
        all=_asked("", counts, names),
        names=tuple(sorted(rows, key=lambda row: -row.total)),
        entries=entries,
        bytes=size,
    )


def _asked(title: str, counts: Mapping[str, int], names: list[str]) -> Asked:
    def total(outcome: str) -> int:
        return sum(counts.get(f"{name}|{outcome}", 0) for name in names)

    computed = total(COMPUTED) + total(ALONE)
    return Asked(
        name=title,
        memory=total(MEMORY),
        shared=total(SHARED),
        waited=total(WAITED),
        computed=computed,
        milliseconds=round(total("ms") / computed) if computed else None,
    )


def cache_clear(*, tenant_id: int | None) -> bool:
    """Forget the tenant's answers, or (None) everybody's. False while Redis is away: then others follow when it is
    back."""
    if tenant_id is None:
        return cache().drop(EVERYTHING)
    return cache().drop(TENANT, tenant_id=tenant_id)
