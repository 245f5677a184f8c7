"""Tenants, roles, keys and the ring that finds them."""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from analytics.access import keys, services
from analytics.access.addresses import client_address, networks_parse
from analytics.access.authentication import key_ring
from analytics.access.keys import KeyRing, KeyRow, KeysUnavailable, token_digest, token_mint
from analytics.access.roles import EVERY_SCOPE, SECRET_SCOPES
from analytics.access.selectors import api_key_lookup, places_of_user
from analytics.contracts import TenantInfo
from analytics.models import ApiKey, Calendar, Membership, Tenant
from analytics.tenancy import tenant_context
from tests.api import Caller, caller, logged_in, problem

HERE = TenantInfo(id=1, slug="acme", zone="UTC", base_currency="EUR")


# --- Tenants ----------------------------------------------------------------------------------------------------------


def test_a_new_tenant_has_one_live_calendar(acme: Tenant, globex: Tenant) -> None:
    with tenant_context(globex.pk):
        calendars = list(Calendar.objects.values_list("version", "zone", "base_currency", "week_start", "state"))

    assert calendars == [(1, "Asia/Kathmandu", "NPR", 0, "live")]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("slug", "Acme Shop", "is no slug"),
        ("slug", "-acme", "is no slug"),
        ("slug", "acme", "is taken"),
        ("name", "  ", "name is empty"),
        ("zone", "Asia/Katmandoo", "Unknown time zone"),
        ("zone", "localtime", "Unknown time zone"),
        ("zone", "../etc/passwd", "Unknown time zone"),
        ("base_currency", "EURO", "Unknown currency"),
        ("week_start", 7, "not in 0 (Monday) to 6"),
    ],
)
def test_a_bad_tenant_is_refused_by_field(acme: Tenant, globex: Tenant, field: str, value: Any, says: str) -> None:
    wanted = {"slug": "third", "name": "Third", "zone": "UTC", "base_currency": "EUR", field: value}

    with pytest.raises(services.AccessError, match=says.replace("(", r"\(").replace(")", r"\)")) as caught:
        services.tenant_create(**wanted)

    assert caught.value.field == field


def test_a_person_sees_only_the_tenants_they_belong_to(acme: Tenant, globex: Tenant, owner_user: Any) -> None:
    assert [(place.tenant.slug, place.role) for place in places_of_user(owner_user)] == [("acme", "owner")]

    services.membership_set(tenant_id=globex.pk, user=owner_user, role="viewer")

    places = [(place.tenant.slug, place.tenant.zone, place.role) for place in places_of_user(owner_user)]
    assert places == [("acme", "Europe/Paris", "owner"), ("globex", "Asia/Kathmandu", "viewer")]


def test_a_membership_can_change_and_end(acme: Tenant, globex: Tenant, teammate: Any) -> None:
    services.membership_set(tenant_id=acme.pk, user=teammate, role="viewer")

    assert not services.membership_remove(tenant_id=globex.pk, user=teammate)
    assert services.membership_remove(tenant_id=acme.pk, user=teammate)

    with tenant_context(acme.pk):
        assert not Membership.objects.exists()


def test_an_unknown_role_is_refused(acme: Tenant, teammate: Any) -> None:
    with pytest.raises(services.AccessError, match="Unknown role 'king'"):
        services.membership_set(tenant_id=acme.pk, user=teammate, role="king")


# --- Tokens of keys ---------------------------------------------------------------------------------------------------


def test_a_token_holds_32_random_bytes_and_a_checksum() -> None:
    tokens = {token_mint("sk") for _ in range(1000)}

    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {keys.TOKEN_LENGTH}
    assert all(token_digest(token) == hashlib.sha256(token.encode()).digest() for token in tokens)


def test_every_single_typo_is_known_without_a_query() -> None:
    token = token_mint("pk")
    typos = [token[:i] + other + token[i + 1 :] for i in range(len(token)) for other in "aZ9_" if other != token[i]]

    assert [typo for typo in typos if token_digest(typo)] == []


@pytest.mark.parametrize(
    "text", ["", "sk_", "sk_é", "xx_" + "a" * 49, "sk-" + "a" * 49, "a" * 10_000, "sk_" + "\x00" * 49]
)
def test_what_is_no_token_has_no_digest(text: str) -> None:
    assert token_digest(text) is None


def test_judging_a_token_takes_less_than_50_microseconds() -> None:
    token = token_mint("sk")
    ring = KeyRing(lambda digest: KeyRow(1, "sk", ("kpis:read",), None, HERE))  # type: ignore[arg-type]
    ring.find(token)

    start = time.perf_counter()
    for _ in range(2000):
        ring.find(token)

    assert (time.perf_counter() - start) / 2000 < 50e-6


# --- Keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_stored_as_digest_and_prefix_only(acme: Tenant, globex: Tenant) -> None:
    key, token = services.api_key_create(tenant_id=acme.pk, kind="sk", name="backend")

    with tenant_context(acme.pk), connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM bw_api_key k")
        rows = cursor.fetchall()
    assert len(rows) == 1
    assert token not in rows[0][0]
    assert token[12:-6] not in rows[0][0]
    assert key.prefix == token[:11]
    assert set(key.scopes) == set(SECRET_SCOPES)
    with tenant_context(globex.pk):
        assert not ApiKey.objects.exists()


def test_a_publishable_key_can_only_send_events(acme: Tenant) -> None:
    key, _ = services.api_key_create(tenant_id=acme.pk, kind="pk", name="site")

    assert key.scopes == ["events:write"]
    with pytest.raises(services.AccessError, match="cannot have the scope 'kpis:read'"):
        services.api_key_create(tenant_id=acme.pk, kind="pk", name="site", scopes=["kpis:read"])


def test_keys_never_hand_out_keys(acme: Tenant) -> None:
    with pytest.raises(services.AccessError, match="cannot have the scope 'access:write'"):
        services.api_key_create(tenant_id=acme.pk, kind="sk", name="root", scopes=["access:write"])


def test_an_unknown_scope_or_kind_is_refused(acme: Tenant) -> None:
    with pytest.raises(services.AccessError, match="Unknown scope 'all'"):
        services.api_key_create(tenant_id=acme.pk, kind="sk", name="x", scopes=["all"])
    with pytest.raises(services.AccessError, match="Unknown kind 'rk'"):
        services.api_key_create(tenant_id=acme.pk, kind="rk", name="x")


def test_rotation_overlaps(acme: Tenant, globex: Tenant, t0: datetime) -> None:
    old, old_token = services.api_key_create(tenant_id=acme.pk, kind="sk", name="backend", scopes=["kpis:read"])
    now = datetime.now(UTC)

    new, new_token = services.api_key_rotate(tenant_id=acme.pk, key_id=old.pk, now=now, overlap=timedelta(hours=1))

    ring = KeyRing(api_key_lookup)
    found = [ring.find(token) for token in (old_token, new_token)]
    assert [(info.key_id, info.scopes, info.tenant.slug) for info in found if info] == [
        (old.pk, frozenset({"kpis:read"}), "acme"),
        (new.pk, frozenset({"kpis:read"}), "acme"),
    ]
    assert [info.expires_at for info in found if info] == [now + timedelta(hours=1), None]
    assert new.rotated_from_id == old.pk


def test_a_key_of_another_tenant_can_neither_be_rotated_nor_revoked(acme: Tenant, globex: Tenant) -> None:
    key, token = services.api_key_create(tenant_id=acme.pk, kind="sk", name="backend")

    assert not services.api_key_revoke(tenant_id=globex.pk, key_id=key.pk, now=datetime.now(UTC))
    with pytest.raises(ApiKey.DoesNotExist):
        services.api_key_rotate(tenant_id=globex.pk, key_id=key.pk, now=datetime.now(UTC))

    assert KeyRing(api_key_lookup).find(token) is not None


def test_expired_and_revoked_keys_open_nothing(acme: Tenant, globex: Tenant) -> None:
    now = datetime.now(UTC)
    _, stale = services.api_key_create(tenant_id=acme.pk, kind="sk", name="a", expires_at=now - timedelta(seconds=1))
    key, token = services.api_key_create(tenant_id=acme.pk, kind="sk", name="b")
    assert services.api_key_revoke(tenant_id=acme.pk, key_id=key.pk, now=now)

    ring = KeyRing(api_key_lookup)

    assert ring.find(stale) is None
    assert ring.find(token) is None


def test_digests_from_a_stolen_database_open_nothing(acme: Tenant) -> None:
    key, _ = services.api_key_create(tenant_id=acme.pk, kind="sk", name="a")
    ring = KeyRing(api_key_lookup)

    assert ring.find(f"sk_{bytes(key.digest).hex()}") is None
    assert ring.find(key.prefix) is None


# --- The ring ---------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Answers look-ups from a dictionary and counts them."""

    def __init__(self, rows: dict[bytes, KeyRow]) -> None:
        self.rows, self.asked = rows, 0
        self.touched: list[list[Any]] = []

    def lookup(self, digest: bytes) -> KeyRow | None:
        self.asked += 1
        return self.rows.get(digest)

    def touch(self, key_ids: list[Any]) -> None:
        self.touched.append(key_ids)


def store_with(token: str, **changes: Any) -> Store:
    values = {"key_id": 7, "kind": "sk", "scopes": ("kpis:read",), "expires_at": None, "tenant": HERE, **changes}
    digest = token_digest(token)
    assert digest is not None
    return Store({digest: KeyRow(**values)})


def test_the_ring_asks_once_in_five_seconds_for_known_and_unknown_alike() -> None:
    known, unknown, clock = token_mint("sk"), token_mint("sk"), Clock()
    store = store_with(known)
    ring = KeyRing(store.lookup, clock=clock)

    answers = [(ring.find(known) is not None, ring.find(unknown) is not None) for _ in range(100)]
    clock.now = 5.0
    store.rows.clear()

    assert set(answers) == {(True, False)}
    assert store.asked == 2
    assert ring.peek(known) is KeyRing.MISS
    assert ring.find(known) is None


def test_the_ring_never_asks_about_typos() -> None:
    store = store_with(token_mint("sk"))
    ring = KeyRing(store.lookup)

    assert ring.find("sk_nonsense") is None
    assert ring.peek(token_mint("sk")[:-1] + "é") is None
    assert store.asked == 0


def test_the_ring_stays_bounded_under_a_flood_of_strangers() -> None:
    token = token_mint("sk")
    ring = KeyRing(store_with(token).lookup, cache_size=50)

    for _ in range(500):
        ring.find(token_mint("sk"))

    assert len(ring._known) == 50
    assert ring.find(token) is not None


def test_expiry_counts_at_once_although_the_answer_is_remembered() -> None:
    token = token_mint("sk")
    store = store_with(token, expires_at=datetime.now(UTC) + timedelta(milliseconds=60))
    ring = KeyRing(store.lookup, clock=Clock())

    assert ring.find(token) is not None
    time.sleep(0.08)

    assert ring.find(token) is None


def test_uses_are_written_at_most_once_a_minute() -> None:
    token, clock = token_mint("sk"), Clock()
    store = store_with(token)
    ring = KeyRing(store.lookup, store.touch, clock=clock)

    for second in range(130):
        clock.now = float(second)
        ring.find(token)
    ring.close()

    assert store.touched == [[7], [7], [7]]


def test_a_dead_database_is_said_and_not_remembered() -> None:
    def dead(digest: bytes) -> KeyRow | None:
        raise KeysUnavailable("no route")

    token = token_mint("sk")
    ring = KeyRing(dead)
    with pytest.raises(KeysUnavailable):
        ring.find(token)

    ring._lookup = store_with(token).lookup
    assert ring.find(token) is not None


def test_threads_share_the_ring() -> None:
    token = token_mint("sk")
    ring = KeyRing(store_with(token).lookup, cache_seconds=0.0)
    found: list[bool] = []

    def work() -> None:
        found.extend(ring.find(token) is not None for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [True] * 1600


@pytest.mark.django_db(transaction=True)
def test_the_direct_connection_finds_keys_as_role_ingest(
    acme: Tenant, globex: Tenant, database_urls: dict[str, str]
) -> None:
    key, token = services.api_key_create(tenant_id=globex.pk, kind="pk", name="site")
    direct = keys.DirectKeys(database_urls["DATABASE_INGEST_URL"])
    ring = KeyRing(direct.lookup, direct.touch)

    try:
        info = ring.find(token)
        assert info is not None
        assert (info.tenant.slug, info.tenant.zone, info.kind, info.scopes, info.key_id) == (
            "globex",
            "Asia/Kathmandu",
            "pk",
            frozenset({"events:write"}),
            key.pk,
        )
        ring.close()
    finally:
        direct.close()
    with tenant_context(globex.pk):
        assert ApiKey.objects.get().last_used_at is not None


def test_the_direct_connection_reports_a_missing_server(tmp_path: Any) -> None:
    direct = keys.DirectKeys(f"postgresql://nobody@/none?host={tmp_path}")

    with pytest.raises(KeysUnavailable):
        direct.lookup(b"x" * 32)


# --- Calls ------------------------------------------------------------------------------------------------------------


def test_each_key_sees_its_own_tenant(acme: Tenant, globex: Tenant) -> None:
    assert caller(acme).get("tenant/").json()["slug"] == "acme"
    assert caller(globex).get("tenant/").json()["slug"] == "globex"


def test_a_call_without_a_credential_is_asked_for_one(acme: Tenant) -> None:
    response = Caller(None).get("tenant/")

    assert response["WWW-Authenticate"] == 'Bearer realm="bellwether"'
    assert problem(response) == {
        "status": 401,
        "code": "not_authenticated",
        "detail": "Authentication credentials were not provided.",
    }


def test_a_wrong_key_is_refused_in_words(acme: Tenant) -> None:
    response = Caller(token_mint("sk")).get("tenant/")

    assert problem(response) == {
        "status": 401,
        "code": "invalid_key",
        "detail": "This API key is unknown, revoked or expired.",
    }


def test_a_revoked_key_stops_working(acme: Tenant, globex: Tenant) -> None:
    key, token = services.api_key_create(tenant_id=acme.pk, kind="sk", name="a")
    assert Caller(token).get("tenant/").status_code == 200

    services.api_key_revoke(tenant_id=acme.pk, key_id=key.pk, now=datetime.now(UTC))
    key_ring().forget()

    assert Caller(token).get("tenant/").status_code == 401


def test_a_missing_scope_is_named(acme: Tenant) -> None:
    response = caller(acme, scopes=["kpis:read"]).get("events/")

    assert problem(response) == {"status": 403, "code": "scope_missing", "detail": "This needs the scope events:read."}


def test_owners_make_rotate_and_revoke_keys(acme: Tenant, globex: Tenant, owner_user: Any, stranger: Any) -> None:
    api, foreign = logged_in("olga"), logged_in("sam")

    made = api.post("keys/", {"kind": "sk", "name": "ci", "scopes": ["kpis:read"]})
    assert made.status_code == 201
    key = made.json()
    assert key["scopes"] == ["kpis:read"]
    assert Caller(key["token"]).get("tenant/").status_code == 200

    rotated = api.post(f"keys/{key['id']}/rotate/")
    assert rotated.status_code == 201
    assert [row["name"] for row in api.get("keys/").json()["results"]] == ["ci", "ci"]
    assert "token" not in api.get("keys/").json()["results"][0]
    assert foreign.get("keys/").json()["results"] == []
    assert foreign.send("DELETE", f"keys/{key['id']}/").status_code == 404

    assert api.send("DELETE", f"keys/{rotated.json()['id']}/").status_code == 204
    key_ring().forget()
    assert Caller(rotated.json()["token"]).get("tenant/").status_code == 401


def test_a_bad_key_request_names_the_field(acme: Tenant, owner_user: Any) -> None:
    response = logged_in("olga").post("keys/", {"kind": "sk", "name": "x", "scopes": ["access:write"]})

    assert problem(response)["errors"] == [
        {"field": "scopes", "code": "invalid", "detail": "A sk_ key cannot have the scope 'access:write'."}
    ]


def test_every_scope_is_granted_by_the_owner_role_only_where_written() -> None:
    from analytics.access.roles import scopes_of_role

    assert scopes_of_role("owner") == EVERY_SCOPE
    assert scopes_of_role("viewer") == {"kpis:read"}
    assert scopes_of_role("ingest") == {"events:write"}
    assert scopes_of_role("nobody") == frozenset()


# --- Addresses --------------------------------------------------------------------------------------------------------

PROXIES = networks_parse(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),  # not our proxy: whatever it says
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"),  # the left part may be invented
        ("10.0.0.1", "6.6.6.6, 198.51.100.7, 10.1.1.1", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("fd00::1", "[2001:db8::5]:443", "2001:db8::5"),
        ("10.0.0.1", "garbage", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, <script>, 10.2.2.2", "10.2.2.2"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("", "1.2.3.4", ""),
    ],
)
def test_the_client_is_the_first_stranger_from_the_right(peer: str, forwarded: str, client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


def test_without_trusted_proxies_no_header_is_believed() -> None:
    spoofs = [f"{a}.{b}.1.1" for a in range(50) for b in range(40)]

    assert {client_address("203.0.113.9", spoof, ()) for spoof in spoofs} == {"203.0.113.9"}
