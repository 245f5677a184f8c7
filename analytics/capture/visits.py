"""What can be told of a request without asking anybody: no query is made, no session is opened, nothing is kept raw."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject, empty

from analytics.access.addresses import client_address, networks_parse
from analytics.capture.options import CaptureOptions
from analytics.daily_visitors import OF_REQUESTS

UTM_FIELDS = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
MAX_REMEMBERED = 50_000

_signed_in: OrderedDict[str, str] = OrderedDict()


@lru_cache(maxsize=8)
def _secret(purpose: str, key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=32, person=purpose.encode()).digest()


def keyed(purpose: str, text: str) -> str:
    """A short name for something that must not be readable: 128 bits, keyed with SECRET_KEY."""
    return hashlib.blake2b(text.encode(), digest_size=16, key=_secret(purpose, settings.SECRET_KEY)).hexdigest()


def is_untracked(request: HttpRequest) -> bool:
    """Whether the browser asked not to be tracked (DNT) or sold (Global Privacy Control)."""
    return request.META.get("HTTP_DNT") == "1" or request.META.get("HTTP_SEC_GPC") == "1"


def login_of(request: HttpRequest) -> str | None:
    """A digest of Django's session cookie: the cookie itself is a key to the account."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return keyed("session", key) if key else None


def session_of(request: HttpRequest, login: str | None) -> str | None:
    """The SDK's session when it sends one, so that browser and server events meet; else the login's digest."""
    told = request.META.get("HTTP_X_POSTHOG_SESSION_ID")
    return str(told)[:200] if told else login


def visitor_of(request: HttpRequest, options: CaptureOptions, login: str | None, now: datetime) -> str:
    """An anonymous id: the SDK's, our cookie's, the session's, else one that changes every day and with the address."""
    told = request.META.get("HTTP_X_POSTHOG_DISTINCT_ID") or request.COOKIES.get(options.cookie or "\0")
    if told:
        return str(told)[:200]
    if login:
        return f"session-{login}"
    seen = f"{now:%Y-%m-%d}|{peer_of(request, options)}|{request.META.get('HTTP_USER_AGENT', '')}"
    return f"{OF_REQUESTS}{keyed('visitor', seen)}"


def user_of(request: HttpRequest, login: str | None) -> str | None:
    """The signed-in user's primary key, if something has already loaded it in this request or session."""
    known = request.__dict__
    user = known.get("_acached_user") or known.get("user")
    if isinstance(user, SimpleLazyObject):
        user = None if user._wrapped is empty else user
    if user is not None:
        return str(user.pk) if getattr(user, "is_authenticated", False) else None
    loaded: dict[str, Any] = getattr(known.get("session"), "__dict__", {}).get("_session_cache") or {}
    found = loaded.get(SESSION_KEY)
    return str(found) if found else _signed_in.get(login or "")


def user_remember(login: str | None, user: str) -> None:
    """Keeps whose session this is, so that later requests need not load it."""
    if login:
        _signed_in[login] = user
        while len(_signed_in) > MAX_REMEMBERED:
            _signed_in.popitem(last=False)


def user_forget(login: str | None) -> None:
    """The session has ended."""
    _signed_in.pop(login or "", None)


def peer_of(request: HttpRequest, options: CaptureOptions) -> str:
    """The client's address behind the trusted proxies; whole, for hashing only."""
    return _peer(
        request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""), options.trusted_proxies
    )


@lru_cache(maxsize=4096)
def _peer(peer: str, forwarded: str, trusted: tuple[str, ...]) -> str:
    return client_address(peer, forwarded, networks_parse(trusted))


@lru_cache(maxsize=4096)
def truncated_address(address: str) -> str | None:
    """The network an address is in: /24 of IPv4, /48 of IPv6. None for anything else."""
    try:
        bits = 24 if ip_address(address).version == 4 else 48
        return str(ip_network(f"{address}/{bits}", strict=False).network_address)
    except ValueError:
        return None


def campaign_of(request: HttpRequest) -> dict[str, str]:
    """The UTM parameters of the query string; a NUL, which no database takes, is left out."""
    query = request.META.get("QUERY_STRING", "")
    if "utm_" not in query:
        return {}
    given = parse_qs(query, max_num_fields=100)
    return {field: given[field][0][:200].replace("\0", "") for field in UTM_FIELDS if field in given}


def referrer_of(request: HttpRequest) -> dict[str, str]:
    """Where the visitor came from, without the query string: it may hold anything."""
    referrer = request.META.get("HTTP_REFERER", "")
    if not referrer:
        return {}
    try:
        parts = urlsplit(referrer)
        host = parts.hostname
    except ValueError:
        return {}
    return {"$referrer": f"{parts.scheme}://{host}{parts.path}"[:500], "$referring_domain": host} if host else {}


def route_of(request: HttpRequest) -> str:
    """The pattern of the path, so that `/orders/17/` and `/orders/18/` are one; unmatched paths are one as well."""
    match = request.resolver_match
    if match is None or match.route is None:
        return "(unmatched)"
    return "/" + match.route.removeprefix("^").lstrip("/").removesuffix("$")


def share_of(text: str) -> float:
    """A number in [0, 1) that is always the same for the same text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64
