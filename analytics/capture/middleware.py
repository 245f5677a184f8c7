"""Records each request of a Django project, sync or async, without ever being noticed by it.

    MIDDLEWARE = [..., "django.contrib.auth.middleware.AuthenticationMiddleware",
                  "analytics.capture.middleware.AnalyticsMiddleware", ...]
    ANALYTICS_TENANT = "acme"

It makes no query, opens no session and waits for nothing: events go to the process's writer queue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from time import perf_counter
from typing import Any

import msgspec
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from analytics.capture import bots, recording, texts, visits
from analytics.capture.context import Acting, act_as, acting_now, request_now
from analytics.capture.faults import dropped, fault_note
from analytics.capture.options import CaptureOptions, capture_options
from analytics.capture.outlet import Message, outlet
from analytics.contracts import Source
from analytics.ids import uuid7

GetResponse = Callable[[HttpRequest], Any]


class Visit(msgspec.Struct, kw_only=True):
    """One request while it is being answered."""

    request: HttpRequest
    options: CaptureOptions
    former: Acting
    started: float
    at: datetime
    tenant: str
    event_id: str
    request_id: str
    is_untracked: bool
    login: str | None = None
    session_id: str | None = None
    anonymous_id: str | None = None
    new_cookie: str | None = None


class AnalyticsMiddleware:
    """Put it after the session and authentication middleware."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer(request)
        visit = _opened(request)
        try:
            response: HttpResponseBase = self.get_response(request)
        finally:
            _left(visit)
        _closed(visit, response)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        visit = _opened(request)
        try:
            response: HttpResponseBase = await self.get_response(request)
        finally:
            _left(visit)
        _closed(visit, response)
        return response


def _opened(request: HttpRequest) -> Visit | None:
    """Sets the surroundings; None when this request is not recorded."""
    try:
        options = capture_options()
        if not options.enabled or request.path_info.startswith(options.exclude_paths):
            return None
        visit = _begun(request, options)
        if not visit.is_untracked:
            _recognise(visit)
        act_as(_surroundings(visit))
        request_now.set(request)
        return visit
    except Exception:
        fault_note("middleware")
        return None


def _begun(request: HttpRequest, options: CaptureOptions) -> Visit:
    """Without a request id of the host's, the event's own serves: randomness is a system call, and costs like one."""
    tenant = options.tenant(request) if callable(options.tenant) else options.tenant
    event_id = str(uuid7())
    return Visit(
        request=request,
        options=options,
        former=acting_now(),
        started=perf_counter(),
        at=timezone.now(),
        tenant=tenant or "",
        event_id=event_id,
        request_id=getattr(request, "request_id", None) or event_id,
        is_untracked=options.honour_do_not_track and visits.is_untracked(request),
    )


def _recognise(visit: Visit) -> None:
    """Finds the ids of the visitor; nobody who asked not to be tracked comes here."""
    request, options = visit.request, visit.options
    visit.login = visits.login_of(request)
    visit.session_id = visits.session_of(request, visit.login)
    if options.cookie and options.cookie not in request.COOKIES:
        visit.new_cookie = visit.anonymous_id = str(uuid7())
    else:
        visit.anonymous_id = visits.visitor_of(request, options, visit.login, visit.at)


def _surroundings(visit: Visit) -> Acting:
    return Acting(
        tenant=visit.tenant or None,
        anonymous_id=visit.anonymous_id,
        session_id=visit.session_id,
        login=visit.login,
        request_id=visit.request_id,
        tags=visit.former.tags,
    )


def _left(visit: Visit | None) -> None:
    """Puts the former surroundings back, whatever the view did."""
    if visit is not None:
        act_as(visit.former)
        request_now.set(None)


def _closed(visit: Visit | None, response: HttpResponseBase) -> None:
    if visit is None or visit.is_untracked:
        return
    try:
        if visit.new_cookie is not None:
            _set_cookie(visit, response)
        if _is_wanted(visit):
            _send(visit, _message(visit, response), texts.texts_of(visit.request, response))
    except Exception:
        fault_note("middleware")


def _is_wanted(visit: Visit) -> bool:
    """Our own screens and sessions outside the sample are left out."""
    match = visit.request.resolver_match
    module = getattr(match.func, "__module__", "") if match else ""
    if module.partition(".")[0] in visit.options.exclude_modules:
        return False
    rate = visit.options.sample_rate
    return rate >= 1.0 or visits.share_of(visit.session_id or visit.anonymous_id or "") < rate


def _message(visit: Visit, response: HttpResponseBase) -> dict[str, Any]:
    request, options = visit.request, visit.options
    user = visits.user_of(request, visit.login)
    if user:
        visits.user_remember(visit.login, user)
    is_page = options.pageviews and _is_page(request, response)
    properties: dict[str, Any] = {
        "path": visits.route_of(request),
        "http_method": request.method,
        "status": response.status_code,
        "duration_ms": round((perf_counter() - visit.started) * 1000, 3),
        "request_id": visit.request_id,
        "network": visits.truncated_address(visits.peer_of(request, options)),
        "$raw_user_agent": request.META.get("HTTP_USER_AGENT", ""),
        **visits.referrer_of(request),
        **visits.campaign_of(request),
    }
    if visit.session_id:
        properties["$session_id"] = visit.session_id
    if options.sample_rate < 1.0:
        properties["sample_rate"] = options.sample_rate
    if user is None:
        properties["$process_person_profile"] = False
    return {
        "event": "page_view" if is_page else "request_completed",
        "type": "page_view" if is_page else "api_call",
        "uuid": visit.event_id,
        "distinct_id": user or visit.anonymous_id,
        "timestamp": visit.at.isoformat(),
        "properties": properties,
    }


def _send(visit: Visit, message: dict[str, Any], texts_found: dict[str, str]) -> None:
    sensitive = None
    if texts_found:
        message["properties"]["text_fields"] = sorted(texts_found)
        sensitive = {"text": texts_found}
    if recording.record([message]):
        return
    if not visit.tenant:
        dropped("no_tenant")
        return
    # Headers cannot hold what `tidy` looks for, and the query is cleaned where it is read.
    ahead = bots.is_prefetch(visit.request.META, bots.WSGI_AHEAD)
    outlet.put([Message(visit.tenant, Source.MIDDLEWARE, message, sensitive, is_clean=True, is_prefetch=ahead)])


def _is_page(request: HttpRequest, response: HttpResponseBase) -> bool:
    return (
        request.method == "GET"
        and response.status_code < 400
        and response.headers.get("Content-Type", "").startswith("text/html")
    )


def _set_cookie(visit: Visit, response: HttpResponseBase) -> None:
    """Only a page sets it: answers to programs may be cached and shared."""
    if isinstance(response, HttpResponse) and _is_page(visit.request, response):
        response.set_cookie(
            visit.options.cookie,
            visit.new_cookie or "",
            max_age=visit.options.cookie_days * 86_400,
            httponly=True,
            samesite="Lax",
            secure=visit.request.is_secure(),
        )
