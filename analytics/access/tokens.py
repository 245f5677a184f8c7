"""JSON web tokens for people: short-lived, for one tenant, and void as soon as the account changes.

A token proves a log-in, not a right: role, membership and activity are read from the database at each use, so that a
deactivated person or a changed role counts at once (RELIABILITY.md S6).
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import close_old_connections, connection
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from analytics.access.keys import KeyInfo
from analytics.access.roles import scopes_of_role
from analytics.access.selectors import Place, places_of_user

T = TypeVar("T", bound=Token)
VERSION_LENGTH: Final = 24


class TokenPair:
    """An access token and the refresh token that renews it."""

    def __init__(self, user: AbstractBaseUser, place: Place) -> None:
        self.refresh = str(_stamped(RefreshToken, user, place))
        self.access = str(_stamped(AccessToken, user, place))


def resolve_jwt(text: str) -> KeyInfo | None:
    """What an access token stands for now, or None when it is forged, expired or no longer covered."""
    _leave_dead_connection()
    return _resolve(AccessToken, text)


def access_renew(text: str) -> str | None:
    """A new access token for a refresh token, or None when that is no longer good."""
    try:
        token = RefreshToken(text)  # type: ignore[arg-type]  # simplejwt annotates its own class here
    except TokenError:
        return None
    found = _holder(token)
    return None if found is None else str(_stamped(AccessToken, *found))


def token_version(user: AbstractBaseUser) -> str:
    """Changes with the password: what Django's own sessions compare, shortened."""
    return user.get_session_auth_hash()[:VERSION_LENGTH]


def _resolve(kind: type[Token], text: str) -> KeyInfo | None:
    try:
        token = kind(text)  # type: ignore[arg-type]  # simplejwt annotates its own class here
    except (TokenError, ValueError, TypeError, OverflowError):
        # A signed token is ours, but a hand-made `exp` beyond the calendar raises more than TokenError.
        return None
    found = _holder(token)
    if found is None:
        return None
    user, place = found
    return KeyInfo(tenant=place.tenant, kind="jwt", scopes=scopes_of_role(place.role), user_id=user.pk, role=place.role)


def _holder(token: Token) -> tuple[AbstractBaseUser, Place] | None:
    user = _active_user(token.get("user_id"))
    if user is None or not constant_time_compare(token_version(user), str(token.get("version", ""))):
        return None
    slug = token.get("tenant")
    place = next((place for place in places_of_user(user) if place.tenant.slug == slug), None)
    return None if place is None else (user, place)


def _active_user(user_id: Any) -> AbstractBaseUser | None:
    if not str(user_id).isdecimal():
        return None
    return get_user_model().objects.filter(pk=int(user_id), is_active=True).first()


def _stamped(kind: type[T], user: AbstractBaseUser, place: Place) -> T:
    token = kind()
    token["user_id"] = str(user.pk)
    token["tenant"] = place.tenant.slug
    token["version"] = token_version(user)
    token["nbf"] = token["iat"]
    return token


def _leave_dead_connection() -> None:
    # Long-lived capture threads see no request_started signal, which is what usually renews connections.
    if not connection.in_atomic_block:
        close_old_connections()
