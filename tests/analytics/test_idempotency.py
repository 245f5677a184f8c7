"""`Idempotency-Key`: the same request twice acts once and is answered alike; nothing of it lies in Redis."""

from __future__ import annotations

import threading
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import redis
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections, transaction
from django.utils import timezone

from analytics.access import services
from analytics.access.idempotency import STALE
from analytics.answers import KEPT
from analytics.models import ApiKey, IdempotentAnswer, Job, Tenant
from analytics.privacy import erase_subject
from analytics.tenancy import tenant_context
from kpis.models import Annotation
from tests.analytics.events import event, write
from tests.analytics.test_importer import SIGNUPS
from tests.api import Caller, caller, logged_in, problem

NOTE = {"title": "Price change", "at": "2026-03-02T09:00:00Z"}
ONE = {"Idempotency-Key": "one"}


@pytest.fixture
def api(acme: Tenant, globex: Tenant) -> Caller:
    return caller(acme)


def notes(tenant: Tenant) -> int:
    with tenant_context(tenant.pk):
        return Annotation.objects.filter(tenant_id=tenant.pk).count()


def send(api: Caller, body: Any = None, key: str = "one", path: str = "annotations/") -> Any:
    return api.send("POST", path, body or NOTE, {"Idempotency-Key": key})


def test_the_same_request_twice_acts_once_and_is_answered_alike(api: Caller, acme: Tenant) -> None:
    first, second = send(api), send(api)

    assert (first.status_code, second.status_code) == (201, 201), first.content
    assert first.content == second.content
    assert first.headers.get("Location") == second.headers.get("Location")
    assert (first.headers.get("Idempotent-Replayed"), second["Idempotent-Replayed"]) == (None, "true")
    assert notes(acme) == 1


def test_blanks_and_the_order_of_fields_make_no_other_request(api: Caller, acme: Tenant) -> None:
    send(api, {"title": "x", "at": "2026-03-02T09:00:00Z"})

    assert send(api, {"at": "2026-03-02T09:00:00Z", "title": "x"})["Idempotent-Replayed"] == "true"
    assert notes(acme) == 1


def test_the_same_key_with_another_request_is_refused(api: Caller, acme: Tenant) -> None:
    send(api)

    for answer in (
        send(api, {**NOTE, "title": "Another"}),
        send(api, path="annotations/?x=1"),
        send(api, {"kind": "rollup"}, path="jobs/"),
    ):
        assert (answer.status_code, problem(answer)["code"]) == (422, "idempotency_key_reused")
    assert notes(acme) == 1


def test_without_a_key_or_under_another_one_everything_acts_again(api: Caller, acme: Tenant) -> None:
    send(api, key="one")
    send(api, key="two")
    api.post("annotations/", NOTE)
    api.post("annotations/", NOTE)

    assert notes(acme) == 4


def test_a_key_belongs_to_its_tenant_and_credential(api: Caller, acme: Tenant, globex: Tenant) -> None:
    answers = [send(each) for each in (api, caller(acme), caller(globex))]

    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, None, None]
    assert (notes(acme), notes(globex)) == (2, 1)


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
def test_a_bad_key_is_refused(api: Caller, acme: Tenant, key: str) -> None:
    answer = send(api, key=key)

    assert answer.status_code == 400
    assert problem(answer)["errors"][0]["field"] == "Idempotency-Key"
    assert notes(acme) == 0


def test_a_refused_request_may_be_corrected_under_its_key(api: Caller, acme: Tenant) -> None:
    assert send(api, {"title": ""}).status_code == 400
    assert send(api).status_code == 201
    assert notes(acme) == 1


def test_after_a_day_the_key_is_free_again(api: Caller, acme: Tenant) -> None:
    send(api)
    with tenant_context(acme.pk):
        IdempotentAnswer.objects.update(created_at=timezone.now() - KEPT)

    assert "Idempotent-Replayed" not in send(api, {**NOTE, "title": "Another"}).headers
    assert notes(acme) == 2


def test_redis_may_be_emptied_meanwhile(api: Caller, acme: Tenant, redis_url: str) -> None:
    send(api)
    redis.Redis.from_url(redis_url).flushall()

    assert send(api)["Idempotent-Replayed"] == "true"
    assert notes(acme) == 1


def test_a_secret_in_an_answer_is_sealed(acme: Tenant, globex: Tenant, owner_user: Any) -> None:
    olga = logged_in("olga")
    body = {"kind": "sk", "name": "robot"}
    first, second = (olga.send("POST", "keys/", body, ONE) for _ in range(2))

    assert first.status_code == 201, first.content
    assert first.json()["token"] == second.json()["token"]
    with tenant_context(acme.pk):
        assert ApiKey.objects.filter(name="robot").count() == 1
        row = IdempotentAnswer.objects.get()
        assert first.json()["token"].encode() not in bytes(row.answer)
    with tenant_context(globex.pk):
        assert not IdempotentAnswer.objects.exists()


def test_other_methods_do_not_heed_the_header(api: Caller, acme: Tenant) -> None:
    for _ in range(2):
        assert "Idempotent-Replayed" not in api.send("GET", "annotations/", headers=ONE).headers
    with tenant_context(acme.pk):
        assert not IdempotentAnswer.objects.exists()


def test_a_handler_that_commits_on_its_own_is_kept_too(api: Caller, acme: Tenant) -> None:
    write(acme, [event(acme, "e1", distinct_id="ann")])
    body = {"dry_run": True}

    first, second = (api.send("POST", "quarantine/replay/", body, ONE) for _ in range(2))

    assert (first.status_code, second["Idempotent-Replayed"]) == (200, "true"), first.content
    assert first.content == second.content


def test_its_row_is_in_the_way_while_it_works_and_for_ten_minutes_after_a_kill(api: Caller, acme: Tenant) -> None:
    api.send("POST", "quarantine/replay/", {}, ONE)
    with tenant_context(acme.pk):
        IdempotentAnswer.objects.update(status=None, answer=b"")

    answer = api.send("POST", "quarantine/replay/", {}, ONE)
    assert (answer.status_code, problem(answer)["code"]) == (409, "request_in_progress")
    assert answer["Retry-After"] == "1"

    with tenant_context(acme.pk):
        IdempotentAnswer.objects.update(created_at=timezone.now() - STALE - timedelta(seconds=1))
    assert api.send("POST", "quarantine/replay/", {}, ONE).status_code == 200


def test_when_it_fails_the_key_is_free(api: Caller, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("analytics.views.events.quarantine_replay", lambda **_: 1 / 0)
        assert api.send("POST", "quarantine/replay/", {}, ONE).status_code == 500

    assert api.send("POST", "quarantine/replay/", {}, ONE).status_code == 200


def test_a_file_sent_twice_is_one_import(api: Caller, acme: Tenant, settings: Any, tmp_path: Any) -> None:
    settings.BELLWETHER_HOME = tmp_path

    def send_file(text: str) -> Any:
        file = SimpleUploadedFile("a.csv", text.encode())
        return api.upload("imports/", {"file": file, "mapping": SIGNUPS}, ONE)

    rows = "id,at,who,plan\n1,2026-03-02T09:00:00Z,ann,pro\n"
    first, second, other = send_file(rows), send_file(rows), send_file(rows + "2,2026-03-02T09:00:00Z,ben,pro\n")

    assert (first.status_code, second["Idempotent-Replayed"], other.status_code) == (202, "true", 422), first.content
    assert first["Location"] == second["Location"]
    with tenant_context(acme.pk):
        assert Job.objects.count() == 1


def test_an_answer_that_tells_of_an_erased_person_is_forgotten(api: Caller, acme: Tenant, t0: Any) -> None:
    write(acme, [event(acme, "e1", distinct_id="ann"), event(acme, "e2", distinct_id="ben")])
    send(api, {**NOTE, "title": "ann"}, "about-ann")
    send(api, {**NOTE, "title": "ben"}, "about-ben")

    receipt = erase_subject(tenant_id=acme.pk, distinct_id="ann", now=t0, settle_seconds=0, using="default")

    assert receipt.rows["kept_answers"] == 1
    assert "Idempotent-Replayed" in send(api, {**NOTE, "title": "ben"}, "about-ben").headers
    assert "Idempotent-Replayed" not in send(api, {**NOTE, "title": "ann"}, "about-ann").headers


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_moment_act_once(acme: Tenant, globex: Tenant) -> None:
    _, token = services.api_key_create(tenant_id=acme.pk, kind="sk", name="test", scopes=())
    start, answers = threading.Barrier(8), []

    def knock() -> None:
        start.wait()
        answers.append(send(Caller(token)))
        connections.close_all()

    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert notes(acme) == 1


@pytest.mark.django_db(transaction=True)
def test_a_request_that_waits_too_long_is_told_so(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.access.idempotency.WAIT", "50ms")
    key, token = services.api_key_create(tenant_id=acme.pk, kind="sk", name="test", scopes=())
    held, seen = threading.Event(), threading.Event()

    def hold() -> None:
        with tenant_context(acme.pk):
            row = {"actor": f"key:{key.pk}", "key": sha256(b"one").hexdigest(), "request": "", "answer": b""}
            IdempotentAnswer.objects.create(tenant_id=acme.pk, created_at=timezone.now(), **row)
            held.set()
            seen.wait(10)
            transaction.set_rollback(True)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    answer, other = send(Caller(token)), send(Caller(token), key="two")
    seen.set()
    thread.join()

    assert (answer.status_code, problem(answer)["code"]) == (409, "request_in_progress")
    assert (other.status_code, send(Caller(token)).status_code, notes(acme)) == (201, 201, 2)
