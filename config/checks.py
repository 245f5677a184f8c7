"""System checks of the database roles: `manage.py check --database default`, and before every migration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import OperationalError

from analytics.rls import role_problems


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
