"""How long answers may live, by how fast what they tell of changes; and the tags by which they are dropped before."""

from __future__ import annotations

from typing import Final

LIVE: Final = 30
HOUR: Final = 5 * 60
DASHBOARD: Final = 15 * 60
REVENUE: Final = 15 * 60
DAY: Final = 30 * 60
USAGE: Final = 60 * 60
WEEK: Final = 60 * 60
BROWSER: Final = 5 * 60
"""Seconds. What a browser keeps without asking is only what is over and complete."""

METRICS: Final = "metrics"
"""Buckets of the tenant were counted again."""
DEFINITIONS: Final = "definitions"
"""A metric that the tenant made was changed."""
MAPPING: Final = "mapping"
"""The tenant's event names mean something else."""
ROLES: Final = "roles"
"""Somebody's role, or a key, was changed."""
GOALS: Final = "goals"
"""A goal was made, changed or put away."""
ANNOTATIONS: Final = "annotations"
"""Something was written down, changed or taken away."""
TENANT: Final = "tenant"
"""Carried by every answer of a tenant: dropping it clears the tenant."""
EVERYTHING: Final = "everything"
"""Carried by every answer."""
