"""The kinds of questions: how each is written as JSON, which events it opens, how it is answered.

A new kind is an entry of `kinds`; API, jobs, pages and cache take it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap, FrozenBitMap

from analytics.daily_visitors import NOBODY
from analytics.lake.runs import Coded, Run
from analytics.registry import Registry
from analytics.store import EventStore, event_store
from analytics.tenancy import tenant_context
from kpis.explore.fields import Strict
from kpis.explore.grammar import Asking
from kpis.explore.picks import EventPick
from kpis.explore.stamp import EventSource
from kpis.series.context import Context, NoCalendar, context_read

T = TypeVar("T")
PEOPLE: Final = "segment_people"
"""The table of those whose events alone are asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The events that a question needs: [start, end), columns, properties and names (none: all)."""

    start: datetime
    end: datetime
    columns: tuple[str, ...]
    properties: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


Open: TypeAlias = Callable[[Opening], AbstractContextManager[EventSource]]


class Known:
    """What is known of the tenant beside its events; read once, when it is first asked for."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    @cached_property
    def _context(self) -> Context | None:
        asking = self._asking
        with tenant_context(asking.tenant.id):
            try:
                return context_read(tenant_id=asking.tenant.id, now=asking.now)
            except NoCalendar:
                return None

    @property
    def until(self) -> datetime:
        """The moment up to which the tenant's silence means that nothing happened."""
        return self._asking.now if self._context is None else self._context.known_until

    @property
    def daily(self) -> FrozenBitMap:
        """Who are daily visitors (S35)."""
        return NOBODY if self._context is None else self._context.daily


@dataclass(frozen=True, slots=True)
class Desk:
    """What answering needs: who asks, a way to open events, a sign of progress (done, of).

    `people`: those alone whose events are opened; None for everybody.
    """

    asking: Asking
    open: Open
    progress: Callable[[int, int], None]
    known: Known
    people: BitMap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionKind:
    """`build` makes the frozen question of checked JSON, `picks` names its events, `answer` gives JSON-ready values.

    `people` gives those behind a place in the answer; kinds without it have no lists of people.
    `has_segments`: it reads events, so it can be asked about the people of a segment alone.
    """

    id: str
    body: type[Strict]
    build: Callable[[Mapping[str, Any], Asking], Any]
    picks: Callable[[Any], tuple[EventPick, ...]]
    answer: Callable[[Any, Desk], dict[str, Any]]
    people: Callable[[Any, Mapping[str, Any], Desk], BitMap] | None = None
    has_segments: bool = True


kinds: Registry[QuestionKind] = Registry(QuestionKind)


class Bounded:
    """A store that knows no later than the tenant does: not after now, and not after the last row of what was imported,
    beyond which there is silence and not zero. With `people` it holds the events of those people only."""

    def __init__(self, store: EventStore, until: datetime, people: BitMap | None = None) -> None:
        self._store, self._until = store, until
        self.engine, self.run = store.engine, store.run
        self.property, self.table = store.property, store.table
        self._ids = None if people is None else np.asarray(people.to_array(), dtype=np.int64)

    @cached_property
    def events(self) -> Any:
        if self._ids is None:
            return self._store.events
        people = self._store.table(pa.table({"person_id": self._ids.astype(np.int32)}), PEOPLE)
        return self._store.events.semi_join(people, "person_id")

    def each_run(
        self,
        work: Callable[[Run], T],
        /,
        *,
        columns: Sequence[str],
        names: Sequence[str],
        start: datetime,
        end: datetime,
        without: Sequence[str] = (),
    ) -> list[T]:
        """As the store's; runs keep their order when others' events are taken out of them."""
        ids = self._ids
        wanted = tuple(columns) if ids is None else tuple(dict.fromkeys((*columns, "person_id")))
        each = work if ids is None else lambda run: work(_of_people(run, ids))
        return self._store.each_run(each, columns=wanted, names=names, start=start, end=end, without=without)

    @property
    def data_through(self) -> datetime:
        return min(self._store.data_through, self._until)


def _of_people(run: Run, ids: npt.NDArray[np.int64]) -> Run:
    """`ids` ascending."""
    person = run.numbers["person_id"]
    at = np.minimum(np.searchsorted(ids, person), max(len(ids) - 1, 0))
    kept = ids[at] == person if len(ids) else np.zeros(len(person), dtype=bool)
    numbers = {name: values[kept] for name, values in run.numbers.items()}
    texts = {name: Coded(coded.codes[kept], coded.values) for name, coded in run.texts.items()}
    return Run(run.name, int(kept.sum()), numbers, texts)


def opener(
    asking: Asking,
    *,
    timeout: float | None = None,
    cancelled: Callable[[], bool] | None = None,
    engine: str = "",
    people: BitMap | None = None,
    known: Known | None = None,
) -> Open:
    """Opens the tenant's events, or those of some people; the tenant comes from the verified credential only."""
    found = known or Known(asking)

    @contextmanager
    def opened(wanted: Opening) -> Iterator[EventSource]:
        until = found.until
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
            yield Bounded(store, until, people)

    return opened
