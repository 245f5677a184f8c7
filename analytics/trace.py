"""Which request a piece of work goes back to: from the answer's header through logs, Celery messages and jobs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

# Only harmless ids of others are taken over: they are written into logs and answers.
ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9_.\-]{8,64}\Z")
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_job: ContextVar[str] = ContextVar("job", default="")


def request_id() -> str:
    """Of the request that is being worked for, '' for work that nobody asked for."""
    return _request_id.get()


def job_named() -> str:
    """Kind and id of the job that runs, '' outside of one."""
    return _job.get()


def accepted(offered: str) -> str:
    """The id that was offered, if it is harmless, else a new one."""
    return offered if ACCEPTABLE.match(offered) else uuid.uuid4().hex


@contextmanager
def traced(request: str, *, job: str = "") -> Iterator[None]:
    """Within it, everything belongs to this request (and job)."""
    token, former = _request_id.set(request), _job.set(job)
    try:
        yield
    finally:
        _job.reset(former)
        _request_id.reset(token)
