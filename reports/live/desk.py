"""Threads that ask PostgreSQL for the event loop: few, with connections of their own, none kept while idle."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.db import close_old_connections, connections

logger = logging.getLogger("bellwether.live")
T = TypeVar("T")
IDLE_SECONDS: Final = 10.0

Work = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Desk:
    """`await desk.run(work)` runs a blocking function in one of `threads` daemon threads, first come first served."""

    def __init__(self, name: str, *, threads: int) -> None:
        self._name = name
        self._threads = threads
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._started = False

    async def run(self, work: Callable[[], T]) -> T:
        """What `work()` returns or raises. A caller that stops waiting does not stop work that has begun."""
        self._start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.put((work, loop, future))
        return await future

    def close(self) -> None:
        """Ends the threads after what they are doing."""
        if self._started:
            self._started = False
            for _ in range(self._threads):
                self._waiting.put(None)

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for number in range(self._threads):
            # Daemons: a database that hangs must not hold up the end of the process.
            threading.Thread(target=self._serve, name=f"{self._name}-{number}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                item = self._waiting.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                connections.close_all()
                continue
            if item is None:
                connections.close_all()
                return
            self._do(*item)

    @staticmethod
    def _do(work: Callable[[], Any], loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            return
        close_old_connections()
        try:
            outcome, error = work(), None
        except BaseException as raised:
            outcome, error = None, raised
        finally:
            close_old_connections()
        try:
            loop.call_soon_threadsafe(_settle, future, outcome, error)
        except RuntimeError:
            logger.debug("the event loop had ended before an answer")


def _settle(future: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(outcome)
    else:
        future.set_exception(error)
