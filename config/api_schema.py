"""The description of the API beyond what its views say: areas, scopes, examples, errors; added once for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from drf_spectacular.openapi import AutoSchema

from analytics.access.permissions import scope_needed
from analytics.access.roles import ROLE_SCOPES
from config.api_examples import BODIES, ID, PARAMETERS
from config.api_words import AREAS, DESCRIPTION, SUMMARIES, Area
from config.problems import BUSY, MEDIA_TYPE, NOT_FOUND, TOO_SLOW, problem_body

ROOT: Final = "/api/v1/"
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


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that several operations can answer with: the name of its component, what it means, an example."""

    name: str
    meaning: str
    code: str
    detail: str


FAILURES: Final = {
    400: Failure(
        "BadRequest",
        "A field is wrong; `errors` says which, and what would do.",
        "invalid_parameters",
        "`to` is exclusive and must be later than `from`.",
    ),
    401: Failure(
        "Unauthorized",
        "There is no valid credential.",
        "not_authenticated",
        "Authentication credentials were not provided.",
    ),
    403: Failure(
        "Forbidden",
        "The credential has not the scope.",
        "scope_missing",
        "This needs the scope kpis:write.",
    ),
    404: Failure("NotFound", "There is no such thing, or it is somebody else's.", "not_found", NOT_FOUND),
    409: Failure(
        "Conflict",
        "It does not go with how things stand now.",
        "nothing_counted",
        "There is no calendar yet: nothing was ever counted.",
    ),
    412: Failure("Changed", "Somebody saved since you read it.", "version_old", "Somebody saved this board since."),
    422: Failure("TooMuch", "It is well formed, but cannot be answered like that.", "too_expensive", TOO_SLOW),
    428: Failure(
        "VersionMissing",
        "A save has to say what it was made from.",
        "version_missing",
        "Send `If-Match` with the ETag of the board that you have read.",
    ),
    429: Failure(
        "TooMany",
        "Too many requests; `Retry-After` says when to come again.",
        "throttled",
        "Request was throttled. Expected available in 3 seconds.",
    ),
    503: Failure(
        "Unavailable", "It cannot be answered just now; `Retry-After` says when to come again.", "unavailable", BUSY
    ),
}
_OF_PATHS: Final = {
    "uuid": (ID, "Its id."),
    "string": (ID, "Its id."),
    "integer": (42, "The number of a person."),
    "metric": ("revenue.gross", "The id of a metric."),
}
RETRY_AFTER: Final = {"description": "Seconds.", "schema": {"type": "integer"}}
UNKEYED: Final = ("/api/v1/auth/", "/api/v1/events/")
IDEMPOTENCY_KEY: Final = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "maxLength": 255},
    "description": "Of your choice, for example a UUID. For 24 hours the same request under it acts once and is "
    "answered alike (`Idempotent-Replayed: true`). Another request under it is a 422; while the first is worked on, "
    "a second one waits or gets a 409.",
    "example": ID,
}


class Operation(AutoSchema):
    """How a view is described: its area, its line of summary, and the scope that a credential needs for it."""

    def get_tags(self) -> list[str]:
        return [area_of(self.path).name]

    def get_summary(self) -> str | None:
        return SUMMARIES.get(self.get_operation_id())

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular asks without arguments
        text, scope = super().get_description(), self._scope()
        if not scope:
            return str(text)
        roles = ", ".join(role for role, scopes in ROLE_SCOPES.items() if scope in scopes)
        return f"{text}\n\nNeeds the scope `{scope}` ({roles})."

    def get_auth(self) -> list[dict[str, Any]]:
        # Since OpenAPI 3.1 the list may name scopes for keys and tokens, too.
        scope = self._scope()
        return [{name: [scope] if scope else [] for name in door} for door in super().get_auth()]

    def _scope(self) -> str:
        return str(scope_needed(getattr(self.view, "scopes", {}), self.method) or "")


def area_of(path: str) -> Area:
    """The area of a path."""
    below = path.removeprefix(ROOT)
    fitting = [(len(prefix), area) for area in AREAS for prefix in area.prefixes if below.startswith(prefix)]
    return max(fitting, key=lambda pair: pair[0])[1]


def describe_api(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """What holds for all: words, areas, the server that the document came from."""
    result["info"] |= {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}}
    result["servers"] = [{"url": "/", "description": "Where this document came from."}]
    result["tags"] = [{"name": area.name, "description": area.help} for area in AREAS]
    return result


def describe_keys(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Name the header by which a POST acts once. Events have ids of their own; a log-in has no credential yet."""
    for path, methods in result["paths"].items():
        if "post" in methods and not path.startswith(UNKEYED[0]) and path != UNKEYED[1]:
            methods["post"].setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    return result


def describe_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give every parameter that has no list of choices an example, and every body."""
    for methods in result["paths"].values():
        for operation in methods.values():
            name = operation["operationId"]
            for parameter in operation.get("parameters", []):
                _exemplify(name, parameter)
            content = operation.get("requestBody", {}).get("content", {})
            if name in BODIES and "application/json" in content:
                content["application/json"]["example"] = BODIES[name]
    return result


def _exemplify(operation: str, parameter: dict[str, Any]) -> None:
    kind = parameter["schema"]
    if "example" in parameter or "enum" in kind or "enum" in kind.get("items", {}):
        return
    if parameter["in"] == "path":
        example, words = _OF_PATHS["metric" if parameter["name"] == "metric" else kind.get("format", kind["type"])]
        parameter.setdefault("description", words)
        parameter["example"] = example
        return
    found = PARAMETERS.get(f"{operation}.{parameter['name']}", PARAMETERS.get(parameter["name"]))
    if found is not None:
        parameter["example"] = _as_one(found) if kind.get("type") != "array" else found


def _as_one(example: Any) -> Any:
    return example[0] if isinstance(example, list) else example


def describe_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give each operation the errors that it can answer with; anything else is a problem document too."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    result["components"]["responses"] = {
        **{failure.name: _answer(status, failure) for status, failure in FAILURES.items()},
        "Problem": {"description": "Any other error.", "content": _content()},
    }
    for methods in result["paths"].values():
        for method, operation in methods.items():
            for status in _statuses(method, operation):
                shown = {"$ref": f"#/components/responses/{FAILURES[status].name}"}
                operation["responses"].setdefault(str(status), shown)
            operation["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
    return result


def _statuses(method: str, operation: dict[str, Any]) -> list[int]:
    places = {parameter["in"] for parameter in operation.get("parameters", [])}
    headers = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "header"}
    is_question = operation["tags"][0] in ("Metrics", "Payments and operation", "Exploration", "Customers")
    is_open = not operation.get("security")
    can = {
        400: "query" in places or "requestBody" in operation,
        401: not is_open or method == "post",
        403: not is_open,
        404: "path" in places,
        409: "Idempotency-Key" in headers or is_question,
        412: "If-Match" in headers,
        422: "Idempotency-Key" in headers or is_question,
        428: "If-Match" in headers,
        429: True,
        503: True,
    }
    return [status for status, is_possible in can.items() if is_possible]


def _answer(status: int, failure: Failure) -> dict[str, Any]:
    errors = [{"field": "to", "code": "reversed_range", "detail": failure.detail}] if status == 400 else None
    example = problem_body(status_code=status, code=failure.code, detail=failure.detail, request_id=ID, errors=errors)
    headers = {"headers": {"Retry-After": RETRY_AFTER}} if status in (429, 503) else {}
    return {"description": failure.meaning, **headers, "content": _content(example)}


def _content(example: Any = None) -> dict[str, Any]:
    shown = {} if example is None else {"example": example}
    return {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, **shown}}
