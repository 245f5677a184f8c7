"""Signing in and out, choosing a tenant and a theme."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from django.test import Client

from analytics.access.services import membership_set
from analytics.access.throttles import gcra
from analytics.models import Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def door(owner_user: Any) -> Client:
    """A browser at an address of its own: log-ins are limited by address, and Redis outlives a test."""
    gcra()._redis.delete("bw:rate:login:name:olga")
    return Client(REMOTE_ADDR=f"198.19.{random.randrange(256)}.{random.randrange(256)}")


def test_the_right_password_leads_where_one_wanted_to_go(door: Client) -> None:
    answer = door.post("/login/", {"username": "olga", "password": "correct horse", "next": "/revenue/?period=mtd"})
    assert (answer.status_code, answer["Location"]) == (302, "/revenue/?period=mtd")
    assert door.get("/").status_code == 200


def test_a_wrong_password_says_so_without_saying_which_was_wrong(door: Client) -> None:
    known = door.post("/login/", {"username": "olga", "password": "x"}).content.decode()
    unknown = door.post("/login/", {"username": "nobody", "password": "x"}).content.decode()
    assert "do not match" in known
    assert "do not match" in unknown


def test_guesses_are_slowed_down(door: Client) -> None:
    answers = [door.post("/login/", {"username": "olga", "password": "x"}) for _ in range(12)]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert int(answers[-1]["Retry-After"]) > 0
    late = door.post("/login/", {"username": "olga", "password": "correct horse"})
    assert late.status_code == 429


def test_next_never_leads_elsewhere(door: Client) -> None:
    answer = door.post("/login/", {"username": "olga", "password": "correct horse", "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_signing_out_takes_a_click_and_ends_the_session(olga: Client) -> None:
    assert olga.get("/logout/").status_code == 405
    assert olga.post("/logout/")["Location"] == "/login/"
    assert olga.get("/").status_code == 302


def test_a_member_of_two_tenants_changes_between_them(owner_user: Any, globex: Tenant, olga: Client) -> None:
    membership_set(tenant_id=globex.pk, user=owner_user, role="viewer")
    assert "Europe/Paris" in olga.get("/").content.decode()
    assert olga.post("/tenant/", {"slug": "globex"})["Location"] == "/"
    assert "Asia/Kathmandu" in olga.get("/").content.decode()


def test_a_foreign_tenant_is_as_unknown_as_a_missing_one(globex: Tenant, olga: Client) -> None:
    answers = [olga.post("/tenant/", {"slug": slug}) for slug in ("globex", "nothing")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert "Europe/Paris" in olga.get("/").content.decode()


def test_the_theme_is_remembered_and_written_into_the_page(olga: Client) -> None:
    olga.post("/theme/", {"theme": "dark", "next": "/"})
    assert '<html lang="en" data-theme="dark">' in olga.get("/").content.decode()
    olga.cookies["bw_theme"] = '"><script>'
    assert '<html lang="en" data-theme="auto">' in olga.get("/").content.decode()


def test_forms_are_refused_without_their_token(owner_user: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner_user)
    for path in ("/logout/", "/tenant/", "/theme/", "/login/"):
        answer = strict.post(path, {"slug": "acme"})
        assert answer.status_code == 403
        assert "<style" not in answer.content.decode()


def test_an_owner_makes_a_write_key_that_works_at_once(acme: Tenant, olga: Client) -> None:
    page = olga.post("/first-key/")
    assert page["Cache-Control"].startswith("no-store")
    found = re.search(r"pk_[0-9A-Za-z]{49}", page.content.decode())
    assert found
    body = {"event": "order_completed", "user": "ada", "value": 19.9, "currency": "EUR"}
    answer = Client().post(
        "/api/v1/events/",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {found[0]}"},
    )
    assert answer.status_code != 401
    assert found[0][:11] in olga.get("/").content.decode()
    assert found[0] not in olga.get("/").content.decode()


def test_an_analyst_makes_no_keys(teammate: Any, acme: Tenant) -> None:
    client = Client()
    client.force_login(teammate)
    assert client.post("/first-key/").status_code == 403
    assert "Make a write key" not in client.get("/").content.decode()
