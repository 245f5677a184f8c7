"""System checks: of settings; and of database roles, `manage.py check --database default`, before every migration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import OperationalError

from analytics.rls import role_problems

LEAST_DAYS = 7
"""Hours are open for days after they end, so that events are kept for a week at least."""


@register()
def events_are_kept_for_a_week(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A horizon of a few days would let go of what is still being counted."""
    days = settings.ANALYTICS_RETENTION_DAYS
    if days == 0 or days >= LEAST_DAYS:
        return []
    text = f"ANALYTICS_RETENTION_DAYS is {days}: events are kept for {LEAST_DAYS} days at least, or for ever with 0."
    return [Error(text, hint="Set it to 0, or to 7 and more.", id="analytics.E002")]


@register(Tags.database)
def roles_are_bound(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Every role but the owner's must be bound by row-level security."""
    asked = [alias for alias in databases or () if alias != "owner"]
    try:
        return [
            Error(problem, hint="manage.py setup_roles makes roles that are bound.", id="analytics.E001")
            for alias in asked
            for problem in role_problems(alias)
        ]
    except OperationalError:
        return []  # the database is away: that is told by whoever needs it
