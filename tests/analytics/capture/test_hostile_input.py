"""Bodies made by accident and by enemies: never a 500, never a lost neighbour, never an unreadable row (I1 to I5)."""

from __future__ import annotations

import gzip
import json
import random
import resource
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest

from analytics.capture.asgi import CaptureApp
from analytics.models import Event, Quarantine, Tenant
from analytics.tenancy import tenant_context
from tests.analytics.capture.asgi_client import call
from tests.analytics.capture.conftest import names_stored, outcomes, token_of
from tests.analytics.capture.poison import POISON, event

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"])
SEED = 20261121
DECLARED = {200, 400, 401, 413}


@pytest.mark.slow
def test_sixty_poisons_in_batches_of_500_lose_none_of_30_000_neighbours(
    app: CaptureApp, acme: Tenant, globex: Tenant
) -> None:
    token = token_of(acme)
    chance = random.Random(SEED)
    for number, (text, _) in enumerate(POISON):
        batch = [event(f'{{"n":{n}}}', uuid=f'"{uuid4()}"', event='"good"') for n in range(500)]
        batch.insert(
            chance.randrange(501), text.replace("5c0f9a4e-6d55-4a3e-9a55-0123456789ab", str(UUID(int=number + 1)))
        )
        body = f'{{"api_key":"{token}","batch":[{",".join(batch)}]}}'.encode()
        assert call(app, "/batch", body).status == 200

    assert names_stored(acme) == {"good": 30_000}
    assert outcomes(acme) == {"stored": 30_000, "quarantined": 60}
    with tenant_context(acme.pk):
        held = Counter(Quarantine.objects.values_list("reason", flat=True))
    assert held == Counter(reason for _, reason in POISON)
    assert outcomes(globex) == {}


SEEDS: list[bytes] = [
    b'{"api_key":"K","batch":[{"event":"a","distinct_id":"u","properties":{"$set":{"x":1},"n":1.5}}]}',
    b'[{"event":"a","properties":{"token":"K","distinct_id":"u"}},{"event":"b"}]',
    b'{"writeKey":"K","batch":[{"type":"track","event":"a","userId":"u","context":{"page":{"url":"x"}}}]}',
    b'{"events":[{"id":"1","event":"a","user":1,"object":{"type":"t","id":2},"value":3,"currency":"EUR"}]}',
    b'{"event":"$identify","distinct_id":"u","$set":{"a":[1,{"b":null}]},"offset":5,"timestamp":"2026-01-01"}',
]
SPICE = [
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b'"\\ud800"',
    b'"\\u0000"',
    b"1e999",
    b"-0",
    b"9" * 30,
    b"[" * 40,
    b"true",
    b'""',
    b"\xff",
    b"\x00",
    b'"',
    b"\\",
    b",",
    b":",
    b"}",
    b"]",
    b"2026",
    b'"batch"',
    b'"properties"',
]
PATHS = ["/batch/", "/e/", "/engage", "/i/v1/analytics/events", "/v1/batch", "/v1/t", "/api/v1/events/"]


def mutated(chance: random.Random, token: str) -> bytes:
    body = bytearray(chance.choice(SEEDS).replace(b"K", token.encode()))
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(body) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            body[place:place] = chance.choice(SPICE)
        elif kind == 1:
            del body[place : place + chance.randrange(6)]
        elif kind == 2 and place < len(body):
            body[place] = chance.randrange(256)
        else:
            values = [index for index, byte in enumerate(body) if byte in b'1235"[']
            where = chance.choice(values) if values else 0
            body[where : where + 1] = chance.choice(SPICE)
    return gzip.compress(bytes(body)) if chance.random() < 0.1 else bytes(body)


@pytest.mark.slow
def test_mutated_bodies_get_declared_answers_and_every_stored_row_is_readable(
    app: CaptureApp, acme: Tenant, globex: Tenant
) -> None:
    token = token_of(acme, "sk")
    chance = random.Random(SEED)
    headers = {"Authorization": f"Bearer {token}"}
    call(app, "/batch", {"api_key": token, "batch": []})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers: Counter[int] = Counter()
    for _ in range(3_000):
        answers[call(app, chance.choice(PATHS), mutated(chance, token), headers=headers).status] += 1

    assert set(answers) <= DECLARED, answers
    assert answers[200] > 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    with tenant_context(acme.pk):
        rows = list(Event.objects.values_list("name", "properties"))
    counted = outcomes(acme)
    assert len(rows) == counted["stored"] > 300
    assert all(json.dumps(properties) for _, properties in rows)
    assert outcomes(globex) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "Mozilla/5.0 " + "A" * 80_000},
        {"User-Agent": "((((" * 20_000},
        {"Authorization": "Basic " + "A" * 80_000},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic ####"},
        {"Content-Length": "-5"},
        {"Content-Length": "9" * 19 + "x"},
        {"PostHog-Request-Timestamp": "x" * 5_000},
        {"X-Forwarded-For": "1.2.3.4, " * 5_000},
        {f"X-Extra-{n}": "x" for n in range(2_000)},
    ],
    ids=range(10),
)
def test_strange_headers_are_borne(app: CaptureApp, acme: Tenant, headers: dict[str, str]) -> None:
    body = {"api_key": token_of(acme), "batch": [{"event": "a", "distinct_id": "u"}]}
    assert call(app, "/batch", body, headers=headers).status == 200


@pytest.mark.parametrize(
    "query", ["_=" + "9" * 5_000, "_=nan", "compression=%00", "&" * 5_000, "a=1&" * 5_000, "%zz=%zz"]
)
def test_strange_queries_are_borne(app: CaptureApp, acme: Tenant, query: str) -> None:
    body = {"api_key": token_of(acme), "batch": [{"event": "a", "distinct_id": "u"}]}
    assert call(app, f"/batch?{query}", body).status == 200


def test_a_million_keys_and_a_ten_megabyte_text_cost_one_event(app: CaptureApp, acme: Tenant) -> None:
    wide: dict[str, Any] = {f"k{n}": n for n in range(300_000)}
    token = token_of(acme)
    batch = [
        {"event": "good"},
        {"event": "wide", "properties": wide},
        {"event": "long", "properties": {"t": "x" * 10_000_000}},
    ]
    assert call(app, "/batch", {"api_key": token, "batch": batch}).status == 200
    assert names_stored(acme) == {"good": 1}
    assert outcomes(acme) == {"stored": 1, "rejected": 2}
