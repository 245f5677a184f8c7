"""What every operation of the API has in common, added to its description once."""

from __future__ import annotations

from typing import Any, Final

from config.problems import MEDIA_TYPE

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A problem document (RFC 9457). `code` is stable and for programs, `detail` is for people.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "request_id": {"type": "string", "description": "Also in the header X-Request-ID, and in our logs."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "detail")},
            },
        },
    },
}
ANSWER: Final = {
    "description": "What is wrong, and what to do about it.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


UNKEYED: Final = ("/api/v1/auth/", "/api/v1/events/")
IDEMPOTENCY_KEY: Final = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "maxLength": 255},
    "description": "Of your choice, for example a UUID. For 24 hours the same request under it acts once and is "
    "answered alike (`Idempotent-Replayed: true`). Another request under it is a 422; while the first is worked on, "
    "a second one waits or gets a 409.",
}


def describe_keys(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Name the header by which a POST acts once. Events have ids of their own; a log-in has no credential yet."""
    for path, methods in result["paths"].items():
        if "post" in methods and not path.startswith(UNKEYED[0]) and path != UNKEYED[1]:
            methods["post"].setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    return result


def describe_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give each operation its error answer; metrics also the 304."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    for methods in result["paths"].values():
        for operation in methods.values():
            operation["responses"].setdefault("4XX", ANSWER)
            operation["responses"].setdefault("5XX", ANSWER)
    return result
