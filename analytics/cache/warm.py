"""What was asked lately is worked out again before somebody asks.

Whoever answers a question says `remember(audience, "kpis.path", {...})`; every five minutes the warmer registered under
that name works out what would have ended before the next time. What was asked is kept in Redis, sealed like an answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from analytics.cache.answers import cache, margin, margin_seconds
from analytics.cache.keys import PREFIX, Audience, namespace, seal
from analytics.cache.shared import Away
from analytics.contracts import TenantInfo
from analytics.registry import Registry
from analytics.tenancy import tenant_context, tenants

logger = logging.getLogger("bellwether.cache")

EVERY: Final = timedelta(minutes=5)
LATELY: Final = timedelta(hours=1)
QUESTIONS: Final = 30
"""Kept of a tenant, latest first."""
BUDGET_SECONDS: Final = 120.0
AGAIN_SECONDS: Final = 60.0
NOTED_LIMIT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Warmer:
    """`warm` answers a remembered question anew, inside its tenant's context. What it raises is logged."""

    id: str
    warm: Callable[[Audience, TenantInfo, dict[str, Any], datetime], None]


warmers: Registry[Warmer] = Registry(Warmer)


class _Recipe(msgspec.Struct, frozen=True):
    warmer: str
    audience: Audience
    question: dict[str, Any]


_noted: dict[bytes, float] = {}


def remember(audience: Audience, warmer: str, question: Mapping[str, Any]) -> None:
    """Note that this was asked; within a minute once. A question of a warm-up is nobody's."""
    if margin_seconds():
        return
    what = msgspec.msgpack.encode(_Recipe(warmer, audience, dict(question)))
    now = time.time()
    if now - _noted.get(what, 0) < AGAIN_SECONDS:
        return
    if len(_noted) >= NOTED_LIMIT:
        _noted.clear()
    _noted[what] = now
    where = _place(audience.tenant_id)
    try:
        cache().shared.remember(
            where, seal(where, what) + what, at=now, limit=QUESTIONS, seconds=int(LATELY.total_seconds())
        )
    except Away:
        _noted.pop(what, None)


def recipes(tenant_id: int, *, now: float) -> list[_Recipe]:
    """What was asked lately of this tenant, latest first."""
    where = _place(tenant_id)
    try:
        found = cache().shared.remembered(where, since=now - LATELY.total_seconds())
    except Away:
        return []
    read = (_opened(where, each) for each in found)
    return [recipe for recipe in read if recipe is not None and recipe.audience.tenant_id == tenant_id]


def _opened(where: str, found: bytes) -> _Recipe | None:
    if seal(where, found[16:]) != found[:16]:
        return None
    try:
        return msgspec.msgpack.decode(found[16:], type=_Recipe)
    except msgspec.DecodeError:
        return None


def warm_up(*, now: datetime, budget: float = BUDGET_SECONDS) -> int:
    """Work out anew what was asked lately and would end before the next warm-up; how many questions were looked at.

    Tenants take turns, each with its latest question first, so that one with many does not use up the time.
    """
    waiting = [(tenant, recipes(tenant.id, now=time.time())) for tenant in tenants()]
    turns = [(tenant, found[turn]) for turn in range(QUESTIONS) for tenant, found in waiting if turn < len(found)]
    deadline, done = time.monotonic() + budget, 0
    with margin(EVERY.total_seconds()):
        for tenant, recipe in turns:
            if time.monotonic() > deadline:
                logger.info("the warm-up ended after %d of %d questions: its time is over", done, len(turns))
                break
            done += _warm(tenant, recipe, now)
    return done


def _warm(tenant: TenantInfo, recipe: _Recipe, now: datetime) -> int:
    warmer = warmers.get(recipe.warmer)
    if warmer is None:
        return 0  # of another release
    try:
        with tenant_context(tenant.id):
            warmer.warm(recipe.audience, tenant, recipe.question, now)
    except Exception as error:
        logger.warning("a question of %s could not be warmed up: %s", recipe.warmer, type(error).__name__)
        return 0
    return 1


def _place(tenant_id: int) -> str:
    return f"{PREFIX}asked:{namespace()}:{tenant_id}"
