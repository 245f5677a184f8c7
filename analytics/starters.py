"""What `POST jobs/` can start. An app above registers its kinds of work here, so that this one need not know them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from analytics.contracts import TenantInfo
from analytics.models import Job
from analytics.registry import Registry


class NothingToDo(ValueError):
    """There is nothing to count; the message says why, `field` is the parameter at fault."""

    def __init__(self, message: str, field: str = "from") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: the local days from `first` until before `end`, both None for all there is; with `metrics`, only
    what these are made of.
    """

    tenant: TenantInfo
    first: date | None
    end: date | None
    actor: str
    now: datetime
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Starter:
    """A kind of work by the word a caller uses. Both may raise NothingToDo.

    `plan` says what would be done and writes nothing; `start` enqueues it.
    """

    id: str
    help: str
    plan: Callable[[Order], dict[str, Any]]
    start: Callable[[Order], Job]


starters: Registry[Starter] = Registry(Starter)
