"""Who is at the other end of a socket: asked at the handshake, and again for as long as it is open.

Keys and tokens are shown by the client on purpose. A cookie is sent by the browser for whatever page opened the
socket, so it counts only with an Origin that is this host's own or a trusted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest, parse_cookie
from django.http.request import validate_host
from django.utils.http import is_same_domain

from analytics.access import selectors, services
from analytics.access.authentication import KEY_PREFIXES
from analytics.access.keys import KeyInfo, KeyRing, token_digest
from analytics.access.middleware import SESSION_TENANT, place_chosen
from analytics.access.roles import Scope, scopes_of_role
from analytics.access.tokens import resolve_jwt
from reports.live.protocol import BEARER, FORBIDDEN, UNAUTHENTICATED

NEEDED: Final = Scope.KPIS_READ

_KEYS: Final = """
SELECT d.digest, coalesce(k::text, ''), coalesce(k.expires_at <= now(), false)
  FROM unnest(%s::bytea[]) AS d (digest) LEFT JOIN LATERAL bw_api_key_lookup(d.digest) k ON true"""
_PLACES: Final = """
SELECT p.id, string_agg(m.slug || ':' || m.role, ',' ORDER BY m.slug)
  FROM unnest(%s::int[]) AS p (id) CROSS JOIN LATERAL bw_memberships(p.id) m GROUP BY p.id"""


class Refused(Exception):
    """The socket may not be opened, or not stay open; `code` closes it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Credential:
    """What the client showed. The secret is in no text of it."""

    kind: Literal["key", "jwt", "session"]
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Holder:
    """A credential with what it stands for."""

    credential: Credential
    info: KeyInfo


def credential_of_token(token: str) -> Credential:
    """A key or an access token."""
    return Credential("key" if token.startswith(KEY_PREFIXES) else "jwt", token)


def credential_offered(scope: Mapping[str, Any]) -> Credential | None:
    """What the handshake shows; None when a token must come as the first message. Raises Refused."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    if authorization := headers.get(b"authorization"):
        return _bearer(authorization)
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(BEARER):
            return credential_of_token(protocol.removeprefix(BEARER))
    session = parse_cookie(headers.get(b"cookie", b"").decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if session or origin:
        host = headers.get(b"host", b"").decode("latin-1")
        if not origin_is_ours(origin, host, is_secure=scope.get("scheme") == "wss"):
            raise Refused(FORBIDDEN, "this origin may not open a socket with a session")
    return Credential("session", session) if session else None


def origin_is_ours(origin: str, host: str, *, is_secure: bool) -> bool:
    """Django's own rule for forms: the host itself under the same scheme, or CSRF_TRUSTED_ORIGINS."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if not validate_host(name.lower(), settings.ALLOWED_HOSTS):
        return False
    if origin == f"{'https' if is_secure else 'http'}://{host}":
        return True
    try:
        asked = urlsplit(origin)
    except ValueError:
        return False
    return any(
        asked.scheme == trusted.scheme and is_same_domain(asked.netloc, trusted.netloc.lstrip("*"))
        for trusted in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS)
        if asked.netloc
    )


def _bearer(header: bytes) -> Credential:
    parts = header.split()
    if len(parts) != 2 or parts[0].lower() != b"bearer" or not parts[1].isascii():
        raise Refused(UNAUTHENTICATED, "write Authorization: Bearer <key or token>")
    return credential_of_token(parts[1].decode())


# --- Blocking: run by a desk ------------------------------------------------------------------------------------------


@cache
def _ring() -> KeyRing:
    # Remembers nothing: a revoked key must not live on for the seconds that the API's ring may give it.
    return KeyRing(selectors.api_key_lookup, services.api_keys_touch, cache_seconds=0.0)


def holder_of(credential: Credential) -> Holder:
    """What the credential stands for now. Raises Refused, KeysUnavailable."""
    info = _RESOLVERS[credential.kind](credential.secret)
    if info is None:
        raise Refused(UNAUTHENTICATED, "this credential is unknown, revoked or expired")
    if NEEDED not in info.scopes:
        raise Refused(FORBIDDEN, f"this needs the scope {NEEDED}")
    return Holder(credential, info)


def _session(session_key: str) -> KeyInfo | None:
    """As the API's session authentication, from the cookie alone."""
    request = HttpRequest()
    request.session = SessionStore(session_key)
    user = auth.get_user(request)
    if not user.is_authenticated or not user.is_active:
        return None
    place = place_chosen(selectors.places_of_user(user), request.session.get(SESSION_TENANT))
    if place is None:
        return None
    scopes = scopes_of_role(place.role)
    return KeyInfo(tenant=place.tenant, kind="session", scopes=scopes, user_id=user.pk, role=place.role)


def _key(token: str) -> KeyInfo | None:
    return _ring().find(token)


_RESOLVERS: Final = {"key": _key, "jwt": resolve_jwt, "session": _session}


def standings(holders: Iterable[Holder]) -> dict[Credential, str]:
    """A text for each credential that changes when its rights might have: three statements, however many there are.

    Key revoked, expired or changed; person deactivated, removed, given another role or password; session ended.
    """
    every = list(holders)
    keys = {token_digest(each.credential.secret): each for each in every if each.credential.kind == "key"}
    sessions = {each.credential.secret: each for each in every if each.credential.kind == "session"}
    people = {each.info.user_id for each in every if each.info.user_id is not None}
    found = {keys[digest].credential: text for digest, text in _keys_standing(list(keys)).items()}
    alive = dict(Session.objects.filter(session_key__in=list(sessions)).values_list("session_key", "session_data"))
    persons = _people_standing(sorted(people))
    for each in every:
        if each.credential.kind != "key":
            extra = alive.get(each.credential.secret, "ended") if each.credential.kind == "session" else ""
            found[each.credential] = f"{persons.get(each.info.user_id)}/{extra}"
    return found


def _keys_standing(digests: list[bytes | None]) -> dict[bytes, str]:
    if not digests:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_KEYS, [digests])
        return {bytes(digest): f"{row}/{is_over}" for digest, row, is_over in cursor.fetchall()}


def _people_standing(ids: list[int]) -> dict[int | None, str]:
    if not ids:
        return {}
    users = get_user_model().objects.filter(pk__in=ids)
    accounts = {pk: rest for pk, *rest in users.values_list("pk", "is_active", "is_superuser", "password")}
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, [ids])
        places = dict(cursor.fetchall())
    return {pk: f"{accounts.get(pk)}/{places.get(pk)}" for pk in ids}
