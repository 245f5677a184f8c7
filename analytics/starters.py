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
    """There is nothing to count in that range; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: the local days from `first` until before `end`, both None for all there is."""

    tenant: TenantInfo
    first: date | None
    end: date | None
    actor: str
    now: datetime


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
