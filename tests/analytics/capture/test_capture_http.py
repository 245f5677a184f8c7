"""The doors as clients see them: statuses, answers, CORS, keys; and what PostgreSQL holds afterwards."""

from __future__ import annotations

import base64
import gzip
import threading
import time
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import close_old_connections
from django.utils import timezone

from analytics.access.authentication import key_ring
from analytics.access.keys import KeyInfo, KeyRing
from analytics.access.services import api_key_revoke
from analytics.capture import events_api
from analytics.capture.asgi import CaptureApp
from analytics.capture.intake import Intake
from analytics.models import ApiKey, Event, Tenant
from analytics.serializers.events import IncomingEventSerializer
from analytics.tenancy import tenant_context
from analytics.writer import EventWriter
from tests.analytics.capture.asgi_client import call
from tests.analytics.capture.conftest import names_stored, outcomes, token_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
ORIGIN = {"Origin": "https://shop.example"}


def basic(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{token}:".encode()).decode()}


def hit(**members: Any) -> dict[str, Any]:
    return {"event": "page_view", "distinct_id": "user-1", "uuid": str(uuid4()), **members}


# --- PostHog ----------------------------------------------------------------------------------------------------------


def test_every_shape_of_posthog_body_is_stored_and_answered_with_status_1(
    app: CaptureApp, acme: Tenant, globex: Tenant
) -> None:
    token = token_of(acme)
    tokened = hit(properties={"token": token})
    for path, body in [
        ("/batch/", {"api_key": token, "batch": [hit(), hit()]}),
        ("/e/?ip=0&ver=1", {"api_key": token, "batch": [hit()]}),
        ("/e", [tokened]),
        ("/capture/", {"api_key": token, **hit()}),
        ("/track", {"token": token, **hit()}),
        ("/ingest/i/v0/e/", {"api_key": token, **hit()}),
        ("/e/", gzip.compress(b'{"api_key":"%s","event":"page_view","distinct_id":"zip"}' % token.encode())),
        ("/e/", b"data=" + base64.b64encode(b'{"api_key":"%s","event":"page_view"}' % token.encode())),
    ]:
        answer = call(app, path, body, pieces=3)  # type: ignore[arg-type]
        assert (answer.status, answer.json) == (200, {"status": 1}), path

    assert names_stored(acme) == {"page_view": 9}
    assert outcomes(acme) == {"stored": 9}
    assert names_stored(globex) == {}
    with tenant_context(acme.pk):
        assert not Event.objects.filter(properties__has_key="token").exists()


def test_engage_is_an_identify_and_get_carries_an_image(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    token = token_of(acme)
    body = {"$token": token, "$distinct_id": "user-42", "$set": {"plan": "pro"}}
    assert call(app, "/engage/?ip=1", body).json == {"status": 1}
    data = base64.urlsafe_b64encode(b'{"api_key":"%s","event":"page_view"}' % token.encode()).decode()
    assert call(app, f"/e/?data={data}", method="GET").json == {"status": 1}
    assert names_stored(acme) == {"$identify": 1, "page_view": 1}


def test_capture_v1_answers_for_each_uuid(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    good, spoiled = str(uuid4()), str(uuid4())
    body = {
        "created_at": "2026-11-20T10:00:00Z",
        "batch": [
            {"event": "page_view", "uuid": good, "distinct_id": "u", "options": {"process_person_profile": False}},
            {"event": "", "uuid": spoiled},
        ],
    }
    headers = {"Authorization": f"Bearer {token_of(acme)}", "PostHog-Sdk-Info": "posthog-python/7.91.1"}
    answer = call(app, "/i/v1/analytics/events", body, headers=headers)
    assert answer.status == 200
    assert answer.json == {
        "results": {
            good: {"result": "ok"},
            spoiled: {"result": "warning", "details": "every event needs a name in `event`"},
        }
    }
    assert outcomes(acme) == {"stored": 1, "quarantined": 1}
    with tenant_context(acme.pk):
        stored = Event.objects.get()
        assert stored.properties == {"$lib": "posthog-python", "$lib_version": "7.91.1"}


def test_quiet_answers_at_start_up(app: CaptureApp) -> None:
    config = {"supportedCompression": ["gzip", "gzip-js"], "hasFeatureFlags": False, "autocapture_opt_out": False}
    assert call(app, "/array/phc_x/config", method="GET").json == config
    script = call(app, "/array/phc_x/config.js", method="GET", headers=ORIGIN)
    assert script.headers["content-type"] == "application/javascript"
    assert script.body.startswith(b"(function(){window._POSTHOG_REMOTE_CONFIG=")
    assert b'["phc_x"]={"config":{"supportedCompression"' in script.body
    assert b"surveys" not in script.body

    flags = call(app, "/flags/?v=2", b"{}").json
    UUID(flags.pop("requestId"))
    assert flags == {"flags": {}, "errorsWhileComputingFlags": False}
    assert config.items() <= call(app, "/flags/?v=2&config=true", b"garbage").json.items()
    assert call(app, "/decide/?v=3", b"{}").json["featureFlags"] == {}
    for path in ("/flags/definitions?token=x&send_cohorts", "/api/feature_flag/local_evaluation/"):
        assert call(app, path, method="GET").json == {"flags": [], "group_type_mapping": {}, "cohorts": {}}
    for path in ("/s/", "/i/v1/traces", "/i/v0/ai/batch", "/v1/m"):
        assert call(app, path, b"anything").status == 200

    settings = call(app, "/ingest/v1/projects/wk/settings", method="GET", headers={"Host": "h.example"}).json
    assert settings["integrations"]["Segment.io"] == {
        "apiKey": "wk",
        "apiHost": "h.example/ingest/v1",
        "protocol": "http",
    }
    assert call(app, "/sourceConfig/?writeKey=wk", method="GET").json["source"]["writeKey"] == "wk"


# --- Segment ----------------------------------------------------------------------------------------------------------


def test_segment_messages_are_stored_under_our_names(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    token = token_of(acme)
    context = {"campaign": {"source": "news", "name": "spring"}, "page": {"url": "https://shop.example/"}}
    message = {"userId": "u", "anonymousId": "a", "context": context}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/t", {**message, "event": "Order Completed", "properties": {"revenue": 5, "currency": "EUR"}}),
        ("/v1/batch", {"batch": [{**message, "type": "page", "name": "Home"}, {**message, "type": "screen"}]}),
        ("/v1/identify/", {**message, "context": {**context, "traits": {"plan": "pro"}}}),
        ("/beacon/v1/batch?writeKey=" + token, {"batch": [{**message, "type": "group", "groupId": "g"}]}),
        ("/v1/alias", {**message, "previousId": "old"}),
    ]
    for path, body in requests:
        headers = {} if "beacon" in path else basic(token)
        answer = call(app, path, {"writeKey": token, **body}, headers=headers)
        assert (answer.status, answer.json) == (200, {"success": True}), path

    assert names_stored(acme) == {
        "Order Completed": 1, "$pageview": 1, "$screen": 1, "$identify": 1, "$groupidentify": 1, "$create_alias": 1,
    }  # fmt: skip
    with tenant_context(acme.pk):
        order = Event.objects.get(name="Order Completed")
        assert (order.channel, order.campaign, order.amount) == ("news", "spring", 500)
        assert order.properties == {"$current_url": "https://shop.example/"}


def test_segments_commerce_names_carry_money_and_product(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    token = token_of(acme)
    told: list[tuple[str, dict[str, Any]]] = [
        ("Product Viewed", {"product_id": "p-1", "sku": "G-32", "price": 18.99}),
        ("Product Added", {"sku": "G-32", "object_id": "shelf-7", "object_type": "shelf"}),
        ("Product List Viewed", {"list_id": "hot"}),
        ("Order Refunded", {"order_id": "o-1", "total": 30, "currency": "USD"}),
    ]
    batch = [{"type": "track", "userId": "u", "event": name, "properties": properties} for name, properties in told]
    assert call(app, "/v1/batch", {"batch": batch}, headers=basic(token)).status == 200

    with tenant_context(acme.pk):
        found = {each.name: each for each in Event.objects.all()}
    things = {name: (each.object_type, each.object_id) for name, each in found.items()}
    assert things == {
        "Product Viewed": ("product", "p-1"),
        "Product Added": ("shelf", "shelf-7"),
        "Product List Viewed": (None, None),
        "Order Refunded": (None, None),
    }
    refund = found["Order Refunded"]
    assert (refund.amount, refund.currency, refund.type) == (3000, "USD", "payment")
    assert refund.properties == {"order_id": "o-1"}
    assert found["Product Viewed"].properties == {"product_id": "p-1", "sku": "G-32", "price": 18.99}


# --- Our own ----------------------------------------------------------------------------------------------------------


def test_our_own_endpoint_gives_a_verdict_for_each_event(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    body: dict[str, list[Any]] = {
        "events": [
            {
                "id": "order-1",
                "event": "order_completed",
                "user": "42",
                "timestamp": "2026-11-20T10:00:00Z",
                "value": 19.9,
                "currency": "EUR",
                "object": {"type": "order", "id": 7},
                "properties": {"coupon": "X"},
            },
            {"id": "order-2", "event": "order_completed", "value": 1, "currency": "ZZZ"},
            17,
        ]
    }
    headers = {"Authorization": f"Bearer {token_of(acme, 'sk')}"}
    first = call(app, "/api/v1/events/", body, headers=headers)
    assert first.status == 200
    assert first.json == {
        "results": [
            {"id": "order-1", "outcome": "stored", "reason": "", "detail": ""},
            {
                "id": "order-2",
                "outcome": "quarantined",
                "reason": "unknown_currency",
                "detail": "currency 'ZZZ' is not an ISO 4217 code",
            },
            {"id": None, "outcome": "rejected", "reason": "not_an_object", "detail": "an event must be a JSON object"},
        ],
        "stored": 1,
        "duplicate": 0,
        "conflict": 0,
        "quarantined": 1,
        "rejected": 1,
    }

    again = call(app, "/api/v1/events", body, headers={"X-API-Key": headers["Authorization"][7:]})
    assert [each["outcome"] for each in again.json["results"]] == ["duplicate", "quarantined", "rejected"]
    body["events"][0]["user"] = "43"
    other = call(app, "/api/v1/events", body["events"][0], headers=headers)
    assert (other.json["results"][0]["outcome"], other.json["conflict"]) == ("conflict", 1)
    with tenant_context(acme.pk):
        order = Event.objects.get()
        assert (order.value, order.amount, order.object_type, order.object_id) == (19.9, 1990, "order", "7")
        assert order.properties == {"coupon": "X"}


def test_what_stands_beside_the_properties_is_not_lost(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    body = {"event": "signed_up", "user": "ada", "plan": "pro", "seats": 3, "properties": {"plan": "team"}}
    told = {"$set": {"tier": "gold"}, "object": {"type": "shop", "id": 1}, "action": "join"}
    answer = call(app, "/api/v1/events/", {**body, **told}, headers={"Authorization": f"Bearer {token_of(acme)}"})
    assert answer.json["stored"] == 1
    with tenant_context(acme.pk):
        event = Event.objects.get()
    assert (event.properties, event.action) == ({"plan": "team", "seats": 3}, "join")
    assert event.event_id == answer.json["results"][0]["id"]


def test_every_member_of_an_event_is_in_the_description_of_the_api() -> None:
    described = set(IncomingEventSerializer().fields)
    assert set(events_api.MEMBERS) <= described
    assert described <= events_api.TOLD


def test_a_list_and_a_single_event_are_as_good_as_an_envelope(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    headers = {"Authorization": f"Bearer {token_of(acme)}"}
    assert call(app, "/api/v1/events/", [{"event": "a"}, {"event": "b"}], headers=headers).json["stored"] == 2
    assert call(app, "/api/v1/events/", {"event": "c"}, headers=headers).json["stored"] == 1
    assert call(app, "/api/v1/events/", [], headers=headers).json["results"] == []
    assert names_stored(acme) == {"a": 1, "b": 1, "c": 1}


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "code"),
    [("", "missing_api_key"), ("phx_personal", "personal_api_key"), ("pk_unknown", "invalid_api_key")],
)
def test_keys_that_may_not_send(app: CaptureApp, acme: Tenant, token: str, code: str) -> None:
    answer = call(app, "/batch", {"api_key": token, "batch": [hit()]}, headers=ORIGIN)
    assert answer.status == 401
    assert answer.json["code"] == code
    assert answer.json["detail"] == answer.json["message"] == answer.json["error"]
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


def test_a_well_formed_key_of_nobody_and_a_revoked_one_are_refused(
    app: CaptureApp, acme: Tenant, globex: Tenant
) -> None:
    token = token_of(acme)
    assert call(app, "/batch", {"api_key": token, "batch": [hit()]}).status == 200
    with tenant_context(acme.pk):
        key_id = ApiKey.objects.get().pk
    api_key_revoke(tenant_id=acme.pk, key_id=key_id, now=timezone.now())
    key_ring().forget()
    assert call(app, "/batch", {"api_key": token, "batch": [hit()]}).status == 401
    assert names_stored(acme) == {"page_view": 1}


def test_mixed_keys_are_refused(app: CaptureApp, acme: Tenant, globex: Tenant) -> None:
    ours, theirs = token_of(acme), token_of(globex)
    for path, body, headers in [
        ("/batch", {"api_key": ours, "batch": [hit(), hit(properties={"token": theirs})]}, {}),
        ("/e", [hit(properties={"token": ours}), hit(properties={"token": theirs})], {}),
        ("/v1/batch", {"writeKey": theirs, "batch": [hit()]}, basic(ours)),
    ]:
        answer = call(app, path, body, headers=headers)  # type: ignore[arg-type]
        assert (answer.status, answer.json["code"]) == (401, "mixed_api_keys"), path
    assert names_stored(acme) == names_stored(globex) == {}


def test_a_secret_key_without_the_scope_may_not_send(app: CaptureApp, acme: Tenant) -> None:
    token = token_of(acme, "sk", ("kpis:read",))
    answer = call(app, "/api/v1/events/", [hit()], headers={"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.json["code"]) == (403, "insufficient_scope")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_person_may_send_with_an_access_token(app: CaptureApp, acme: Tenant, owner_user: Any, teammate: Any) -> None:
    from analytics.access.selectors import places_of_user
    from analytics.access.tokens import TokenPair

    def sent_by(user: Any) -> int:
        token = TokenPair(user, places_of_user(user)[0]).access
        return call(app, "/api/v1/events/", [hit()], headers={"Authorization": f"Bearer {token}"}).status

    assert sent_by(owner_user) == 200
    assert sent_by(teammate) == 403
    forged = {"Authorization": "Bearer a.b.c"}
    assert call(app, "/api/v1/events/", [hit()], headers=forged).status == 401
    assert names_stored(acme) == {"page_view": 1}


# --- CORS and faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "method", "body", "status"),
    [
        ("/e/", "OPTIONS", b"", 204),
        ("/v1/t", "OPTIONS", b"", 204),
        ("/array/k/config.js", "GET", b"", 200),
        ("/flags/?v=2", "POST", b"{}", 200),
        ("/batch", "POST", b"not json", 400),
        ("/batch?compression=lz64", "POST", b"abc", 400),
        ("/batch", "POST", b'{"batch":{}}', 400),
        ("/batch", "POST", b"{}", 401),
        ("/v1/batch", "POST", b"[]", 400),
        ("/batch", "POST", gzip.compress(b"0" * 60_000_000, mtime=0), 413),
        ("/api/v1/events/", "POST", b"[]", 401),
        ("/nowhere", "POST", b"", 404),
    ],
    ids=lambda value: str(value)[:30],
)
def test_every_answer_may_be_read_by_any_page(
    app: CaptureApp, path: str, method: str, body: bytes, status: int
) -> None:
    headers = {**ORIGIN, "Access-Control-Request-Headers": "authorization,sentat"}
    answer = call(app, path, body, method=method, headers=headers)
    assert answer.status == status
    assert {name: value for name, value in answer.headers.items() if name.startswith("access-control")} == {
        "access-control-allow-origin": "https://shop.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers": "authorization,sentat",
        "access-control-max-age": "86400",
        "access-control-expose-headers": "Retry-After",
    }
    assert answer.headers["vary"] == "origin"


def test_a_body_over_20_mebibytes_is_refused_before_it_is_read(app: CaptureApp) -> None:
    answer = call(app, "/batch", b"{}", headers={"Content-Length": str(21 * 1024 * 1024)})
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
    assert call(app, "/batch", b"0" * (20 * 1024 * 1024 + 1), pieces=30).status == 413


def test_more_than_10_000_events_are_refused(app: CaptureApp, acme: Tenant) -> None:
    body = {"api_key": token_of(acme), "batch": [1] * 10_001}
    answer = call(app, "/batch", body)
    assert (answer.status, answer.json["code"]) == (413, "batch_too_large")


def test_a_full_writer_answers_503_and_when_to_come_back(app: CaptureApp, acme: Tenant) -> None:
    tight = EventWriter(max_pending_events=1)
    tight._pending = 1
    intake = Intake(keys=key_ring(), writer=lambda: tight, clock=timezone.now, renew=close_old_connections)
    answer = call(CaptureApp(intake), "/batch", {"api_key": token_of(acme), "batch": [hit()]}, headers=ORIGIN)
    assert (answer.status, answer.headers["retry-after"], answer.json["code"]) == (503, "5", "unavailable")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    intake.close()


def test_without_postgresql_every_event_stays_with_its_client(app: CaptureApp, acme: Tenant) -> None:
    def nowhere() -> psycopg.Connection[Any]:
        raise psycopg.OperationalError("PostgreSQL is away")

    writer = EventWriter(opener=nowhere)
    intake = Intake(keys=key_ring(), writer=lambda: writer, clock=timezone.now, renew=close_old_connections)
    token = token_of(acme)
    posts: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("/batch", {"api_key": token, **hit()}, {}),
        ("/v1/t", hit(), basic(token)),
        ("/api/v1/events/", hit(), {"X-API-Key": token}),
    ]
    for path, body, headers in posts:
        answer = call(CaptureApp(intake), path, body, headers=headers)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5"), path
    writer.close()
    intake.close()
    assert names_stored(acme) == {}


def test_while_postgresql_hangs_every_answer_comes_within_five_seconds(app: CaptureApp, acme: Tenant) -> None:
    class Hanging(KeyRing):
        def find(self, token: str) -> KeyInfo | None:
            threading.Event().wait(4)
            return None

    frozen = Intake(keys=Hanging(lambda _digest: None), writer=lambda: EventWriter(), clock=timezone.now)
    begun = time.monotonic()
    answer = call(CaptureApp(frozen), "/batch", {"api_key": token_of(acme), **hit()})
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert time.monotonic() - begun < 5
    frozen.close()


def test_a_client_that_hangs_up_costs_nothing(app: CaptureApp) -> None:
    import asyncio

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/e/", "query_string": b"", "headers": []}
    asyncio.run(app(scope, gone, send))
