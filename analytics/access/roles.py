"""Scopes and the roles that grant them: the whole authorisation policy, on one page.

A scope is `area:read` or `area:write`. Keys carry scopes themselves; a person's scopes follow from the role of
their membership. Routes name the scope that each method needs, so that a test can compare every cell.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a credential may do inside its own tenant."""

    EVENTS_WRITE = "events:write"
    EVENTS_READ = "events:read"
    KPIS_READ = "kpis:read"
    KPIS_WRITE = "kpis:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    SCHEDULER_WRITE = "scheduler:write"
    QUARANTINE_READ = "quarantine:read"
    QUARANTINE_WRITE = "quarantine:write"
    SUBJECTS_WRITE = "subjects:write"
    SETTINGS_WRITE = "settings:write"
    ACCESS_READ = "access:read"
    ACCESS_WRITE = "access:write"


EVERY_SCOPE: Final = frozenset(Scope)

ROLE_SCOPES: Final[dict[str, frozenset[Scope]]] = {
    "owner": EVERY_SCOPE,
    "admin": EVERY_SCOPE - {Scope.ACCESS_WRITE},
    "analyst": frozenset(
        {
            Scope.EVENTS_READ,
            Scope.KPIS_READ,
            Scope.KPIS_WRITE,
            Scope.JOBS_READ,
            Scope.QUARANTINE_READ,
        }
    ),
    "viewer": frozenset({Scope.KPIS_READ}),
    "ingest": frozenset({Scope.EVENTS_WRITE}),
}

# A publishable key lies in browsers for everybody to read, so it can do nothing but send events.
PUBLISHABLE_SCOPES: Final = frozenset({Scope.EVENTS_WRITE})

# What a secret key may do when nobody says otherwise. Keys never hand out keys.
SECRET_SCOPES: Final = EVERY_SCOPE - {Scope.ACCESS_WRITE}


def scopes_of_role(role: str) -> frozenset[str]:
    """The scopes of a role; an unknown role grants nothing."""
    return frozenset(ROLE_SCOPES.get(role, frozenset()))
