"""What the probes answer."""

from __future__ import annotations

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)


def test_live_asks_nothing(client: Client) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}


def test_ready_names_every_part(client: Client, redis_url: str) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["parts"] == {"postgres": "ok", "redis": "ok", "migrations": "ok", "worker": "ok"}


def test_ready_says_no_when_redis_is_away(client: Client, settings: pytest.FixtureRequest) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"  # type: ignore[attr-defined]
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["parts"] == {
        "postgres": "ok",
        "redis": "unreachable",
        "migrations": "ok",
        "worker": "unreachable",
    }


def test_details_are_for_staff_and_secret_keys(client: Client, admin_client: Client) -> None:
    assert client.get("/health/").status_code == 401
    assert admin_client.get("/health/").json()["parts"]["postgres"]["ok"] is True
