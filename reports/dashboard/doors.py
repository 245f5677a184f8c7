"""The door of every page: who is looked at, by whom, and what they may see. Below it, row-level security is on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeAlias, cast
from zoneinfo import ZoneInfo

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.views.decorators.gzip import gzip_page

from analytics.access.middleware import SESSION_TENANT, place_chosen
from analytics.access.roles import Scope, scopes_of_role
from analytics.access.selectors import places_of_user
from analytics.contracts import TenantInfo
from analytics.selectors import statement_limit
from analytics.tenancy import tenant_context

P = ParamSpec("P")
SECONDS: Final = 10
"""No statement of a page runs longer; a card that needs it is told apart from the rest."""
Page: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]


def tenant_page(scope: Scope = Scope.KPIS_READ) -> Callable[[Page[P]], Page[P]]:
    """For views of pages: signed in, a tenant chosen, the role grants `scope`; then one transaction in that tenant.

    Sets `request.tenant`, `request.tenants`, `request.tenant_role` and `request.scopes`. Times are shown in the
    tenant's zone. The view must render before it returns (`render()`): afterwards the tenant is no longer set.
    """

    def decorate(view: Page[P]) -> Page[P]:
        @wraps(view)
        def enter(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            tenant = _place(request)
            if tenant is None:
                return no_tenant(request)
            if scope not in scopes_of(request):
                raise PermissionDenied(_refusal(tenant, role_of(request)))
            with tenant_context(tenant.id), timezone.override(ZoneInfo(tenant.zone)):
                statement_limit(SECONDS)
                return _private(view(request, *args, **kwargs))

        return cast(Page[P], gzip_page(login_required(enter)))

    return decorate


def tenant_of(request: HttpRequest) -> TenantInfo:
    """The tenant that is looked at, inside a `tenant_page`."""
    found: TenantInfo = request.tenant  # type: ignore[attr-defined]
    return found


def role_of(request: HttpRequest) -> str:
    """The visitor's role in that tenant."""
    return str(getattr(request, "tenant_role", ""))


def scopes_of(request: HttpRequest) -> frozenset[str]:
    """What that role may do."""
    return scopes_of_role(role_of(request))


def _refusal(tenant: TenantInfo, role: str) -> str:
    if Scope.KPIS_READ in scopes_of_role(role):
        return f"Your role ({role}) may not see this page."
    return f"Your role in {tenant.slug} ({role}) sends events and sees no pages. An owner can give you another one."


def no_tenant(request: HttpRequest) -> HttpResponse:
    """For an account that belongs nowhere yet: what to ask whom for."""
    from reports.dashboard.problems import problem_page

    return problem_page(
        request,
        status=403,
        title="No tenant yet",
        message="Your account belongs to no tenant. Ask an owner to add you, or make one on the command line.",
        code="manage.py create_tenant SLUG && manage.py create_user NAME --tenant SLUG --role owner",
    )


def _place(request: HttpRequest) -> TenantInfo | None:
    places = places_of_user(request.user)
    place = place_chosen(places, request.session.get(SESSION_TENANT))
    request.tenants = [each.tenant for each in places]  # type: ignore[attr-defined]
    request.tenant = place.tenant if place else None  # type: ignore[attr-defined]
    request.tenant_role = place.role if place else ""  # type: ignore[attr-defined]
    return place.tenant if place else None


def _private(response: HttpResponse) -> HttpResponse:
    if not response.has_header("Cache-Control"):
        patch_cache_control(response, private=True, no_cache=True)
    patch_vary_headers(response, ("Cookie", "HX-Request"))
    return response


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page (and not for a whole one out of the history)."""
    return request.headers.get("HX-Request") == "true" and "HX-History-Restore-Request" not in request.headers


Context: TypeAlias = dict[str, Any]
