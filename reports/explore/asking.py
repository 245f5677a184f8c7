"""From the address of a page to an answer, or to what stands in its way and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import APIException, ValidationError

from analytics import jobs
from analytics.access.roles import Scope
from analytics.cache import Audience
from analytics.lake.errors import EngineFailed, EngineUnavailable, LakeError, StoreTimeout
from analytics.models import Job
from analytics.registry import UnknownName
from kpis.explore.grammar import Asking, question_of
from kpis.explore.jobs import ANSWER
from kpis.explore.selectors import explore
from reports.dashboard.doors import role_of, scopes_of, tenant_of

PAGE_SECONDS: Final = 8.0
"""A page waits this long for an engine; what takes longer goes on as a job that the page watches."""
EMBEDDED: Final = "duckdb"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about the question. `place` is where in it: `steps.1.events`."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Running:
    """A job that works on the answer."""

    id: UUID
    state: str
    done: int
    total: int
    may_cancel: bool
    error: str = ""

    @property
    def is_active(self) -> bool:
        return self.state in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One of: an answer, problems with the question, a job at work, a store that is away, or nothing asked yet."""

    answer: dict[str, Any] | None = None
    problems: tuple[Problem, ...] = ()
    job: Running | None = None
    away: str = ""
    may_embed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The question of a page as plain JSON, unchecked. `is_draft`: being edited, not to be answered yet."""

    wanted: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    is_draft: bool = False
    is_given: bool = False


def asked_of(request: HttpRequest, default: Mapping[str, Any] | None = None) -> Asked:
    """What `?q=` says; `default` when it says nothing."""
    text = request.GET.get("q", "")
    is_draft = bool(request.GET.get("draft"))
    if not text:
        return Asked(dict(default or {}), (), is_draft or default is None)
    try:
        return Asked(question_of(text), (), is_draft, True)
    except ValidationError as error:
        return Asked(dict(default or {}), problems_of(error), is_draft, True)


def written(wanted: Mapping[str, Any]) -> str:
    """The question as short JSON."""
    return json.dumps(wanted, separators=(",", ":"), ensure_ascii=False)


def address(path: str, wanted: Mapping[str, Any], **more: str) -> str:
    """The address of a question; parts without a value are left out."""
    return f"{path}?{urlencode({'q': written(wanted), **{name: value for name, value in more.items() if value}})}"


def actor_of(request: HttpRequest) -> str:
    """Who is written down as having asked."""
    return f"user:{request.user.pk}"


def outcome_of(request: HttpRequest, kind: str, asked: Asked) -> Outcome:
    """The answer of a page's question. Nothing that is asked raises: it becomes words."""
    if asked.problems or asked.is_draft:
        return Outcome(problems=asked.problems)
    if request.GET.get("job"):
        return _of_job(request, kind, asked)
    tenant = tenant_of(request)
    asking = Asking(tenant, timezone.now())
    audience = Audience.member(tenant.id, role_of(request))
    engine = EMBEDDED if request.GET.get("engine") == EMBEDDED else ""
    try:
        answer = explore(
            kind=kind, wanted=asked.wanted, asking=asking, audience=audience, timeout=PAGE_SECONDS, engine=engine
        )
    except StoreTimeout:
        return Outcome(job=_enqueued(request, kind, asked))
    except Exception as error:
        return _in_words(error)
    return Outcome(answer=answer)


def _in_words(error: Exception) -> Outcome:
    """What went wrong, for whoever asked; anything that is not about the question or the store is raised again."""
    if isinstance(error, ValidationError):
        return Outcome(problems=problems_of(error))
    if isinstance(error, EngineUnavailable):
        return Outcome(away=str(error), may_embed=True)
    if isinstance(error, EngineFailed):
        return Outcome(problems=(Problem("", f"{_capital(str(error))}."),))
    if isinstance(error, LakeError):
        return Outcome(away=_capital(str(error)) or "The store of events cannot be read just now.")
    if isinstance(error, APIException | UnknownName):
        return Outcome(problems=(Problem("", str(getattr(error, "detail", error))),))
    raise error


def worded(error: Exception) -> str:
    """The same as one text. Raises what is about neither the question nor the store."""
    outcome = _in_words(error)
    return outcome.away or " ".join(problem.message for problem in outcome.problems)


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """Every complaint with its place in the question."""
    return tuple(_flat(error.detail, ""))[:20]


def _flat(detail: Any, place: str) -> list[Problem]:
    if isinstance(detail, Mapping):
        return [found for name, part in detail.items() for found in _flat(part, f"{place}.{name}".strip("."))]
    if isinstance(detail, list | tuple) and any(isinstance(part, Mapping | list) for part in detail):
        return [found for index, part in enumerate(detail) if part for found in _flat(part, f"{place}.{index}")]
    parts = detail if isinstance(detail, list | tuple) else [detail]
    return [Problem(place.strip("."), " ".join(map(str, parts)))] if parts else []


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


# --- Long questions ---------------------------------------------------------------------------------------------------


def _enqueued(request: HttpRequest, kind: str, asked: Asked) -> Running:
    """One job for the same question at a time, however often the page is loaded."""
    tenant_id = tenant_of(request).id
    question = written(asked.wanted)
    job = jobs.enqueue(
        kind=ANSWER,
        tenant_id=tenant_id,
        params={"kind": kind, "question": asked.wanted},
        dedupe_key=f"{kind}:{hash_of(question)}",
        created_by=actor_of(request),
        max_attempts=2,
    )
    return running_of(job, request)


def hash_of(text: str) -> str:
    """A short name of a text."""
    import hashlib

    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def job_named(request: HttpRequest, text: str, kind: str) -> Job | None:
    """The tenant's job of that id and kind."""
    try:
        job_id = UUID(text)
    except ValueError:
        return None
    return Job.objects.filter(tenant_id=tenant_of(request).id, pk=job_id, kind=kind).first()


def running_of(job: Job, request: HttpRequest) -> Running:
    """How far it is. Whoever asked may stop it, and who may stop jobs."""
    may_cancel = Scope.JOBS_WRITE in scopes_of(request) or job.created_by == actor_of(request)
    return Running(job.pk, job.state, job.done, job.total, may_cancel, job.error)


def _of_job(request: HttpRequest, kind: str, asked: Asked) -> Outcome:
    job = job_named(request, request.GET["job"], ANSWER)
    if job is None or job.params.get("kind") != kind or job.params.get("question") != asked.wanted:
        return Outcome(problems=(Problem("job", "There is no such answer any more. Ask again."),))
    if job.state == Job.State.DONE:
        return Outcome(answer=job.result)
    return Outcome(job=running_of(job, request))
