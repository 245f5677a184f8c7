"""Says of an answer that it asks for a time of which events are not kept any more."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from analytics.filters import calendar_of
from analytics.retention import kept_from
from kpis.explore.grammar import Asking
from kpis.explore.kinds import Open, Opening
from kpis.explore.stamp import EventSource


def noting(opens: Open, starts: list[datetime]) -> Open:
    """The same, with the instants from which events are read added to `starts`."""

    def opened(wanted: Opening) -> AbstractContextManager[EventSource]:
        starts.append(wanted.start)
        return opens(wanted)

    return opened


def with_events_from(answer: dict[str, Any], starts: list[datetime], asking: Asking) -> dict[str, Any]:
    """The answer, with `events_from` and a sentence where it reaches back to events that are gone."""
    since = kept_from(tenant_id=asking.tenant.id) if starts else None
    if since is None or min(starts) >= since:
        return answer
    told = f"Events before {calendar_of(asking.tenant).local_date(since)} are not kept any more and not in it."
    reading = f"{answer['reading']} {told}" if answer.get("reading") else told
    return {**answer, "reading": reading, "events_from": since.isoformat()}
