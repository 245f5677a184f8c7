"""Every route of the API with an address to call, read from the URLconf, so that a new one cannot be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.urls import URLPattern, URLResolver, get_resolver, reverse

MISSING = UUID("00000000-0000-4000-8000-000000000000")
# A value for each kind of path argument that exists for nobody.
NOBODYS: dict[str, Any] = {
    "board_id": MISSING,
    "event_id": MISSING,
    "held_id": MISSING,
    "key_id": MISSING,
    "link_id": MISSING,
    "segment_id": MISSING,
    "job_id": MISSING,
    "goal_id": MISSING,
    "objective_id": MISSING,
    "annotation_id": MISSING,
    "subject": 999_999_999,
    "metric": "nobody.knows",
    "period": "century",
    "action": "explode",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Route:
    """A route by name, with the names of its path arguments and the methods its view answers."""

    name: str
    arguments: tuple[str, ...]
    methods: tuple[str, ...]
    view: Any

    def path(self, **values: Any) -> str:
        """Its address below /api/v1/, with values that belong to nobody where none are given."""
        chosen = {name: values.get(name, NOBODYS[name]) for name in self.arguments}
        return reverse(self.name, kwargs=chosen).removeprefix("/api/v1/")


def api_routes() -> list[Route]:
    """All routes below /api/v1/, in the order of the URLconf."""
    return list(_routes(get_resolver().url_patterns, ""))


def _routes(patterns: Any, prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, address)
        elif isinstance(pattern, URLPattern) and address.startswith("api/v1/"):
            view = getattr(pattern.callback, "view_class", None)
            methods = tuple(method for method in METHODS if hasattr(view, method.lower()))
            yield Route(str(pattern.name), tuple(pattern.pattern.converters), methods, view)
