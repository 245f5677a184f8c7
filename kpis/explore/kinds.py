"""The kinds of questions: how each is written as JSON, which events it opens, how it is answered.

A new kind is an entry of `kinds`; API, jobs, pages and cache take it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from pyroaring import BitMap

from analytics.registry import Registry
from analytics.store import EventStore, event_store
from analytics.tenancy import tenant_context
from kpis.explore.fields import Strict
from kpis.explore.grammar import Asking
from kpis.explore.picks import EventPick
from kpis.explore.stamp import EventSource
from kpis.series.context import NoCalendar, context_read


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The events that a question needs: [start, end), columns, properties and names (none: all)."""

    start: datetime
    end: datetime
    columns: tuple[str, ...]
    properties: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


Open: TypeAlias = Callable[[Opening], AbstractContextManager[EventSource]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What answering needs: who asks, a way to open events, a sign of progress (done, of)."""

    asking: Asking
    open: Open
    progress: Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionKind:
    """`build` makes the frozen question of checked JSON, `picks` names its events, `answer` gives JSON-ready values.

    `people` gives those behind a place in the answer; kinds without it have no lists of people.
    """

    id: str
    body: type[Strict]
    build: Callable[[Mapping[str, Any], Asking], Any]
    picks: Callable[[Any], tuple[EventPick, ...]]
    answer: Callable[[Any, Desk], dict[str, Any]]
    people: Callable[[Any, Mapping[str, Any], Desk], BitMap] | None = None


kinds: Registry[QuestionKind] = Registry(QuestionKind)


class Bounded:
    """A store that knows no later than the tenant does: not after now, and not after the last row of what was imported,
    beyond which there is silence and not zero."""

    def __init__(self, store: EventStore, until: datetime) -> None:
        self._store, self._until = store, until
        self.engine, self.run, self.each_run = store.engine, store.run, store.each_run
        self.property, self.table = store.property, store.table

    @property
    def events(self) -> Any:
        return self._store.events

    @property
    def data_through(self) -> datetime:
        return min(self._store.data_through, self._until)


def known_until(asking: Asking) -> datetime:
    """The moment up to which the tenant's silence means that nothing happened."""
    with tenant_context(asking.tenant.id):
        try:
            return context_read(tenant_id=asking.tenant.id, now=asking.now).known_until
        except NoCalendar:
            return asking.now


def opener(
    asking: Asking, *, timeout: float | None = None, cancelled: Callable[[], bool] | None = None, engine: str = ""
) -> Open:
    """Opens the tenant's events; the tenant comes from the verified credential only."""

    until: list[datetime] = []

    @contextmanager
    def opened(wanted: Opening) -> Iterator[EventSource]:
        if not until:
            until.append(known_until(asking))
        with event_store(
            tenant_id=asking.tenant.id,
            start=wanted.start,
            end=max(wanted.end, wanted.start + timedelta(microseconds=1)),
            columns=wanted.columns,
            properties=wanted.properties,
            names=wanted.names or None,
            timeout=timeout,
            cancelled=cancelled,
            engine=engine,
        ) as store:
            yield Bounded(store, until[0])

    return opened
