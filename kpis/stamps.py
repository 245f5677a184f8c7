"""What answers carry so that they can be trusted (S41), where they are made of several series or of single events."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

from kpis.base import Condition
from kpis.contracts import Series
from kpis.parameters import Ask
from kpis.series.context import context_read


def stamp_of(series: Collection[Series]) -> dict[str, Any]:
    """Of an answer made of these series: it is as complete as the least complete of them."""
    found = list(series)
    first = found[0]
    return {
        "filters": _plain(first.filters),
        "include": list(first.include),
        "definition_version": _together([f"{each.metric} {each.definition_version}" for each in found]),
        "data_through": min(each.data_through for each in found).isoformat(),
        "is_complete": all(each.is_complete for each in found),
        "is_partial": any(each.is_partial for each in found),
        "computed_at": max(each.computed_at for each in found).isoformat(),
        "executor": "events" if any(each.executor == "events" for each in found) else "rollup",
    }


def stamp_of_events(*, tenant_id: int, ask: Ask, rules: str) -> dict[str, Any]:
    """Of an answer that was read from events past the catalogue; `rules` are what it was read by (the SQL). Within the
    tenant that is set. Raises NoCalendar.
    """
    context = context_read(tenant_id=tenant_id, now=ask.now)
    return {
        "filters": _plain(ask.filters),
        "include": list(ask.include),
        "definition_version": _together([rules]),
        "data_through": context.data_through.isoformat(),
        "is_complete": context.is_settled(ask.period.start, ask.period.end),
        "is_partial": False,
        "computed_at": ask.now.isoformat(),
        "executor": "events",
    }


def _plain(filters: Sequence[Condition]) -> list[dict[str, Any]]:
    return [{"field": test.field, "op": test.op, "value": test.value} for test in filters]


def _together(versions: Sequence[str]) -> str:
    """One version for all: it changes when one of them does."""
    return hashlib.blake2b("\n".join(sorted(versions)).encode(), digest_size=6).hexdigest()
