"""Access tokens: who gets one, and forty ways to forge one that fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.conf import settings

from analytics.access.selectors import places_of_user
from analytics.access.services import membership_remove, membership_set
from analytics.access.tokens import TokenPair, resolve_jwt, token_version
from analytics.models import Tenant
from tests.api import Caller, log_in, problem

KEY = settings.SIMPLE_JWT["SIGNING_KEY"]


@pytest.fixture
def token(owner_user: Any) -> str:
    """A good access token of Olga, owner of Acme."""
    return TokenPair(owner_user, places_of_user(owner_user)[0]).access


@pytest.fixture
def claims(token: str) -> dict[str, Any]:
    """What that token says."""
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_a_member_logs_in_and_is_their_role(acme: Tenant, globex: Tenant, teammate: Any) -> None:
    answer = log_in("theo")

    assert answer.status_code == 200
    info = resolve_jwt(answer.json()["access"])
    assert info is not None
    assert (info.tenant.slug, info.kind, info.role, info.user_id) == ("acme", "jwt", "analyst", teammate.pk)
    assert "kpis:read" in info.scopes
    assert "jobs:write" not in info.scopes
    assert Caller(answer.json()["access"]).get("tenant/").json()["slug"] == "acme"


def test_a_member_of_several_tenants_chooses_one(acme: Tenant, globex: Tenant, teammate: Any) -> None:
    membership_set(tenant_id=globex.pk, user=teammate, role="viewer")

    undecided = log_in("theo")
    foreign = log_in("theo", tenant="initech")
    chosen = log_in("theo", tenant="globex")

    message = {"field": "tenant", "code": "tenant_required", "detail": "Choose one of your tenants: acme, globex."}
    assert problem(undecided)["errors"] == [message]
    assert problem(foreign)["errors"] == [message]
    assert Caller(chosen.json()["access"]).get("tenant/").json()["slug"] == "globex"


def test_wrong_names_and_wrong_passwords_look_the_same(acme: Tenant, teammate: Any) -> None:
    answers = [problem(log_in(name, "nope")) for name in ("theo", "nobody")]

    assert answers[0] == answers[1] == {"status": 401, "code": "invalid_login", "detail": "Wrong name or password."}


def test_an_access_token_is_renewed_while_nothing_changed(acme: Tenant, teammate: Any) -> None:
    pair = log_in("theo").json()

    renewed = Caller(None).post("auth/token/refresh/", {"refresh": pair["refresh"]})
    assert resolve_jwt(renewed.json()["access"]) is not None

    teammate.set_password("another horse")
    teammate.save()
    assert Caller(None).post("auth/token/refresh/", {"refresh": pair["refresh"]}).status_code == 401


def test_eleven_log_ins_in_a_minute_are_one_too_many(acme: Tenant, teammate: Any) -> None:
    name = f"theo-{time.time_ns()}"  # a bucket of its own: Redis outlives the test

    codes = [Caller(None).post("auth/token/", {"username": name, "password": "x"}).status_code for _ in range(11)]

    assert codes[-1] == 429


def test_people_who_renew_tokens_do_not_hold_each_other_up(acme: Tenant, teammate: Any) -> None:
    refresh = log_in("theo").json()["refresh"]

    codes = [Caller(None).post("auth/token/refresh/", {"refresh": refresh}).status_code for _ in range(25)]

    assert codes == [200] * 25


@pytest.mark.parametrize("change", ["password", "deactivated", "left", "deleted"])
def test_a_changed_account_ends_its_tokens_at_once(acme: Tenant, owner_user: Any, token: str, change: str) -> None:
    assert resolve_jwt(token) is not None
    if change == "password":
        owner_user.set_password("new")
        owner_user.save()
    elif change == "deactivated":
        owner_user.is_active = False
        owner_user.save()
    elif change == "left":
        membership_remove(tenant_id=acme.pk, user=owner_user)
    else:
        membership_remove(tenant_id=acme.pk, user=owner_user)
        owner_user.delete()

    assert resolve_jwt(token) is None


def test_a_changed_role_counts_at_once(acme: Tenant, owner_user: Any, token: str) -> None:
    membership_set(tenant_id=acme.pk, user=owner_user, role="viewer")

    info = resolve_jwt(token)
    assert info is not None
    assert info.scopes == {"kpis:read"}


# --- Forgeries --------------------------------------------------------------------------------------------------------


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(
    claims: dict[str, Any], *, key: Any = KEY, header: dict[str, Any] | None = None, digest: Any = hashlib.sha256
) -> str:
    """A token put together by hand, so that libraries cannot refuse to make a bad one."""
    body = f"{part({'alg': 'HS256', 'typ': 'JWT', **(header or {})})}.{part(claims)}"
    raw_key = key.encode() if isinstance(key, str) else key
    return f"{body}.{part(hmac.new(raw_key, body.encode(), digest).digest())}"


def without(claims: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in claims.items() if key != name}


Forgery = Callable[[dict[str, Any], str], str]
FORGERIES: dict[str, Forgery] = {
    "no signature": lambda c, t: t.rsplit(".", 1)[0] + ".",
    "two parts": lambda c, t: t.rsplit(".", 1)[0],
    "four parts": lambda c, t: t + ".e30",
    "a signature of zeros": lambda c, t: t.rsplit(".", 1)[0] + "." + part(b"\0" * 32),
    "a flipped bit": lambda c, t: t[:-5] + ("A" if t[-5] != "A" else "B") + t[-4:],
    "changed claims": lambda c, t: ".".join([t.split(".")[0], part({**c, "tenant": "globex"}), t.split(".")[2]]),
    "alg none": lambda c, t: f"{part({'alg': 'none'})}.{part(c)}.",
    "alg None": lambda c, t: f"{part({'alg': 'None', 'typ': 'JWT'})}.{part(c)}.{part(b'x')}",
    "alg NONE, signed": lambda c, t: signed(c, header={"alg": "NONE"}),
    "alg missing": lambda c, t: f"{part({'typ': 'JWT'})}.{part(c)}.{t.split('.')[2]}",
    "alg HS384": lambda c, t: signed(c, header={"alg": "HS384"}, digest=hashlib.sha384),
    "alg HS512": lambda c, t: signed(c, header={"alg": "HS512"}, digest=hashlib.sha512),
    "alg RS256": lambda c, t: signed(c, header={"alg": "RS256"}),
    "alg ES256": lambda c, t: signed(c, header={"alg": "ES256"}),
    "the empty key": lambda c, t: signed(c, key=b""),
    "SECRET_KEY": lambda c, t: signed(c, key=settings.SECRET_KEY),
    "a guessed key": lambda c, t: signed(c, key="secret"),
    "its own key in the header": lambda c, t: signed(c, key="mine", header={"jwk": {"kty": "oct", "k": part(b"mine")}}),
    "a key address in the header": lambda c, t: signed(c, key="mine", header={"jku": "http://127.0.0.1/jwks.json"}),
    "a key id that is a path": lambda c, t: signed(c, key=b"", header={"kid": "../../../../dev/null"}),
    "a key id that is SQL": lambda c, t: signed(c, key="mine", header={"kid": "x' UNION SELECT 'mine'--"}),
    "a critical extension": lambda c, t: signed(c, header={"crit": ["b64"], "b64": False}),
    "expired": lambda c, t: signed({**c, "exp": int(time.time()) - 1}),
    "no expiry": lambda c, t: signed(without(c, "exp")),
    "an expiry that is text": lambda c, t: signed({**c, "exp": "never"}),
    "an expiry beyond the calendar": lambda c, t: signed({**c, "exp": 10**20}),
    "an infinite expiry": lambda c, t: signed({**c, "exp": float("inf")}),
    "not valid yet": lambda c, t: signed({**c, "nbf": int(time.time()) + 60}),
    "issued in the future": lambda c, t: signed({**c, "iat": int(time.time()) + 600}),
    "another audience": lambda c, t: signed({**c, "aud": "other-api"}),
    "no audience": lambda c, t: signed(without(c, "aud")),
    "another issuer": lambda c, t: signed({**c, "iss": "evil"}),
    "no issuer": lambda c, t: signed(without(c, "iss")),
    "no id": lambda c, t: signed(without(c, "jti")),
    "a refresh token's type": lambda c, t: signed({**c, "token_type": "refresh"}),
    "no type": lambda c, t: signed(without(c, "token_type")),
    "an old version": lambda c, t: signed({**c, "version": "0" * 24}),
    "no version": lambda c, t: signed(without(c, "version")),
    "another tenant": lambda c, t: signed({**c, "tenant": "globex"}),
    "no tenant": lambda c, t: signed(without(c, "tenant")),
    "a list of tenants": lambda c, t: signed({**c, "tenant": ["acme"]}),
    "another user": lambda c, t: signed({**c, "user_id": "999999"}),
    "a user that is SQL": lambda c, t: signed({**c, "user_id": "1 OR 1=1"}),
    "a user beyond integers": lambda c, t: signed({**c, "user_id": "9" * 40}),
    "no user": lambda c, t: signed(without(c, "user_id")),
    "claims that are a list": lambda c, t: signed([c]),  # type: ignore[arg-type]
    "claims that are no JSON": lambda c, t: f"{t.split('.')[0]}.{part(b'hello')}.{t.split('.')[2]}",
    "blanks": lambda c, t: "   ",
    "dots": lambda c, t: "..",
    "100 kB": lambda c, t: "a" * 100_000,
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_forgery_is_accepted(
    acme: Tenant, globex: Tenant, owner_user: Any, stranger: Any, token: str, claims: dict[str, Any], forgery: str
) -> None:
    assert resolve_jwt(FORGERIES[forgery](claims, token)) is None


def test_the_hand_made_token_itself_is_fine(acme: Tenant, token: str, claims: dict[str, Any]) -> None:
    """Otherwise the forgeries above would fail for the wrong reason."""
    assert resolve_jwt(signed(claims)) is not None
    assert claims["tenant"] == "acme"
    assert {"exp", "nbf", "iat", "jti", "aud", "iss", "version", "token_type"} <= claims.keys()


def test_another_persons_version_does_not_help(
    acme: Tenant, owner_user: Any, teammate: Any, claims: dict[str, Any]
) -> None:
    assert resolve_jwt(signed({**claims, "version": token_version(teammate)})) is None


def test_a_forged_token_is_a_401_over_http(acme: Tenant, token: str) -> None:
    assert problem(Caller(token[:-3] + "AAA").get("tenant/"))["code"] == "invalid_token"
