"""Looks the whole installation over and says of each problem what is wrong and exactly what to do.

A check is one function with `@check("area", "what is looked at")` in a module of this package; it yields findings, and
none when all is well. One that cannot look (its server is away) is itself a finding. No finding holds a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import psycopg
import redis
from django.db import DatabaseError

from analytics.registry import Registry

Level = Literal["error", "warning"]
MODULES: Final = ("database", "services", "work", "installation")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem: what is wrong, and the exact fix. `repair` does the fix where that is safe, and says what it did."""

    level: Level
    problem: str
    fix: str
    repair: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at."""

    id: str
    title: str
    look: Callable[[datetime], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found; no findings: all is well."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def state(self) -> str:
        levels = {finding.level for finding in self.findings}
        return "error" if "error" in levels else "warning" if levels else "ok"


checks: Registry[Check] = Registry(Check)


def check(
    id: str, title: str
) -> Callable[[Callable[[datetime], Iterable[Finding]]], Callable[[datetime], Iterable[Finding]]]:
    """Register the decorated function, which gets the present moment."""

    def register(look: Callable[[datetime], Iterable[Finding]]) -> Callable[[datetime], Iterable[Finding]]:
        checks.register(Check(id, title, look))
        return look

    return register


def examine(*, now: datetime, only: Iterable[str] = ()) -> list[Result]:
    """Every check's result, in their order. Raises UnknownName for a check that is not there."""
    _load()
    chosen = [checks[name] for name in only] or list(checks)
    return [Result(each, _looked(each, now)) for each in chosen]


def _load() -> None:
    from importlib import import_module

    for name in MODULES:
        import_module(f"{__name__}.{name}")


def _looked(each: Check, now: datetime) -> tuple[Finding, ...]:
    try:
        return tuple(each.look(now))
    except (psycopg.Error, DatabaseError):
        return (Finding("error", "PostgreSQL did not answer this.", "See the checks of the database above."),)
    except (redis.RedisError, OSError):
        return (Finding("error", "It cannot be reached.", "Start it: bin/up, or the server behind REDIS_URL."),)
    except Exception as error:
        # The text of an error nobody thought of may hold anything, its type does not.
        return (
            Finding("error", f"The check itself failed: {type(error).__name__}.", "Look into the log, and tell us."),
        )
