"""One question of one tenant, answered once for all sockets that watch it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from django.db import DatabaseError

from analytics.contracts import TenantInfo
from reports.live.answers import Answer, Question, answer_read
from reports.live.desk import Desk
from reports.live.protocol import head_of

logger = logging.getLogger("bellwether.live")

PACE_SECONDS: Final = 0.9
"""Nothing is worked out more often."""
QUICK_SECONDS: Final = 0.25
SHARE: Final = 0.1
"""Nor longer than this part of the time: a question that takes two seconds is asked every twenty."""
PART_OF_PERIOD: Final = 0.2
"""Of the shortest period wanted: what is sent every five minutes need not be worked out every second."""
TRIES_AFTER: Final = 2.0


@dataclass(frozen=True, slots=True)
class FeedKey:
    """What sockets share: the tenant, the role that looks, the question."""

    tenant: TenantInfo
    role: str
    question: Question


class Watcher(Protocol):
    """A subscription, as its feed sees it."""

    metrics: tuple[str, ...]
    period: float

    def wake(self) -> None: ...


class Feed:
    """The newest values of the metrics that any of its watchers wants.

    `as_of` is the last moment at which the values were true: it moves also when nothing changed, and stands still while
    the database cannot be asked.
    """

    def __init__(self, key: FeedKey, *, desk: Desk, clock: Callable[[], datetime]) -> None:
        self.key = key
        self.values: dict[str, str] = {}
        self.as_of: datetime | None = None
        self.head = ""
        self.watchers: set[Watcher] = set()
        self._desk = desk
        self._clock = clock
        self._tag = ""
        self._data_through: datetime | None = None
        self._origin = ""
        self._is_rung = False
        self._new = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._took = 0.0
        self._began = float("-inf")
        self._was_news = False

    def add(self, watcher: Watcher) -> None:
        """Watch; values that are not known yet are asked for at once."""
        self.watchers.add(watcher)
        if any(name not in self.values for name in watcher.metrics):
            self._tag = ""  # another set of metrics has another version
        self.ring()
        self._new.set()

    def remove(self, watcher: Watcher) -> None:
        """Watch no longer; a feed without watchers stops."""
        self.watchers.discard(watcher)
        if not self.watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    def ring(self) -> None:
        """Look whether anything changed: now, or when the pace allows it. Rings while it waits are one."""
        self._is_rung = True
        if self._task is None and self.watchers:
            self._task = asyncio.create_task(self._run(), name=f"live feed {self.key.tenant.slug}")

    @property
    def pace(self) -> float:
        """Seconds between two looks."""
        asked = min((watcher.period for watcher in self.watchers), default=PACE_SECONDS)
        return max(PACE_SECONDS, asked * PART_OF_PERIOD, self._took / SHARE)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._is_rung:
                while (wait := self._wait(loop.time())) > 0:
                    self._new.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._new.wait(), wait)
                self._is_rung = False
                self._began = loop.time()
                await self._look()
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    def _wait(self, now: float) -> float:
        """Missing values are not waited for: somebody who has just come looks at an empty tile."""
        quick = QUICK_SECONDS if self._missing() else max(QUICK_SECONDS, self._took / SHARE)
        # A look that found nothing new is no reason to let the next ring wait.
        return self._began + (self.pace if self._was_news and not self._missing() else quick) - now

    def _missing(self) -> bool:
        return any(name not in self.values for watcher in self.watchers for name in watcher.metrics)

    async def _look(self) -> None:
        metrics = tuple(sorted({name for watcher in self.watchers for name in watcher.metrics}))
        now = self._clock()
        tenant, question, tag = self.key.tenant, self.key.question, self._tag
        try:
            answer = await self._desk.run(
                lambda: answer_read(tenant=tenant, question=question, metrics=metrics, known_tag=tag, now=now)
            )
        except DatabaseError as error:
            logger.warning("live numbers of tenant %s wait for the database: %s", tenant.slug, type(error).__name__)
            self._later()
        except Exception:
            logger.exception("live numbers of tenant %s could not be read", tenant.slug)
            self._later()
        else:
            # A database that stood still once must not slow a feed down for minutes.
            took = asyncio.get_running_loop().time() - self._began
            self._took = min(took, 2 * self._took + 0.2)
            self._take(answer, metrics, now)

    def _later(self) -> None:
        asyncio.get_running_loop().call_later(TRIES_AFTER, self.ring)

    def _take(self, answer: Answer | None, metrics: tuple[str, ...], now: datetime) -> None:
        self.as_of = now
        self._was_news = answer is not None and answer.values != self.values
        if answer is not None:
            self._data_through, self._origin = answer.data_through, answer.origin
            # Somebody may have come while it was read: the tag is only that of the metrics it was read for.
            self._tag = "" if self._missing_from(metrics) else answer.tag
            self.values = dict(answer.values)
        self.head = head_of(as_of=now, data_through=self._data_through, origin=self._origin)
        if answer is not None:
            for watcher in list(self.watchers):
                watcher.wake()

    def _missing_from(self, metrics: tuple[str, ...]) -> bool:
        known = set(metrics)
        return any(name not in known for watcher in self.watchers for name in watcher.metrics)
