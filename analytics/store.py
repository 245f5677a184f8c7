"""The event store as questions see it: one tenant's events of a range of time, from one snapshot of the lake.

    with event_store(tenant_id=1, start=start, end=end, names=("signup", "order_completed")) as store:
        answer = store.run(store.events.group_by("name").agg(n=store.events.count()))

Nobody above writes SQL or names a file. `data_through` says up to when everything that was recorded is in the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import pyarrow as pa
from django.conf import settings

from analytics.engines import DuckDBEngine, Engine, EngineName, engine_for, unbound, watched
from analytics.lake.errors import (
    EngineFailed,
    EngineUnavailable,
    LakeError,
    LakeFileBroken,
    StoreCancelled,
    StoreTimeout,
    UnknownColumn,
)
from analytics.lake.runs import Reader, Run, Wanted
from analytics.lake.selection import Selection, Shape, StoredFile, property_column
from analytics.lazily import Lazily
from analytics.periods import to_micros

if TYPE_CHECKING:
    import ibis
    from ibis.expr import types as ir
else:
    ibis = Lazily("ibis")

__all__ = [
    "EngineFailed",
    "EngineUnavailable",
    "EventStore",
    "LakeError",
    "LakeFileBroken",
    "Run",
    "StoreCancelled",
    "StoreTimeout",
    "StoredFile",
    "UnknownColumn",
    "event_store",
]

TRIES: Final = 3

T = TypeVar("T")


class Source(Protocol):
    """Where a store's events come from: the lake, or a table in memory for tests."""

    @property
    def shape(self) -> Shape: ...
    @property
    def data_through(self) -> datetime: ...
    @property
    def files(self) -> tuple[StoredFile, ...]: ...

    def selection(self) -> Selection:
        """What is to be read now."""

    def repair(self) -> bool:
        """After a reading failed: heal what is broken, look at the newest snapshot; False when nothing changed."""


class EventStore:
    """One tenant's events of a range, to ask with Ibis or to take into NumPy. Made by `event_store`."""

    def __init__(
        self, engine: Engine, source: Source, *, timeout: float, cancelled: Callable[[], bool] | None = None
    ) -> None:
        self._engine, self._source = engine, source
        self._timeout, self._cancelled = timeout, cancelled
        self._shape = source.shape
        self._shown: Selection | None = None

    @cached_property
    def events(self) -> ir.Table:
        """What expressions are made of."""
        return unbound(self._shape)

    @property
    def engine(self) -> EngineName:
        return self._engine.name

    @property
    def data_through(self) -> datetime:
        """Everything recorded before this instant that belongs to the range is in the answers."""
        return self._source.data_through

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The typed files of the snapshot, in order of time. Raises LakeFileBroken."""
        return self._repaired(lambda: self._source.files)

    @property
    def rows(self) -> int:
        """Events in those files, before range and names cut them."""
        return sum(file.rows for file in self.files)

    def property(self, name: str) -> ir.StringColumn:
        """The column of a property that was asked for. Raises UnknownColumn."""
        if name not in self._shape.properties:
            raise UnknownColumn(f"the property {name!r} was not asked for: name it in `properties`")
        column: ir.StringColumn = self.events[property_column(self._shape.properties.index(name))]
        return column

    def table(self, table: pa.Table, name: str) -> ir.Table:
        """A small table of one's own, to join with; `name` is an identifier of the code's, never a user's text."""
        if not name.isidentifier() or name.startswith(("lake_", "events")):
            raise ValueError(f"{name!r} is no name for a table")
        self._engine.register(name, table)
        return ibis.table(ibis.schema(table.schema), name=name)

    def run(self, expression: ir.Expr) -> pa.Table:
        """The answer as Arrow, in the expression's own types.

        Raises StoreTimeout, StoreCancelled, LakeFileBroken, EngineFailed.
        """
        with watched(self._engine, self._timeout, self._cancelled):
            return self._repaired(lambda: self._answer(expression))

    def arrow(
        self, columns: Sequence[str], names: Sequence[str] | None = None, *, order_by: Sequence[str] = ()
    ) -> pa.Table:
        """Those columns of those events, for a kernel. Texts are dictionaries. Without `order_by`, in any order."""
        answer = self.run(self._picked(columns, names, order_by))
        return pa.table(
            {
                name: column.dictionary_encode() if pa.types.is_string(column.type) else column
                for name, column in zip(answer.column_names, answer.columns, strict=True)
            }
        )

    def batches(self, columns: Sequence[str], names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Like `arrow`, in portions and in any order; a file that breaks on the way ends it with LakeFileBroken."""
        with watched(self._engine, self._timeout, self._cancelled):
            self._repaired(self._show)
            yield from self._engine.batches(self._picked(columns, names, ()))

    def each_run(
        self,
        work: Callable[[Run], T],
        *,
        columns: Sequence[str],
        names: Sequence[str],
        start: datetime,
        end: datetime,
        without: Sequence[str] = (),
    ) -> list[T]:
        """What `work` makes of every run: the events of known people, of one name, out of one piece, sorted by
        (person_id, ts, seq) and within [start, end); past the engine, on several threads and in any order.

        `columns`: typed ones; a null is 0 among numbers. `without`: flags whose events are left out. Raises
        UnknownColumn, StoreTimeout, StoreCancelled, LakeFileBroken; EngineFailed when a cluster answers.
        """
        if not isinstance(self._engine, DuckDBEngine):
            raise EngineFailed("runs are read on this machine, and the questions of this store go to a cluster")
        if unknown := [name for name in (*columns, *without) if name not in self._shape.typed]:
            raise UnknownColumn(f"the lake has no typed column {unknown[0]!r}")
        reader = Reader(self._engine.folder, settings.ANALYTICS_ENGINE_THREADS)
        with watched(reader, self._timeout, self._cancelled):
            return self._repaired(lambda: reader.each(*self._cut(columns, names, start, end, without), work))

    def _cut(
        self, columns: Sequence[str], names: Sequence[str], start: datetime, end: datetime, without: Sequence[str]
    ) -> tuple[Selection, Wanted]:
        shown = self._source.selection()
        seen = frozenset(names) if shown.names is None else frozenset(names).intersection(shown.names)
        span = max(shown.start, to_micros(start)), min(shown.end, to_micros(end))
        return shown, Wanted(tuple(columns), seen, *span, tuple(without))

    def _picked(self, columns: Sequence[str], names: Sequence[str] | None, order_by: Sequence[str]) -> ir.Table:
        table = self.events
        if names is not None:
            table = table.filter(table.name.isin(list(names)))
        if order_by:
            table = table.order_by(list(order_by))
        return table.select(*columns)

    def _answer(self, expression: ir.Expr) -> pa.Table:
        self._show()
        return self._engine.run(expression)

    def _repaired(self, reading: Callable[[], T]) -> T:
        """What a reading gives, after repairs if a file could not be read. Raises LakeFileBroken."""
        for _ in range(TRIES - 1):
            try:
                return reading()
            except LakeFileBroken:
                if not self._source.repair():
                    raise
        return reading()

    def _show(self) -> None:
        selection = self._source.selection()
        if selection is not self._shown:
            self._engine.show(selection)
            self._shown = selection


@contextmanager
def event_store(
    *,
    tenant_id: int,
    start: datetime,
    end: datetime,
    columns: Sequence[str] | None = None,
    properties: Sequence[str] = (),
    names: Sequence[str] | None = None,
    timeout: float | None = None,
    cancelled: Callable[[], bool] | None = None,
    engine: str = "",
    using: str = "default",
) -> Iterator[EventStore]:
    """A tenant's events of [start, end). The tenant comes from the verified context only, never from a question.

    `columns`: None for all typed ones; `event_id`, `session_id` and `parent_id` have to be named. `properties`: names
    as clients sent them. `names`: of events, None for all. `timeout`: seconds for each run. `engine`: other than
    ANALYTICS_ENGINE. Raises UnknownColumn, EngineUnavailable.
    """
    from analytics.lake.snapshot import LakeSource

    shape = Shape.of(columns, properties)
    opened: Engine | None = None
    source = LakeSource(tenant_id, start, end, shape, tuple(names) if names is not None else None, using=using)
    try:
        opened = engine_for(source.folder, engine)
        limit = settings.ANALYTICS_ENGINE_TIMEOUT if timeout is None else timeout
        yield EventStore(opened, source, timeout=limit, cancelled=cancelled)
    finally:
        if opened is not None:
            opened.close()
