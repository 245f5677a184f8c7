"""Which path leads to which door. Prefixes are allowed, because every SDK can be pointed at `https://host/ingest`."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, NamedTuple

from analytics.capture.segment import LETTERS


class Door(Enum):
    """One kind of request and its answer."""

    POSTHOG = auto()
    ENGAGE = auto()
    POSTHOG_V1 = auto()
    IGNORED = auto()
    FLAGS = auto()
    DECIDE = auto()
    DEFINITIONS = auto()
    CONFIG = auto()
    CONFIG_SCRIPT = auto()
    SEGMENT = auto()
    SEGMENT_SETTINGS = auto()
    SOURCE_CONFIG = auto()
    OWN = auto()


class Route(NamedTuple):
    """A door, and what its path says: the type of a Segment message, or a key."""

    door: Door
    detail: str = ""


OWN_PATH: Final = "api/v1/events"
EVENT_PATHS: Final[dict[str, Route]] = {
    **dict.fromkeys(("batch", "e", "capture", "track", "i/v0/e"), Route(Door.POSTHOG)),
    "engage": Route(Door.ENGAGE),
    "i/v1/analytics/events": Route(Door.POSTHOG_V1),
    **dict.fromkeys(
        ("i/v0/ai/batch", "i/v1/ai/events", "i/v1/traces", "i/v1/metrics", "i/v1/logs", "s", "v1/m"),
        Route(Door.IGNORED),
    ),
    **dict.fromkeys(("v1/batch", "v1/import", "v1/b", "beacon/v1/batch"), Route(Door.SEGMENT)),
    **{f"v1/{letter}": Route(Door.SEGMENT, kind) for letter, kind in LETTERS.items()},
    **{f"v1/{kind}": Route(Door.SEGMENT, kind) for kind in LETTERS.values()},
    "flags": Route(Door.FLAGS),
    "decide": Route(Door.DECIDE),
}
READ_PATHS: Final[dict[str, Route]] = {
    "flags": Route(Door.FLAGS),
    "decide": Route(Door.DECIDE),
    "flags/definitions": Route(Door.DEFINITIONS),
    "api/feature_flag/local_evaluation": Route(Door.DEFINITIONS),
    "sourceConfig": Route(Door.SOURCE_CONFIG),
}
KEYED_PATHS: Final = (
    (re.compile(r"(?:^|/)array/([\w.-]{1,200})/config\.js\Z", re.ASCII), Door.CONFIG_SCRIPT),
    (re.compile(r"(?:^|/)array/([\w.-]{1,200})/config\Z", re.ASCII), Door.CONFIG),
    (re.compile(r"(?:^|/)v1/projects/([\w.-]{1,200})/settings\Z", re.ASCII), Door.SEGMENT_SETTINGS),
)
# GET of these carries events only as `?data=` (the image transport of very old SDKs).
IMAGE_DOORS: Final = frozenset({Door.POSTHOG, Door.ENGAGE})
# Django's own rooms: a one-letter suffix below them is theirs.
DJANGO_ROOMS: Final = frozenset({"admin", "api", "static", "media", "health", "metrics", "accounts"})
MAX_PREFIX: Final = 3
MAX_PATH: Final = 1_000


def route(method: str, path: str, query: bytes = b"", *, preflight_for: str = "") -> Route | None:
    """The door of a request, None when it is Django's. `preflight_for` is the method that an OPTIONS asks about."""
    if len(path) > MAX_PATH:
        return None
    wanted = (preflight_for or "POST") if method == "OPTIONS" else method
    plain = path.strip("/")
    if plain == OWN_PATH:
        return Route(Door.OWN) if wanted == "POST" else None
    if wanted == "POST":
        return _by_suffix(plain, EVENT_PATHS)
    if wanted != "GET":
        return None
    found = _by_suffix(plain, READ_PATHS) or _keyed(plain)
    if found is None and b"data=" in query:
        found = _by_suffix(plain, EVENT_PATHS)
        return found if found is not None and found.door in IMAGE_DOORS else None
    return found


def _by_suffix(plain: str, paths: dict[str, Route]) -> Route | None:
    found = paths.get(plain)
    if found is not None:
        return found
    parts = plain.split("/")
    if parts[0] in DJANGO_ROOMS:
        return None
    for start in range(1, min(len(parts), MAX_PREFIX + 1)):
        found = paths.get("/".join(parts[start:]))
        if found is not None:
            return found
    return None


def _keyed(plain: str) -> Route | None:
    if plain.split("/", 1)[0] in DJANGO_ROOMS:
        return None
    for pattern, door in KEYED_PATHS:
        if found := pattern.search(plain):
            return Route(door, found[1])
    return None
