"""Every error of the API as a problem document (RFC 9457): what is wrong, in words that say what to do.

    {"type": "about:blank", "title": "Bad Request", "status": 400, "code": "invalid_parameters",
     "detail": "…", "request_id": "…", "errors": [{"field": "from", "code": "reversed_range", "detail": "…"}]}

`code` is stable and meant for programs; `detail` is meant for people and may change. No stack, no SQL, no row of
somebody else is ever shown: a foreign id and a missing one get the same body.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import DataError, Error, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.settings import api_settings

from analytics.access.keys import KeysUnavailable
from reports.dashboard.problems import problem_page

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
API_PATH: Final = "/api/"
BROKE: Final = "Something broke on our side. It is logged."
NO_PAGE: Final = "There is no such page, or not for you."
NOT_FOUND: Final = "There is nothing here for this credential."
RETRY_SECONDS: Final = 5
BUSY: Final = "The database does not answer just now; nothing was lost. Try again."
TOO_SLOW: Final = "This question takes too long: ask for a shorter range, a coarser granularity or fewer breakdowns."


def problem_response(exception: Exception, context: Mapping[str, Any]) -> Response:
    """The REST framework's exception handler. A fault of ours is logged with the id that the answer shows."""
    request: HttpRequest = context["request"]._request
    known = _known(exception)
    if known is None:
        logger.exception("request %s failed: %s %s", _request_id(request), request.method, request.path)
        got_request_exception.send(sender=context.get("view"), request=request)
        known = exceptions.APIException(code="internal_error", detail=BROKE)
    response = Response(
        problem_body(
            status_code=known.status_code,
            code=_code(known),
            detail=_summary(known.detail),
            request_id=_request_id(request),
            errors=_errors(known),
        ),
        status=known.status_code,
        headers=_headers(known),
        content_type=MEDIA_TYPE,
    )
    response.exception = True
    return response


def problem_body(
    *, status_code: int, code: str, detail: str, request_id: str, errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """The document of one problem."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }
    return {**body, "errors": errors} if errors else body


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler400`: requests that Django itself refuses."""
    if not _is_api(request):
        return problem_page(request, status=400, title="Bad request", message="The request is malformed.")
    return _plain(request, 400, "bad_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler403`."""
    if not _is_api(request):
        return problem_page(
            request, status=403, title="Not allowed", message=_reason(exception) or "This is not allowed."
        )
    return _plain(request, 403, "permission_denied", "This is not allowed.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler404`: paths that no route knows."""
    if not _is_api(request):
        return problem_page(request, status=404, title="Nothing here", message=NO_PAGE)
    return _plain(request, 404, "not_found", NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`: what breaks outside the REST framework, for example in a middleware."""
    if not _is_api(request):
        return problem_page(request, status=500, title="Something broke", message=BROKE)
    return _plain(request, 500, "internal_error", BROKE)


def _plain(request: HttpRequest, status_code: int, code: str, detail: str) -> HttpResponse:
    body = problem_body(status_code=status_code, code=code, detail=detail, request_id=_request_id(request))
    return JsonResponse(body, status=status_code, content_type=MEDIA_TYPE)


class Busy(exceptions.APIException):
    """The database cannot be asked just now."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = BUSY
    default_code = "unavailable"
    wait = RETRY_SECONDS


class TooSlow(exceptions.APIException):
    """A statement ran into its time limit; trying the same again does not help."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = TOO_SLOW
    default_code = "too_expensive"


class NotStorable(exceptions.APIException):
    """PostgreSQL cannot hold or compare a value of the request (NUL, a number or a date out of range)."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = "A value of the request cannot be stored or compared: look for NUL characters and huge numbers."
    default_code = "invalid_value"


def _known(exception: Exception) -> exceptions.APIException | None:
    """The exception as one that has a status, or None when it is a fault of ours."""
    if isinstance(exception, exceptions.APIException):
        return exceptions.NotFound(NOT_FOUND) if isinstance(exception, exceptions.NotFound) else exception
    if isinstance(exception, Http404):
        return exceptions.NotFound(NOT_FOUND)
    if isinstance(exception, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exception, SuspiciousOperation):
        return exceptions.ParseError("The request is malformed.")
    if isinstance(exception, KeysUnavailable):
        return Busy()
    return _of_database(exception) if isinstance(exception, Error) else None


def _of_database(exception: Error) -> exceptions.APIException | None:
    if getattr(exception.__cause__, "sqlstate", None) == "57014":
        return TooSlow()
    if isinstance(exception, OperationalError | InterfaceError):
        return Busy()
    if isinstance(exception, DataError):
        return NotStorable()
    return None


def _code(exception: exceptions.APIException) -> str:
    if isinstance(exception, exceptions.ValidationError):
        return "invalid_parameters"
    codes = exception.get_codes()
    return codes if isinstance(codes, str) else exception.default_code


def _errors(exception: exceptions.APIException) -> list[dict[str, str]]:
    if not isinstance(exception, exceptions.ValidationError):
        return []
    return [
        {"field": field, "code": str(getattr(detail, "code", "invalid")), "detail": str(detail)}
        for field, detail in _leaves(exception.detail, "")
    ]


def _leaves(detail: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each message of a nested error, with the dotted path of its field."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            own = "" if name == api_settings.NON_FIELD_ERRORS_KEY else str(name)
            yield from _leaves(inner, ".".join(part for part in (path, own) if part))
    elif isinstance(detail, list):
        many = any(isinstance(inner, Mapping) for inner in detail)
        for index, inner in enumerate(detail):
            yield from _leaves(inner, f"{path}.{index}".lstrip(".") if many else path)
    else:
        yield path, detail


def _summary(detail: Any) -> str:
    """The first message; `errors` lists all of them."""
    return next((str(message) for _, message in _leaves(detail, "")), "")


def _headers(exception: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(exception, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return headers


def _request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


def _reason(exception: Exception) -> str:
    """Our own words for people (`PermissionDenied("…")`)."""
    return str(exception) if isinstance(exception, PermissionDenied) else ""


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith(API_PATH)
