"""What the probes answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from analytics.jobs import enqueue
from analytics.models import Job
from analytics.partitions import partitions_ensure
from analytics.tenancy import tenant_context
from config import figures

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_signs_of_life(redis_url: str) -> None:
    """Other tests leave old ones behind."""
    with figures.redis_client() as client:
        client.delete(figures.BEAT_KEY, figures.WORKER_KEY)


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


def test_details_tell_every_part_and_the_time(admin_client: Client, settings: Any) -> None:
    partitions_ensure(now=datetime.now(UTC))
    figures._last = None

    body = admin_client.get("/health/").json()

    assert body["status"] == "healthy", body
    assert datetime.fromisoformat(body["time"]).tzinfo is not None
    assert set(body["parts"]) == {
        *("postgres", "redis", "migrations", "worker"),
        *("beat", "jobs", "rollup", "partitions", "cache"),
    }


def test_what_still_works_is_degraded_and_what_does_not_is_503(admin_client: Client, acme: Any, settings: Any) -> None:
    job = enqueue(kind="upkeep.clean", tenant_id=acme.pk)
    with tenant_context(acme.pk):
        Job.objects.filter(pk=job.pk).update(run_at=datetime.now(UTC) - timedelta(minutes=10))
    figures._last = None

    late = admin_client.get("/health/")
    assert (late.status_code, late.json()["status"]) == (200, "degraded")
    assert late.json()["parts"]["jobs"] == {
        "ok": False,
        "detail": "1 are due for five minutes, 0 lost their worker",
    }

    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    gone = admin_client.get("/health/")
    assert (gone.status_code, gone.json()["status"]) == (503, "degraded")


def test_a_listed_address_needs_no_credential(client: Client, settings: Any) -> None:
    settings.IP_ALLOWLIST = ["127.0.0.1"]

    assert client.get("/health/").status_code in (200, 503)
