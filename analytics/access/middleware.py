"""What every request carries: an id to quote, and in the admin the tenant that is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from analytics.access import selectors
from analytics.access.roles import Scope, scopes_of_role
from analytics.tenancy import tenant_context
from analytics.trace import accepted, traced

GetResponse = Callable[[HttpRequest], HttpResponse]

HEADER: Final = "X-Request-ID"
SESSION_TENANT: Final = "bellwether_tenant"
ADMIN_PATH: Final = "/admin/"


class RequestIdMiddleware:
    """Gives each request an id (`request.request_id`) and answers with it, so that a complaint finds its log line."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = accepted(request.headers.get(HEADER, ""))
        request.request_id = request_id  # type: ignore[attr-defined]
        with traced(request_id):
            response = self.get_response(request)
        response[HEADER] = request_id
        return response


class AdminTenantMiddleware:
    """Sets the tenant of the admin for the whole request: views, actions and rendered templates alike.

    `request.tenant` is the one chosen (session), else the first that the person belongs to; `request.tenants` are the
    ones to choose from. Without any, the tenant stays unset and every tenant table looks empty.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(ADMIN_PATH) or not request.user.is_authenticated:
            return self.get_response(request)
        places = selectors.places_of_user(request.user)
        place = place_chosen(places, request.session.get(SESSION_TENANT))
        request.tenants = [each.tenant for each in places]  # type: ignore[attr-defined]
        request.tenant = place.tenant if place else None  # type: ignore[attr-defined]
        request.tenant_role = place.role if place else ""  # type: ignore[attr-defined]
        if place is None:
            return self.get_response(request)
        # Times on the pages are the tenant's, as its days are.
        with tenant_context(place.tenant.id), timezone.override(ZoneInfo(place.tenant.zone)):
            response = self.get_response(request)
            if response.status_code >= 500:
                transaction.set_rollback(True)  # Django has made an answer of the exception, so atomic saw none
            return response


def tenant_choose(request: HttpRequest, slug: str) -> bool:
    """Remember the tenant to look at; False (and no change) when the person does not belong to it."""
    if not any(place.tenant.slug == slug for place in selectors.places_of_user(request.user)):
        return False
    request.session[SESSION_TENANT] = slug
    return True


def place_chosen(places: list[selectors.Place], slug: str | None) -> selectors.Place | None:
    """The place of a session's slug, else the first one whose numbers may be seen, else the first, else None."""
    seen = [place for place in places if Scope.KPIS_READ in scopes_of_role(place.role)]
    return next((place for place in places if place.tenant.slug == slug), next(iter([*seen, *places]), None))
