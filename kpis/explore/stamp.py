"""What every answer carries, so that it can be trusted (S41)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from analytics.lake.runs import Run
from kpis.base import Condition

T = TypeVar("T")


class EventSource(Protocol):
    """An open event store: `analytics.store.event_store` gives one."""

    @property
    def events(self) -> Any: ...

    @property
    def data_through(self) -> datetime: ...

    @property
    def engine(self) -> str: ...

    def run(self, expression: Any, /) -> Any: ...

    def property(self, name: str, /) -> Any: ...

    def table(self, table: Any, name: str, /) -> Any: ...

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
    ) -> list[T]: ...


@dataclass(frozen=True, slots=True)
class Stamp:
    """`data_through`: everything before it is in the answer. `is_complete`: nothing that it asks about can still come.

    `definition_version` changes with the meaning of the question's kind, not with the question.
    """

    timezone: str
    start: datetime
    end: datetime
    filters: tuple[Condition, ...]
    include: tuple[str, ...]
    definition_version: str
    data_through: datetime
    is_complete: bool
    computed_at: datetime
    executor: str

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "timezone": self.timezone,
            "from": self.start.isoformat(),
            "to": self.end.isoformat(),
            "filters": [{"field": test.field, "op": test.op, "value": test.value} for test in self.filters],
            "include": list(self.include),
            "definition_version": self.definition_version,
            "data_through": self.data_through.isoformat(),
            "is_complete": self.is_complete,
            "computed_at": self.computed_at.isoformat(),
            "executor": self.executor,
        }


def fingerprint(version: int, question: object) -> str:
    """`version.digest`: the version of the rules, and a digest of what was asked."""
    return f"{version}.{hashlib.blake2b(repr(question).encode(), digest_size=4).hexdigest()}"


def micros_of(span: timedelta) -> int:
    """Whole microseconds."""
    return span // timedelta(microseconds=1)
