"""What answers carry so that they can be trusted (S41), where they are made of several series or of single events."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from kpis.contracts import Executor, Series
from kpis.explore.stamp import Stamp
from kpis.parameters import Ask
from kpis.series.context import context_read


def stamp_of(series: Collection[Series]) -> dict[str, Any]:
    """Of an answer made of these series over one range: it is as complete as the least complete of them."""
    found = list(series)
    first = found[0]
    stamp = Stamp(
        timezone=first.timezone,
        start=first.start,
        end=first.end,
        filters=first.filters,
        include=first.include,
        definition_version=version_of(found),
        data_through=min(each.data_through for each in found),
        is_complete=all(each.is_complete for each in found),
        computed_at=max(each.computed_at for each in found),
        executor=executor_of(each.executor for each in found),
    )
    told = {**stamp.plain(), "is_partial": any(each.is_partial for each in found)}
    daily = [each.daily_visitors for each in found if each.daily_visitors is not None]
    return {**told, "daily_visitors": max(daily, key=lambda each: each.count).plain()} if daily else told


def stamp_of_events(*, tenant_id: int, ask: Ask, rules: str) -> dict[str, Any]:
    """Of an answer that was read from events past the catalogue; `rules` are what it was read by (the SQL). Within the
    tenant that is set. Raises NoCalendar.
    """
    context = context_read(tenant_id=tenant_id, now=ask.now)
    stamp = Stamp(
        timezone=context.calendar.zone,
        start=ask.period.start,
        end=ask.period.end,
        filters=ask.filters,
        include=ask.include,
        definition_version=versions_together([rules]),
        data_through=context.data_through,
        is_complete=context.is_settled(ask.period.start, ask.period.end),
        computed_at=ask.now,
        executor="events",
    )
    return {**stamp.plain(), "is_partial": False}


def version_of(series: Collection[Series]) -> str:
    """A metric's own version; of several one for all, which changes when one of them does."""
    versions = {each.metric: each.definition_version for each in series}
    if len(versions) == 1:
        return next(iter(versions.values()))
    return versions_together([f"{metric} {version}" for metric, version in versions.items()])


def executor_of(executors: Iterable[Executor]) -> Executor:
    """Events where any part of the answer had to be read from them."""
    return "events" if "events" in set(executors) else "rollup"


def versions_together(versions: Sequence[str]) -> str:
    """One version for all: it changes when one of them does."""
    return hashlib.blake2b("\n".join(sorted(versions)).encode(), digest_size=6).hexdigest()
