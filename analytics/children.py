"""Work in forked children of this process, which must not outlive it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, Final, TypeVar

from django.db import connections

LOOKS_SECONDS: Final = 1.0

R = TypeVar("R")


def may_fork() -> bool:
    """Whether this process may have children: a child of Celery's pool may have none of its own."""
    return not multiprocessing.current_process().daemon


def each_in_children(work: Callable[..., R], stages: Sequence[Sequence[tuple[Any, ...]]], workers: int) -> Iterator[R]:
    """`work(*task)` of each task as it gets done, in at most `workers` children. The first error ends it and is raised.

    A stage begins when all tasks of the one before are done. The connections of this process are closed first: they do
    not survive a fork, and each child opens its own.
    """
    connections.close_all()
    gc.freeze()  # a child that collects garbage would copy every page it shares with its parent
    context = multiprocessing.get_context("fork")
    most = min(workers, max(map(len, stages)))
    with ProcessPoolExecutor(most, context, initializer=follow_parent, initargs=(os.getpid(),)) as pool:
        running: set[Future[R]] = set()
        try:
            for tasks in stages:
                running = {pool.submit(work, *task) for task in tasks}
                while running:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in finished)
        finally:
            for future in running:
                future.cancel()


def follow_parent(parent: int) -> None:
    """Ends this process, a child, when process `parent` is gone, which forked it.

    A pool's children wait for work for ever, and keep every connection open that they inherited, if the parent is
    killed. What a child was doing is rolled back by PostgreSQL, as after any kill.
    """
    threading.Thread(target=_look, args=(parent,), name="follow-parent", daemon=True).start()


def _look(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOKS_SECONDS)
    os._exit(1)
