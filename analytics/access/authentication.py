"""How a request proves whose it is: a key or token in `Authorization: Bearer`, or the browser's session."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from analytics.access import selectors, services
from analytics.access.keys import CACHE_SECONDS, KeyInfo, KeyRing
from analytics.access.middleware import SESSION_TENANT, place_chosen
from analytics.access.roles import scopes_of_role
from analytics.access.tokens import resolve_jwt

KEY_PREFIXES = ("pk_", "sk_")


class KeyUser:
    """Stands where Django expects a user when a machine calls."""

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False
    pk = None

    def __init__(self, info: KeyInfo) -> None:
        self.info = info

    def __str__(self) -> str:
        return self.info.actor


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer sk_…` (or `pk_…`, which may only send events)."""

    def authenticate(self, request: Request) -> tuple[Any, KeyInfo] | None:
        token = _bearer(request)
        if token is None or not token.startswith(KEY_PREFIXES):
            return None
        info = key_ring().find(token)
        if info is None:
            raise AuthenticationFailed("This API key is unknown, revoked or expired.", code="invalid_key")
        return KeyUser(info), info

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="bellwether"'


class TenantJWTAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>` of `POST auth/token/`."""

    def authenticate(self, request: Request) -> tuple[Any, KeyInfo] | None:
        token = _bearer(request)
        if token is None or token.startswith(KEY_PREFIXES):
            return None
        info = resolve_jwt(token)
        if info is None:
            raise AuthenticationFailed("This token is invalid or expired: obtain a new one.", code="invalid_token")
        return KeyUser(info), info

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="bellwether"'


class TenantSessionAuthentication(SessionAuthentication):
    """The browser's session (with CSRF), for the tenant chosen in the admin."""

    def authenticate(self, request: Request) -> tuple[Any, KeyInfo] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        place = place_chosen(selectors.places_of_user(user), request._request.session.get(SESSION_TENANT))
        if place is None:
            raise AuthenticationFailed("This account belongs to no tenant yet.", code="no_tenant")
        scopes = scopes_of_role(place.role)
        return user, KeyInfo(tenant=place.tenant, kind="session", scopes=scopes, user_id=user.pk, role=place.role)


@cache
def key_ring() -> KeyRing:
    """The ring of this process for everything that runs in Django."""
    seconds = getattr(settings, "API_KEY_CACHE_SECONDS", CACHE_SECONDS)
    return KeyRing(selectors.api_key_lookup, services.api_keys_touch, cache_seconds=seconds)


def _bearer(request: Request) -> str | None:
    parts = get_authorization_header(request).split()
    if not parts or parts[0].lower() != b"bearer":
        return None
    if len(parts) != 2:
        raise AuthenticationFailed("Write `Authorization: Bearer <key or token>`.", code="invalid_header")
    try:
        return parts[1].decode("ascii")
    except UnicodeDecodeError:
        raise AuthenticationFailed("Keys and tokens are plain ASCII.", code="invalid_header") from None
