"""Which addresses may open the admin, the metrics and the detailed health: IP_ALLOWLIST, or everybody without one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from analytics.access.addresses import Network, client_address, networks_parse

GUARDED: Final = ("/admin/", "/metrics", "/health/")
OPEN: Final = ("/health/live", "/health/ready")


class AllowListMiddleware:
    """Refuses (403) whoever comes from elsewhere, before anything is looked at."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if is_guarded(request.path) and not is_allowed(request):
            from config.problems import permission_denied

            return permission_denied(request, PermissionDenied("This address is not in IP_ALLOWLIST."))
        return self.get_response(request)


def is_guarded(path: str) -> bool:
    return path.startswith(GUARDED) and path.rstrip("/") not in OPEN


def is_allowed(request: HttpRequest) -> bool:
    """Whether the client's address is on the list; without a list every one is."""
    listed = _networks(tuple(settings.IP_ALLOWLIST))
    return not listed or _is_in(client_of(request), listed)


def is_listed(request: HttpRequest) -> bool:
    """Whether there is a list and the client's address is on it."""
    return bool(settings.IP_ALLOWLIST) and is_allowed(request)


def is_loopback(request: HttpRequest) -> bool:
    """Whether the client is this machine itself, also through a proxy that is not trusted to say otherwise."""
    try:
        direct = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return direct.is_loopback and "HTTP_X_FORWARDED_FOR" not in request.META


def client_of(request: HttpRequest) -> str:
    """The address of the client, behind proxies that are trusted."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return client_address(request.META.get("REMOTE_ADDR", ""), forwarded, _networks(tuple(settings.TRUSTED_PROXIES)))


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found.version == network.version and found in network for network in networks)


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return networks_parse(texts)
